import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { needsOwnMounts, runReadOnly, runWithOwnMounts } from '../support/own-mounts.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { digestsOfVm, Workplace } from '../support/real-command.ts';
import { Gate } from '../support/real-gate.ts';
import { eventually } from '../support/real-process.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { diskChunksOf, digestOfTag, pushInChunks } from '../support/real-seed.ts';
import { createVm, fillDisk } from '../support/real-vm.ts';
import { configLayer, diskLayer, manifestOf, nvramLayer, sha256 } from '../support/tart-image.ts';

const MIB = 1024 * 1024;

interface Report {
  readonly schema: string;
  readonly clean: boolean;
  readonly findings: readonly {
    id: string;
    severity: string;
    path: string;
    chunk: null | { chunk: number; offset: number; bytes: number };
    fix: string | null;
  }[];
}

describe('doctor', () => {
  const cleanup = new Cleanup();
  let registry: RealRegistry;
  let gate: Gate;
  let sender: Workplace;
  let name: string;
  let digest: string;
  let chunks: string[];

  beforeAll(async () => {
    registry = await startRealRegistry(cleanup, 'embedded');
    gate = await Gate.start(cleanup, registry.port);
    sender = new Workplace(cleanup);
    await createVm(sender, 'vm');
    fillDisk(sender, 'vm', 4);
    await pushInChunks(sender, 'vm', `127.0.0.1:${registry.port}/team/base:1`, MIB);
    digest = (await digestOfTag(registry.port, 'team/base', '1')) ?? '';
    chunks = await diskChunksOf(registry.port, 'team/base', '1');
    name = `127.0.0.1:${gate.port}/team/base:1`;
  });
  afterEach(() => {
    gate.treat = () => ({ kind: 'pass' });
    gate.requests.length = 0;
    gate.stalled.length = 0;
  });
  afterAll(async () => cleanup.run());

  const directoryOf = (at: Workplace): string => `${at.home}/cache/OCIs/127.0.0.1%3A${gate.port}/team/base/${digest}`;

  async function pulled(): Promise<Workplace> {
    const receiver = new Workplace(cleanup);
    const { exitCode, stderr } = await receiver.run('pull', name);
    expect(exitCode, stderr).toBe(0);
    return receiver;
  }

  function spoil(file: string, offset: number): void {
    const bytes = readFileSync(file);
    bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    writeFileSync(file, bytes);
  }

  async function report(at: Workplace, ...args: readonly string[]): Promise<[number | undefined, Report]> {
    const { exitCode, stdout, stderr } = await at.run('doctor', '--format', 'json', ...args);
    expect(stderr).not.toContain('error');
    return [exitCode, JSON.parse(stdout) as Report];
  }

  it('ends with 0 for a home in order, and with 1 for one that is not, so that a cron job can tell', async () => {
    const receiver = await pulled();
    const good = await receiver.run('doctor');
    expect(good).toMatchObject({ exitCode: 0, stderr: '' });
    expect(good.stdout).toMatch(/: 1 image, 1 tag, no VMs, \S+ MB on disk: clean\n$/);
    rmSync(`${directoryOf(receiver)}/nvram.bin`);
    const bad = await receiver.run('doctor');
    expect(bad).toMatchObject({ exitCode: 1, stderr: '' });
    expect(bad.stdout).toContain(`damage: image-incomplete: missing: nvram.bin\n`);
    expect(bad.stdout).toContain(`  ${directoryOf(receiver)}\n  --fix: `);
  });

  it('finds a flipped bit in a disk, and fetches that chunk alone', async () => {
    const receiver = await pulled();
    spoil(`${directoryOf(receiver)}/disk.img`, 2 * MIB + 7);
    // Where the file system lets a disk be marked as unmodified, its change is seen; what is damaged is found by
    // hashing alone.
    const [, shallow] = await report(receiver);
    expect(shallow.findings.filter(({ id }) => id !== 'disk-touched')).toEqual([]);
    const [exitCode, found] = await report(receiver, '--deep');
    expect(exitCode).toBe(1);
    expect(found.schema).toBe('tartlet.doctor/v1');
    expect(found.findings).toMatchObject([
      { id: 'chunk-damaged', severity: 'damage', chunk: { chunk: 2, offset: 2 * MIB, bytes: MIB } },
    ]);
    gate.requests.length = 0;
    expect(await report(receiver, '--deep', '--fix')).toMatchObject([0, { clean: true, findings: [] }]);
    const fetched = chunks.filter((chunk) => gate.requests.includes(`GET /v2/team/base/blobs/${chunk}`));
    expect(fetched).toEqual([chunks[2]]);
    expect(await digestsOfVm(directoryOf(receiver))).toEqual(await digestsOfVm(sender.vmDirectory('vm')));
    expect(await receiver.names()).toContain(name);
  });

  it('lets a pull work, and takes nothing of it for damage (P18)', async () => {
    const receiver = new Workplace(cleanup);
    gate.treat = (request) => (request.endsWith(chunks[3] ?? '') ? { kind: 'stall', bytes: 1000 } : { kind: 'pass' });
    const pull = receiver.start('pull', name);
    await eventually('the pull hangs', () => gate.stalled.length > 0);
    const [exitCode, found] = await report(receiver, '--deep', '--fix');
    expect([exitCode, found.findings.map(({ id }) => id)]).toEqual([0, ['scratch-live']]);
    pull.kill('SIGINT');
    expect((await pull.ended).exitCode).toBe(130);
    const [after, left] = await report(receiver, '--fix');
    expect([after, left.findings.map(({ id }) => id)]).toEqual([0, ['scratch-resumable']]);
    gate.treat = () => ({ kind: 'pass' });
    expect(await receiver.run('pull', name)).toMatchObject({ exitCode: 0 });
    expect(await report(receiver, '--deep')).toMatchObject([0, { findings: [] }]);
  });

  it('lets a pull of the same image wait while it repairs, and both end well (P18)', async () => {
    const receiver = await pulled();
    rmSync(`${directoryOf(receiver)}/nvram.bin`);
    gate.treat = (request) => (/ GET|blobs/.test(request) ? { kind: 'stall', bytes: 10 } : { kind: 'pass' });
    const repair = receiver.start('doctor', '--fix');
    await eventually('the repair hangs', () => gate.stalled.length > 0);
    gate.treat = () => ({ kind: 'pass' });
    const pull = receiver.start('pull', name);
    await eventually('the pull waits', () => pull.stdout.includes('waiting'));
    repair.kill('SIGKILL');
    expect(await pull.ended).toMatchObject({ exitCode: 0 });
    expect(await report(receiver, '--deep', '--fix')).toMatchObject([0, { findings: [] }]);
    expect(await digestsOfVm(directoryOf(receiver))).toEqual(await digestsOfVm(sender.vmDirectory('vm')));
  });

  it('moves images on the word of the user, and knows the ports that the user logs in to', async () => {
    const receiver = await pulled();
    const { port } = gate;
    rmSync(`${directoryOf(receiver)}/.origin.json`);
    rmSync(`${path.dirname(directoryOf(receiver))}/1`);
    const at = `${receiver.home}/cache/OCIs`;
    const { exitCode } = await receiver.shell(`mv ${at}/127.0.0.1%3A${port} ${at}/127.0.0.1`);
    expect(exitCode).toBe(0);
    writeFileSync(
      path.join(receiver.environment['DOCKER_CONFIG'] ?? '', 'config.json'),
      JSON.stringify({ auths: { [`http://127.0.0.1:${port}`]: {} } }),
      { mode: 0o600 },
    );
    const command = `doctor --assign 127.0.0.1=127.0.0.1:${port}`;
    expect((await receiver.run('doctor')).stdout).toContain(`tartlet ${command}\n`);
    const assigned = await receiver.run(...command.split(' '));
    expect(assigned).toMatchObject({ exitCode: 0, stderr: '' });
    expect(assigned.stdout).toContain(`moved: 127.0.0.1:${port}/team/base@${digest} (from `);
    expect(await receiver.names()).toEqual([`127.0.0.1:${port}/team/base@${digest}`]);
    expect(await receiver.run('doctor', '--assign', 'nonsense')).toMatchObject({ exitCode: 64 });
    // Every night again, or a slip.
    expect(await receiver.run(...command.split(' '))).toMatchObject({
      exitCode: 0,
      stderr: 'note: nothing in the cache lies under 127.0.0.1\n',
    });
  });

  it('works on a home that is read-only (D10)', async (context) => {
    needsOwnMounts(context);
    const receiver = await pulled();
    spoil(`${directoryOf(receiver)}/disk.img`, 5);
    const { stdout, stderr } = await runReadOnly(
      receiver,
      `$TARTLET doctor; echo "exit $?"
$TARTLET doctor --deep --fix; echo "exit $?"`,
    );
    expect(stdout, stderr).toMatch(
      /(?:clean\nexit 0|disk-touched: [\s\S]*warning 1\nexit 1)\nnot repaired: chunk-damaged: .*read-only/,
    );
    expect(stdout).toMatch(/damage: chunk-damaged: chunk 0[\s\S]*exit 1\n$/);
  });

  it('works on a disk without a free byte (D29)', async (context) => {
    needsOwnMounts(context);
    const receiver = new Workplace(cleanup);
    const { stdout, stderr } = await runWithOwnMounts(
      receiver,
      `mount -t tmpfs -o size=8m,mode=755 tmpfs $TART_HOME
$TARTLET pull ${name} || exit
mkdir -p $TART_HOME/cache/.staging/trash-0b9c9a4e-53a5-4f0e-9a2e-0123456789ab
ln -s /nowhere $TART_HOME/cache/OCIs/127.0.0.1%3A${gate.port}/team/base/gone
rm -r $TART_HOME/cache/.locks
cat /dev/zero > $TART_HOME/full 2>/dev/null
$TARTLET doctor --deep; echo "exit $?"
$TARTLET doctor --fix; echo "exit $?"`,
    );
    expect(stdout, stderr).toMatch(/warning: trash-left:/);
    expect(stdout).toMatch(/warning 2, note 1\nexit 1\n/);
    expect(stdout).toMatch(/^repaired: trash-left: removed$/m);
    expect(stdout).toMatch(/^repaired: link-dangling: removed; it said \/nowhere$/m);
    expect(stdout).toMatch(/note 1, 2 repaired\nexit 0\n$/);
  });

  it('that is interrupted tells what it found and how far it came, and ends with 130', async () => {
    const receiver = await pulled();
    // A disk that takes longer than a moment: nothing but a hole.
    const size = 2 ** 36;
    const manifest = manifestOf([
      configLayer({ size: 2 }),
      diskLayer({ size: 2 ** 30 }, { 'org.cirruslabs.tart.uncompressed-size': String(size) }),
      nvramLayer({ size: 1 }),
    ]);
    const large = `${path.dirname(directoryOf(receiver))}/${sha256(manifest)}`;
    mkdirSync(large);
    for (const [file, content] of Object.entries({ 'config.json': '{}', 'nvram.bin': 'n', 'disk.img': '' })) {
      writeFileSync(`${large}/${file}`, content);
    }
    writeFileSync(`${large}/manifest.json`, manifest);
    truncateSync(`${large}/disk.img`, size);
    const doctor = receiver.start('doctor', '--deep');
    await eventually('it hashes the large one', () => doctor.stdout.includes(`${sha256(manifest)}: 68.7 GB to check`));
    doctor.kill('SIGINT');
    const { exitCode, stdout, stderr } = await doctor.ended;
    expect(exitCode, stderr).toBe(130);
    expect(stdout).toContain('note: image-unreferenced');
    expect(stderr).toMatch(/^kept: \d of 2 images were checked, \S+ [KM]?B; nothing was changed$/m);
  });
});
