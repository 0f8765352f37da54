import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { RemoteName } from '../../src/names/remote-name.ts';
import { type Fault, runWithFault } from '../crash/strace.ts';
import { configJson } from '../support/home.ts';
import { startMeddlingRegistry } from '../support/meddling-registry.ts';
import { needsOwnMounts, runWithOwnMounts } from '../support/own-mounts.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { atFirst, blobRoute } from '../support/scripted-image.ts';
import { startStaticRegistry } from '../support/static-registry.ts';
import { sha256, storedStream, tinyImage } from '../support/tart-image.ts';
import { row } from './row.ts';
import { plantCachedImage, REPOSITORY, type World } from './world.ts';
import { leaveOut } from '../support/left-out.ts';

const CHUNKS = [Buffer.alloc(70_000, 'one '), Buffer.alloc(70_000, 'two ')];
/** Good enough for a clone. */
const CONFIG = Buffer.from(configJson());
const IMAGE = tinyImage({ chunks: CHUNKS });
const LAST = storedStream(CHUNKS[1] ?? Buffer.alloc(0));

/** Runs the command in the home of the world, with a fault that must happen. */
async function runFaulty(world: World, args: readonly string[], fault: Fault) {
  const log = path.join(world.directory, '..', `${path.basename(world.directory)}.strace`);
  world.after(() => rmSync(log, { force: true }));
  const invocation = { argv: [process.execPath, COMMAND, ...args], environment: world.workplace.environment };
  const traced = await runWithFault(invocation, fault, log);
  expect(traced.fired, `${fault.call} never failed:\n${traced.stderr}`).toBe(true);
  return world.heard(traced);
}

describeWithParts('a file system that refuses', ['strace'], () => {
  row('D5', 'says that the quota is used up, and goes on when there is room', async (world) => {
    const registry = await world.serve(IMAGE);
    const name = `${registry.authority}/${REPOSITORY}:latest`;
    const disk = `${world.home.stagingDirectory}/${IMAGE.digest.slice(7)}/disk.img`;
    const fault = { call: 'ftruncate', nth: 1, effect: 'EDQUOT', onwards: true, path: disk } as const;
    const { exitCode, stderr } = await runFaulty(world, ['pull', name], fault);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error\[DISK_FULL\]: cannot create \S+disk\.img: the quota is used up\.$/m);
    await world.pull(registry, { image: IMAGE });
  });

  row('D12', 'a time to be set: the use goes unrecorded, and nothing else changes', async (world) => {
    const registry = await world.serve(IMAGE);
    const name = `${registry.authority}/${REPOSITORY}:latest`;
    const fault = { call: 'utimensat', nth: 1, effect: 'EPERM', onwards: true } as const;
    const { exitCode, stderr } = await runFaulty(world, ['pull', name], fault);
    expect(exitCode, stderr).toBe(0);
    await world.pull(registry, { image: IMAGE });
  });

  row('D20', 'a directory that cannot be fsynced is no failure', async (world) => {
    const registry = await world.serve(IMAGE);
    const name = `${registry.authority}/${REPOSITORY}:latest`;
    const directory = path.dirname(world.session().images.pathOf(RemoteName.parse(name)));
    const fault = { call: 'fsync', nth: 1, effect: 'EINVAL', onwards: true, path: directory } as const;
    const { exitCode, stderr } = await runFaulty(world, ['pull', name], fault);
    expect(exitCode, stderr).toBe(0);
    await world.pull(registry, { image: IMAGE });
  });

  row('D25', 'to lock is not written to', async (world) => {
    const registry = await world.serve(IMAGE);
    const name = `${registry.authority}/${REPOSITORY}:latest`;
    const lock = `${world.home.locksDirectory}/${IMAGE.digest.slice(7)}.lock`;
    const fault = { call: 'flock', nth: 1, effect: 'ENOLCK', onwards: true, path: lock } as const;
    const { exitCode, stderr } = await runFaulty(world, ['pull', name], fault);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error\[DISK_UNSUPPORTED\]: cannot lock \S+: the file system has no locks\.$/m);
    expect(registry.requests.filter(({ path: asked }) => asked.includes('/blobs/'))).toEqual([]);
    await world.pull(registry, { image: IMAGE });
  });

  row('D8', 'to read: what cannot be read is not sent', async (world) => {
    const registry = await startMeddlingRegistry();
    const fault = {
      call: 'pread64',
      nth: 1,
      effect: 'EIO',
      onwards: true,
      path: `${world.home.vmsDirectory}/mine/disk.img`,
    } as const;
    const { exitCode, stderr } = await runFaulty(world, ['push', 'mine', `${registry.at}/org/mine:1`], fault);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error\[DISK_IO\]: cannot read at byte 0 of \S+\/mine\/disk\.img: EIO/m);
    expect(await registry.get('/v2/org/mine/manifests/1')).toBeUndefined();
  });
});

