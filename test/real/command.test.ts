import { symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { lookup } from 'node:dns/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RegistryAddress } from '../../src/names/registry-address.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, digestsOfVm, Workplace } from '../support/real-command.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { startSeededRegistry } from '../support/real-seed.ts';
import { createVm } from '../support/real-vm.ts';
import { leaveOut } from '../support/left-out.ts';

const machine = os.hostname().toLowerCase();
/** The address behind the machine's own name, when only this machine can reach it; Debian likes 127.0.1.1. */
const ownAddress = await lookup(machine).then(
  ({ address }) => (address.startsWith('127.') ? address : undefined),
  () => undefined,
);
const hasName = machine !== 'localhost' && RegistryAddress.tryParse(machine) !== undefined;

describe('the command', () => {
  const cleanup = new Cleanup();
  let registry: RealRegistry;
  let sender: Workplace;
  let name: string;

  beforeAll(async () => {
    ({ registry, sender, name } = await startSeededRegistry(cleanup));
  });
  afterAll(async () => cleanup.run());

  it('asks the registry once when a tag is cached and has not moved', async () => {
    const receiver = new Workplace(cleanup);
    await receiver.run('pull', name);
    registry.requests.length = 0;

    const { exitCode, stdout, stderr } = await receiver.run('pull', name);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' });
    expect(stderr).toContain(`${name} is up to date`);
    expect(registry.requests).toEqual(['GET /v2/team/base/manifests/1']);
  });

  it('pulls a tag where a repository lay whose image was deleted, or whose pull was interrupted (D33)', async () => {
    const receiver = new Workplace(cleanup);
    const inside = name.replace(/:1$/, '/1:x');
    const steps = await receiver.shell(
      `$TARTLET copy ${name} ${inside} && $TARTLET pull ${inside} && $TARTLET delete ${inside} && $TARTLET pull ${name} &&
$TARTLET delete ${name} && mkdir -p $TART_HOME/cache/OCIs/127.0.0.1%3A${registry.port}/team/base/1/deep && $TARTLET pull ${name}`,
    );
    expect(steps.exitCode, steps.stderr).toBe(0);
    expect(await receiver.names()).toContain(name);
    const { exitCode, stderr } = await receiver.run('pull', inside);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`next: delete ${name}, or use another TART_HOME for one of the two\n`);
  });

  it('says what a pull would do, and does nothing', async () => {
    const receiver = new Workplace(cleanup);
    registry.requests.length = 0;

    const text = await receiver.run('pull', '--dry-run', name);
    expect(text.exitCode, text.stderr).toBe(0);
    expect(text.stdout.split('\n')[0]).toMatch(new RegExp(`^${name} \\(sha256:[0-9a-f]{64}\\)$`));
    expect(text.stdout).toMatch(/^What +Size +Chunks +From *\nfetch .* the registry/m);
    expect(text.stdout).toMatch(/space needed .*, free [0-9.]+ [MGT]B\n$/);
    expect(registry.requests).toEqual(['GET /v2/team/base/manifests/1']);
    expect((await receiver.run('list')).stdout).not.toContain('team/base');

    const json = await receiver.run('pull', '--dry-run', '--format', 'json', name);
    expect(JSON.parse(json.stdout)).toMatchObject({
      schema: 'tartlet.pull-plan/v1',
      name,
      status: 'pull',
      reusedFrom: [],
      space: { fits: true },
    });

    await receiver.run('pull', name);
    expect((await receiver.run('pull', '--dry-run', name)).stdout).toMatch(/ is up to date\n$/);
    expect(JSON.parse((await receiver.run('pull', '--format', 'json', name)).stdout)).toMatchObject({
      name,
      status: 'present',
    });
  });

  it('clones a cached image without asking anybody', async () => {
    const receiver = new Workplace(cleanup);
    await receiver.run('pull', name);
    registry.requests.length = 0;

    expect(await receiver.run('clone', name, 'copy')).toMatchObject({ exitCode: 0 });
    expect(registry.requests).toEqual([]);
    expect(await digestsOfVm(receiver.vmDirectory('copy'))).toEqual(await digestsOfVm(sender.vmDirectory('vm')));
  });

  it('pulls what clone asks for when it is not cached', async () => {
    const receiver = new Workplace(cleanup);
    expect(await receiver.run('clone', name, 'copy')).toMatchObject({ exitCode: 0, stdout: '' });
    expect(await digestsOfVm(receiver.vmDirectory('copy'))).toEqual(await digestsOfVm(sender.vmDirectory('vm')));
  });

  it('moves a disk of more than one chunk of 512 MiB', async () => {
    const large = new Workplace(cleanup);
    await createVm(large, 'large', 520);
    const target = `127.0.0.1:${registry.port}/team/large:1`;
    const pushed = await large.run('push', 'large', target);
    expect(pushed.exitCode, pushed.stderr).toBe(0);

    expect(await large.run('clone', target, 'copy')).toMatchObject({ exitCode: 0 });
    const [copy, original] = await Promise.all(['copy', 'large'].map(async (vm) => digestsOfVm(large.vmDirectory(vm))));
    expect(copy?.['disk.img']).toBe(original?.['disk.img']);
    // Hashing half a gigabyte many times takes a while where others work too.
  }, 120_000);

  it('reaches a registry by the name of this machine, in plain HTTP only when told to', async (context) => {
    if (ownAddress === undefined || !hasName) {
      return leaveOut(context, true, `"${machine}" is not the name of a loopback address here`);
    }
    const { port } = await startRealRegistry(cleanup, 'embedded', { listen: ownAddress, hostNames: [machine] });
    const byMachine = `${machine}:${port}/team/base:1`;
    const strict = await sender.run('push', 'vm', byMachine);
    expect(strict.exitCode).toBe(1);
    expect(strict.stderr).toContain(`error[NET_TLS]: ${machine}:${port} answered without TLS.\n`);
    expect(strict.stderr).toContain('--insecure');

    expect(await sender.run('push', '--insecure', 'vm', byMachine)).toMatchObject({ exitCode: 0, stdout: '' });
    const receiver = new Workplace(cleanup);
    expect(await receiver.run('pull', '--insecure', byMachine)).toMatchObject({ exitCode: 0, stdout: '' });
    expect((await receiver.names())[0]).toBe(byMachine);
  });

  it('keeps quiet when the reader of its output went away (P9)', async () => {
    // `:` ends before the command has loaded, so that every write finds the pipe closed.
    for (const output of ['list', 'list --format json', '--help']) {
      const script = `set -o pipefail; $TARTLET ${output} | :`;
      expect(await sender.shell(script)).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    }
    expect(await sender.shell('$TARTLET list | head -c 6')).toEqual({ exitCode: 0, stdout: 'Source', stderr: '' });
  });

  it('puts results on stdout and nothing else', async () => {
    const receiver = new Workplace(cleanup);
    expect((await receiver.run('pull', name)).stdout).toBe('');
    const digest = (await receiver.run('fqn', name)).stdout;
    expect(digest).toMatch(/^127\.0\.0\.1:\d+\/team\/base@sha256:[0-9a-f]{64}\n$/);
    const listed = await receiver.run('list', '-q');
    expect(listed).toEqual({ exitCode: 0, stdout: `${name}\n${digest}`, stderr: '' });
    expect(await receiver.run('fqn', 'just-a-vm')).toEqual({ exitCode: 0, stdout: 'just-a-vm\n', stderr: '' });
  });

  it('goes by the name it is called by', async () => {
    const directory = cleanup.directory();
    symlinkSync(COMMAND, path.join(directory, 'tart'));
    const { exitCode, stdout } = await sender.shell(`PATH=${directory}:$PATH; tart --help && tart list -q`);

    expect(exitCode).toBe(0);
    expect(stdout).toContain('Usage: tart ');
    expect(stdout.endsWith('\nvm\n')).toBe(true);
  });
});
