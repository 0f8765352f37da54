import { randomBytes } from 'node:crypto';
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { bindFolder, canMount, MountedDisk } from '../support/mounted-disk.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { digestsOfVm, Workplace } from '../support/real-command.ts';
import { Gate } from '../support/real-gate.ts';
import { eventually } from '../support/real-process.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { diskChunksOf, pushInChunks } from '../support/real-seed.ts';
import { createVm, fillDisk } from '../support/real-vm.ts';
import { runVm } from '../support/running-vm.ts';

/*
 * What only real file systems do: share blocks, be read-only, be full, or be another one than that of the next folder.
 */

const MIB = 1024 * 1024;
const DISK_MIB = 32;

const cleanup = new Cleanup();
/** Of one test. */
const each = new Cleanup();
let registry: RealRegistry;
/** An image in chunks of 1 MiB, and the same with one of them changed. */
let before: string;
let after: string;
let contentOfAfter: Record<string, string>;

beforeAll(async () => {
  registry = await startRealRegistry(cleanup, 'embedded');
  const sender = new Workplace(cleanup);
  [before, after] = [`127.0.0.1:${registry.port}/team/vm:before`, `127.0.0.1:${registry.port}/team/vm:after`];
  await createVm(sender, 'vm');
  fillDisk(sender, 'vm', DISK_MIB);
  await pushInChunks(sender, 'vm', before, MIB);
  change(sender.vmFolder('vm'));
  await pushInChunks(sender, 'vm', after, MIB);
  contentOfAfter = await digestsOfVm(sender.vmFolder('vm'));
});
afterEach(async () => each.run());
afterAll(async () => cleanup.run());

/** Changes one MiB of a VM's disk. */
function change(vm: string): void {
  const disk = openSync(`${vm}/disk.img`, 'r+');
  writeSync(disk, randomBytes(MIB), 0, MIB, 7 * MIB);
  closeSync(disk);
}

/** Somebody whose home lies on a disk of its own. */
function workplaceOn(disk: MountedDisk): Workplace {
  return new Workplace(each, { home: path.join(disk.folder, 'home') });
}

async function succeed(workplace: Workplace, ...command: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await workplace.run(...command);
  expect(exitCode, `${command.join(' ')}: ${stderr}`).toBe(0);
  return stdout;
}

describe.each(['xfs', 'btrfs'] as const)('on %s, which shares blocks', (kind) => {
  const isLeftOut = !canMount(kind);

  it.skipIf(isLeftOut)('a clone and the next image take the room of what differs', async () => {
    const disk = MountedDisk.make(each, kind);
    const workplace = workplaceOn(disk);
    await succeed(workplace, 'pull', before);
    const withOne = disk.usedBytes;
    await succeed(workplace, 'clone', before, 'vm');
    expect(disk.usedBytes - withOne).toBeLessThan(2 * MIB);
    await succeed(workplace, 'pull', after);
    expect(disk.usedBytes - withOne).toBeLessThan(5 * MIB);

    await succeed(workplace, 'clone', after, 'copy');
    const { 'disk.img': content } = await digestsOfVm(workplace.vmFolder('copy'));
    expect(content).toBe(contentOfAfter['disk.img']);
  });

  it.skipIf(isLeftOut)('sizes tell what is shared, and what a deletion would free', async () => {
    const workplace = workplaceOn(MountedDisk.make(each, kind));
    await succeed(workplace, 'pull', before);
    await succeed(workplace, 'clone', before, 'vm');
    const facts = JSON.parse(await succeed(workplace, 'inspect', '--format', 'json', 'vm')) as Record<string, unknown>;
    expect(facts).toMatchObject({ sharedBytes: DISK_MIB * MIB });
    const plan = await succeed(workplace, 'prune', '--dry-run', '--older-than', '0');
    expect(plan).toMatch(/34\.4 MB allocated, 80\d\.\d KB would be freed: the rest is shared/);
  });

  it.skipIf(isLeftOut)('a shared block that is damaged is found and fetched', async () => {
    const workplace = workplaceOn(MountedDisk.make(each, kind));
    await succeed(workplace, 'pull', before);
    const image = workplace.visibleFiles().find((file) => file.endsWith('/disk.img'));
    const damaged = openSync(path.join(workplace.home, image ?? ''), 'r+');
    writeSync(damaged, 'damage', 20 * MIB);
    closeSync(damaged);
    await succeed(workplace, 'pull', after);
    await succeed(workplace, 'clone', after, 'copy');
    const { 'disk.img': content } = await digestsOfVm(workplace.vmFolder('copy'));
    expect(content).toBe(contentOfAfter['disk.img']);
  });
});