row('D22', 'a name that no file may have is refused by its own words', async (world) => {
  const { exitCode, stderr } = await world.run('clone', 'mine', 'x'.repeat(300));
  expect(exitCode).toBe(64);
  expect(stderr).toMatch(/^error\[USAGE\]: "x+…" cannot be the name of a local VM: it is longer than 255 bytes\.$/m);
});

row('D26', 'a home that is exchanged in mid-pull gets nothing half finished', async (world) => {
  const registry = await world.serve(IMAGE);
  const away = `${world.home.root}.away`;
  registry.on(
    blobRoute(REPOSITORY, sha256(LAST)),
    atFirst(LAST, () => {
      renameSync(world.home.root, away);
      mkdirSync(world.home.root);
      return { body: LAST };
    }),
  );
  await expect(world.pull(registry, { image: IMAGE, concurrency: 1 })).rejects.toMatchObject({
    code: expect.stringMatching(/^DISK_/) as string,
  });
  // Nothing that looks like an image has come into being in the wrong home.
  expect(readdirSync(world.home.root, { recursive: true }).filter((entry) => String(entry).includes('sha256'))).toEqual(
    [],
  );
  rmSync(world.home.root, { recursive: true });
  renameSync(away, world.home.root);
});

row('D30', 'a pipe in the place of a disk stops no command (C29, S26)', async (world) => {
  const { directory } = plantCachedImage(world.home, 'pipe.example/org/vm:1', IMAGE);
  rmSync(`${directory}/disk.img`);
  execFileSync('mkfifo', [`${directory}/disk.img`]);
  expect((await world.run('list', '-q')).stdout).not.toContain('pipe.example');
  const registry = await world.serve(IMAGE);
  const name = `${registry.authority}/${REPOSITORY}:latest`;
  renameSync(
    `${world.home.imagesDirectory}/pipe.example`,
    path.dirname(path.dirname(path.dirname(world.session().images.pathOf(RemoteName.parse(name))))),
  );
  // What lies there is no image: it is brought anew.
  expect(await world.pull(registry, { image: IMAGE })).toMatchObject({ status: 'pulled' });
  expect((await world.run('inspect', 'kept.example:5000/org/kept:1')).exitCode).toBe(0);
});

row('C27', 'a hole more or less is no difference', async (world) => {
  const zeros = tinyImage({ chunks: [Buffer.alloc(1024 * 1024), Buffer.alloc(4096, 'x')], config: CONFIG });
  const registry = await world.serve(zeros);
  const name = `${registry.authority}/${REPOSITORY}:latest`;
  const { directory } = plantCachedImage(world.home, name, zeros);
  expect(statSync(`${directory}/disk.img`).blocks * 512).toBeGreaterThan(1024 * 1024);
  expect(await world.pull(registry, { image: zeros })).toMatchObject({ status: 'present', fetchedBytes: 0 });
  expect((await world.run('clone', name, 'copy')).exitCode).toBe(0);
  expect(readFileSync(`${world.home.vmsDirectory}/copy/disk.img`).equals(zeros.disk)).toBe(true);
  // The clone is the command's own; the invariants know only what was there before.
  rmSync(`${world.home.vmsDirectory}/copy`, { recursive: true });
});

it('a cache on another device is staged there, not in the home (D21)', async (context) => {
  const cleanup = new Cleanup();
  onTestFinished(() => cleanup.run());
  const elsewhere = mkdtempSync('/dev/shm/tartlet-test-');
  cleanup.add(() => rmSync(elsewhere, { recursive: true }));
  const workplace = new Workplace(cleanup);
  leaveOut(context, statSync(elsewhere).dev === statSync(path.dirname(workplace.home)).dev, 'one device only');
  mkdirSync(workplace.home);
  symlinkSync(elsewhere, `${workplace.home}/cache`);
  const image = tinyImage({ config: CONFIG });
  const registry = await startStaticRegistry({ latest: image });
  const name = `${registry.address}/org/vm:latest`;
  for (const args of [
    ['pull', name],
    ['clone', name, 'copy'],
    ['delete', name],
  ]) {
    const { exitCode, stderr } = await workplace.run(...args);
    expect(exitCode, stderr).toBe(0);
  }
  expect(readFileSync(`${workplace.vmDirectory('copy')}/disk.img`).equals(image.disk)).toBe(true);
});

it('a file system without room for another file says so (D5)', async (context) => {
  needsOwnMounts(context);
  const cleanup = new Cleanup();
  onTestFinished(() => cleanup.run());
  const { stdout, stderr } = await runWithOwnMounts(
    new Workplace(cleanup),
    `mount -t tmpfs -o size=64m,nr_inodes=6 tmpfs $TART_HOME
$TARTLET create --linux --disk-size 1 vm; echo "exit $?"; mount -o remount,nr_inodes=100 tmpfs $TART_HOME
$TARTLET create --linux --disk-size 1 vm; echo "exit $?"`,
  );
  expect(stdout, stderr).toBe('exit 1\nexit 0\n');
  expect(stderr).toMatch(/^error\[DISK_FULL\]: /m);
});
