import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { digestsOfVm, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { eventually } from '../support/real-process.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { skopeoCopy } from '../support/real-skopeo.ts';
import { createVm } from '../support/real-vm.ts';

describe('the commands export and import', () => {
  const cleanup = new Cleanup();
  let here: Workplace;
  let directory: string;
  let original: Record<string, string>;

  beforeAll(async () => {
    here = new Workplace(cleanup);
    directory = cleanup.directory();
    await createVm(here, 'vm');
    original = await digestsOfVm(here.vmDirectory('vm'));
  });
  afterAll(async () => cleanup.run());

  it('carry a VM through a pipe from one machine to another', async () => {
    const there = new Workplace(cleanup);
    const { exitCode, stderr } = await here.shell(
      `set -o pipefail; cd ${directory}; $TARTLET export vm - | TART_HOME=${there.home} $TARTLET import - copy`,
    );
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toMatch(/exported vm to stdout, .* \(sha256:[0-9a-f]{64}\)\n/);
    expect(stderr).toMatch(/imported copy \(sha256:[0-9a-f]{64}\)\n/);
    expect(await digestsOfVm(there.vmDirectory('copy'))).toEqual(original);
  });

  it('write a file named after the VM, and ask before replacing it (tart-cli §7 #38)', async () => {
    const file = `${directory}/vm.oci.tar`;
    const first = await here.shell(`cd ${directory}; $TARTLET export vm`);
    expect([first.exitCode, first.stdout]).toEqual([0, '']);
    expect(first.stderr).toContain('exported vm to vm.oci.tar, ');
    for (const [answer, replaced] of [
      ['', false],
      ['y\n', false],
      ['YES\n', false],
      ['yes', true],
      ['yes\nmore\n', true],
    ] as const) {
      writeFileSync(file, 'before');
      const { exitCode, stdout, stderr } = await here.shell(
        `cd ${directory}; printf '${answer}' | $TARTLET export --reproducible vm`,
      );
      expect([exitCode, stdout]).toEqual([0, 'vm.oci.tar exists. Replace it? Only "yes" replaces it: ']);
      expect(stderr.includes('nothing was exported, vm.oci.tar was left alone')).toBe(!replaced);
      expect(readFileSync(file, 'utf8') === 'before').toBe(!replaced);
    }
    expect(statSync(file).size).toBeGreaterThan(1_000_000);
    expect(readdirSync(directory)).toEqual(['vm.oci.tar']);
  });

  it('end after the answer, even while stdin stays open', async () => {
    writeFileSync(`${directory}/vm.oci.tar`, 'before');
    const { exitCode } = await here.shell(
      `cd ${directory}; mkfifo questions; exec 3<>questions; echo no >&3; $TARTLET export vm < questions`,
    );
    rmSync(`${directory}/questions`);
    expect(exitCode).toBe(0);
    expect(readFileSync(`${directory}/vm.oci.tar`, 'utf8')).toBe('before');
  });

  it('replace a file that was named without asking', async () => {
    writeFileSync(`${directory}/named.tar`, 'before');
    const { exitCode, stderr } = await here.run('export', '--reproducible', 'vm', `${directory}/named.tar`);
    expect(exitCode, stderr).toBe(0);
    expect(execFileSync('tar', ['-tf', `${directory}/named.tar`], { encoding: 'utf8' })).toContain('index.json\n');
    rmSync(`${directory}/named.tar`);
  });

  it('fail when the reader goes away: half an archive is none', async () => {
    const { stdout, stderr } = await here.shell(
      `$TARTLET export vm - | head -c 600 > /dev/null; echo "\${PIPESTATUS[0]}"`,
    );
    expect(stdout.trim()).toBe('1');
    expect(stderr).toContain('error[DISK_IO]: cannot write to stdout: write EPIPE');
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGKILL', undefined],
  ] as const)('leave nothing of an import that waits for its pipe: %s', async (signal, code) => {
    const there = new Workplace(cleanup);
    await there.run('create', '--linux', '--disk-size', '1', 'other');
    const [pipe, file] = [`${cleanup.directory()}/pipe`, `${cleanup.directory()}/vm.tar`];
    await here.run('export', 'vm', file);
    execFileSync('mkfifo', [pipe]);
    // A pipe that is open for both has a writer, here one that says no more than this.
    const writer = openSync(pipe, 'r+');
    writeSync(writer, readFileSync(file).subarray(0, 4096));
    const running = there.start('import', pipe, 'copy');
    await eventually('the import has begun', () => existsSync(`${there.home}/tmp`) && spooled(there) === 4096);
    running.kill(signal);
    const { exitCode } = await running.ended;
    closeSync(writer);
    expect(exitCode).toBe(code);
    expect(await there.names()).toEqual(['other']);
    // What a killed command left is gone with the next one that needs scratch.
    await there.run('clone', 'other', 'another');
    expect(readdirSync(`${there.home}/tmp`)).toEqual([]);
  });

  it.each([
    [['import', 'x.tar', 'a/b'], 64, 'contains "/"'],
    [['import', 'x.tar'], 64, "missing required argument 'name'"],
    [['export'], 64, "missing required argument 'name'"],
    [['export', 'none'], 2, 'the VM "none" does not exist'],
    [['export', 'ghcr.io/none/none:1'], 2, 'is not in the cache'],
    [['import', 'none.tar', 'new'], 1, 'there is no file'],
  ])('refuse %j with the right code', async (args, code, message) => {
    const { exitCode, stdout, stderr } = await here.run(...args);
    expect([exitCode, stdout]).toEqual([code, '']);
    expect(stderr).toContain(message);
    expect(await here.names()).toEqual(['vm']);
  });
});

/** Bytes that an import has written of a stream. */
function spooled(workplace: Workplace): number {
  const [directory = ''] = readdirSync(`${workplace.home}/tmp`);
  const file = `${workplace.home}/tmp/${directory}/archive.tar`;
  return existsSync(file) ? statSync(file).size : 0;
}

describeWithParts('archives that skopeo carries', ['skopeo'], () => {
  const cleanup = new Cleanup();
  let registry: RealRegistry;
  let here: Workplace;
  let directory: string;
  let original: Record<string, string>;

  const at = (name: string): string => `127.0.0.1:${registry.port}/${name}`;

  beforeAll(async () => {
    registry = await startRealRegistry(cleanup, 'embedded');
    here = new Workplace(cleanup);
    directory = cleanup.directory();
    await createVm(here, 'vm');
    original = await digestsOfVm(here.vmDirectory('vm'));
  });
  afterAll(async () => cleanup.run());

  async function run(workplace: Workplace, ...args: string[]): Promise<void> {
    const { exitCode, stderr } = await workplace.run(...args);
    expect(exitCode, stderr).toBe(0);
  }

  it('go from export into a registry, and come out of a pull the same', async () => {
    const there = new Workplace(cleanup);
    await run(here, 'export', 'vm', `${directory}/vm.tar`);
    await skopeoCopy(`oci-archive:${directory}/vm.tar`, `docker://${at('org/x:1')}`);
    await run(there, 'pull', at('org/x:1'));
    await run(there, 'clone', at('org/x:1'), 'copy');
    expect(await digestsOfVm(there.vmDirectory('copy'))).toEqual(original);
  });

  it('come from a registry, and an import of them is the same', async () => {
    await run(here, 'push', 'vm', at('org/pushed:1'));
    for (const [to, file] of [
      [`oci-archive:${directory}/pushed.tar`, `${directory}/pushed.tar`],
      [`oci-archive:${directory}/named.tar:base`, `${directory}/named.tar`],
      [`oci:${directory}/layout:base`, `${directory}/layout`],
    ] as const) {
      await skopeoCopy(`docker://${at('org/pushed:1')}`, to);
      const there = new Workplace(cleanup);
      await run(there, 'import', file, 'copy');
      expect(await digestsOfVm(there.vmDirectory('copy'))).toEqual(original);
    }
  });

  it('are found by the name that the export gave them', async () => {
    const there = new Workplace(cleanup);
    await run(here, 'push', 'vm', at('org/tagged:15.2'));
    await run(there, 'pull', at('org/tagged:15.2'));
    await run(there, 'export', at('org/tagged:15.2'), `${directory}/tagged.tar`);
    await skopeoCopy(`oci-archive:${directory}/tagged.tar:15.2`, `docker://${at('org/again:1')}`);
    await run(there, 'pull', at('org/again:1'));
    const digests = await Promise.all(
      ['org/tagged:15.2', 'org/again:1'].map(async (name) => (await there.run('fqn', at(name))).stdout.split('@')[1]),
    );
    expect(digests[0]).toBe(digests[1]);
  });
});