describe('on a file system that is read-only (D10)', () => {
  const isLeftOut = !canMount('ext4');
  let workplace: Workplace;
  let disk: MountedDisk;

  async function prepare(): Promise<void> {
    disk = MountedDisk.make(each, 'ext4', 200);
    workplace = workplaceOn(disk);
    await succeed(workplace, 'pull', before);
    await succeed(workplace, 'clone', before, 'vm');
    // As an old Tart left it, with a raw colon.
    const images = `${workplace.home}/cache/OCIs`;
    cpSync(`${images}/127.0.0.1%3A${registry.port}`, `${images}/old.example:5000`, {
      recursive: true,
      verbatimSymlinks: true,
    });
    disk.makeReadOnly();
  }

  it.skipIf(isLeftOut)('everything can be looked at, pushed and exported, and nothing is changed', async () => {
    await prepare();
    const untouched = workplace.snapshot();
    expect(await workplace.names()).toEqual(['vm', before, expect.stringContaining('/team/vm@sha256:') as string]);
    const { exitCode, stderr } = await workplace.run('list');
    expect([exitCode, stderr]).toEqual([
      0,
      expect.stringMatching(/^note: some of the cache .* read-only file system\n$/),
    ]);
    await succeed(workplace, 'pull', before);
    await succeed(workplace, 'push', 'vm', `127.0.0.1:${registry.port}/team/from:vm`);
    await succeed(workplace, 'push', before, `127.0.0.1:${registry.port}/team/from:image`);
    await succeed(workplace, 'export', 'vm', path.join(each.folder(), 'vm.tvm'));
    expect((await workplace.run('doctor')).stdout).toContain('it belongs to old.example:5000, as its folder tells');
    expect(workplace.snapshot()).toEqual(untouched);
  });

  it.skipIf(isLeftOut)('a VM that runs where it can be written is not pushed from where it cannot', async () => {
    const outside = new Workplace(each);
    await createVm(outside, 'vm');
    const inside = new Workplace(each);
    mkdirSync(inside.home);
    bindFolder(each, outside.home, inside.home, 'ro');
    const name = `127.0.0.1:${registry.port}/team/shared:1`;
    await succeed(inside, 'push', 'vm', name);
    await runVm(outside.vmFolder('vm'));
    const { exitCode, stderr } = await inside.run('push', 'vm', name);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('error[BUSY]: the VM "vm" is running')]);
  });

  it.skipIf(isLeftOut)('whatever would change it is refused', async () => {
    await prepare();
    const untouched = workplace.snapshot();
    for (const command of [
      ['pull', after],
      ['clone', before, 'other'],
      ['create', '--linux', 'new'],
      ['rename', 'vm', 'other'],
      ['set', 'vm', '--cpu', '2'],
      ['delete', 'vm'],
      ['delete', before],
      ['pin', before],
    ]) {
      const { exitCode, stderr } = await workplace.run(...command);
      expect([command[0], exitCode, stderr]).toEqual([command[0], 1, expect.stringContaining('error[DISK_READONLY]')]);
    }
    expect(workplace.snapshot()).toEqual(untouched);
  });
});

describe('on more than one file system (D21)', () => {
  const isLeftOut = !canMount('ext4');

  it.skipIf(isLeftOut)('VMs may lie on another one than the cache', async () => {
    const workplace = new Workplace(each);
    mkdirSync(`${workplace.home}/vms`, { recursive: true });
    MountedDisk.make(each, 'ext4', 200).bindTo(each, `${workplace.home}/vms`);
    await succeed(workplace, 'create', '--linux', 'new');
    await succeed(workplace, 'clone', after, 'vm');
    expect(await digestsOfVm(workplace.vmFolder('vm'))).toMatchObject({ 'disk.img': contentOfAfter['disk.img'] });
    await succeed(workplace, 'rename', 'vm', 'other');
    await succeed(workplace, 'set', 'other', '--disk-size', '1');
    await succeed(workplace, 'delete', 'new');
    expect(await succeed(workplace, 'list', '-q', '--source', 'local')).toBe('other\n');
    expect(await succeed(workplace, 'doctor')).toMatch(/1 image, 1 tag, 1 VM, .*: clean\n$/);
  });

  it.skipIf(isLeftOut)('VMs may lie below another mount of the same one, as volumes of a container do', async () => {
    const workplace = new Workplace(each);
    mkdirSync(`${workplace.home}/vms`, { recursive: true });
    bindFolder(each, each.folder(), `${workplace.home}/vms`, 'rw');
    await succeed(workplace, 'clone', after, 'vm');
    expect(await digestsOfVm(workplace.vmFolder('vm'))).toMatchObject({ 'disk.img': contentOfAfter['disk.img'] });
    expect(await succeed(workplace, 'doctor')).toMatch(/1 image, 1 tag, 1 VM, .*: clean\n$/);
  });

  it('a link to a folder for VMs that is not there yet leads to one', async () => {
    const workplace = new Workplace(each);
    mkdirSync(workplace.home);
    symlinkSync(path.join(workplace.folder, 'elsewhere/vms'), `${workplace.home}/vms`);
    await succeed(workplace, 'create', '--linux', 'vm');
    expect(readdirSync(path.join(workplace.folder, 'elsewhere/vms'))).toEqual(['vm']);
  });

  it.skipIf(isLeftOut)('the cache may lie on another one than the VMs', async () => {
    const workplace = new Workplace(each);
    mkdirSync(`${workplace.home}/cache`, { recursive: true });
    MountedDisk.make(each, 'ext4', 200).bindTo(each, `${workplace.home}/cache`);
    await succeed(workplace, 'clone', after, 'vm');
    expect(await digestsOfVm(workplace.vmFolder('vm'))).toMatchObject({ 'disk.img': contentOfAfter['disk.img'] });
    await succeed(workplace, 'delete', after);
    expect(await succeed(workplace, 'doctor')).toMatch(/no images, no tags, 1 VM, .*: clean\n$/);
  });

  it.skipIf(isLeftOut)('a cache that is cut in two is refused before anything is fetched', async () => {
    const workplace = new Workplace(each);
    mkdirSync(`${workplace.home}/cache/OCIs`, { recursive: true });
    MountedDisk.make(each, 'ext4', 200).bindTo(each, `${workplace.home}/cache/OCIs`);
    const { exitCode, stderr } = await workplace.run('pull', after);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /^error\[DISK_UNSUPPORTED\]: \S+ lies on another file system than \S+\.\nkept: nothing was fetched\n/m,
    );
  });
});

describe('on a disk that becomes full (D2)', () => {
  it.skipIf(!canMount('ext4'))('a pull says so, keeps what it has, and goes on when there is room', async () => {
    const gate = await Gate.start(each, registry.port);
    const disk = MountedDisk.make(each, 'ext4', 220);
    const workplace = workplaceOn(disk);
    const name = after.replace(String(registry.port), String(gate.port));
    const chunks = await diskChunksOf(registry.port, 'team/vm', 'after');
    const blob = (index: number): string => `GET /v2/team/vm/blobs/${chunks[index]}`;
    gate.treat = (request) => (request === blob(10) ? { kind: 'stall', bytes: 1000 } : { kind: 'pass' });
    const pull = workplace.start('pull', '--concurrency', '1', name);
    await eventually('the pull has ten chunks', () => gate.stalled.length > 0);

    const ballast = path.join(disk.folder, 'ballast');
    writeFileSync(ballast, Buffer.alloc(disk.freeBytes - 2 * MIB, 1));
    gate.treat = () => ({ kind: 'pass' });
    gate.cutOff();
    const { exitCode, stderr } = await pull.ended;
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error\[DISK_FULL\]: .*\nkept: 1\d of 32 chunks are verified and kept/m);

    rmSync(ballast);
    gate.requests.length = 0;
    await succeed(workplace, 'pull', name);
    expect([0, 1, 2, 3].filter((index) => gate.requests.includes(blob(index)))).toEqual([]);
    await succeed(workplace, 'clone', name, 'vm');
    expect(await digestsOfVm(workplace.vmFolder('vm'))).toMatchObject({ 'disk.img': contentOfAfter['disk.img'] });
  });
});
