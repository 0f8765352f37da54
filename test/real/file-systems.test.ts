import { randomBytes } from 'node:crypto';
import { closeSync, cpSync, mkdirSync, openSync, readdirSync, readFileSync, symlinkSync, writeSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MountedDisk, needsMountedDisk } from '../support/mounted-disk.ts';
import { needsOwnMounts, runReadOnly, runWithOwnMounts } from '../support/own-mounts.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { pushInChunks } from '../support/real-seed.ts';
import { createVm, fillDisk } from '../support/real-vm.ts';
import { runVm } from '../support/running-vm.ts';

/*
 * What only real file systems do: share blocks, be read-only, or be another one than that of the next directory.
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
/** What a VM of the changed one has to have. */
let diskOfAfter: string;

beforeAll(async () => {
  registry = await startRealRegistry(cleanup, 'embedded');
  const sender = new Workplace(cleanup);
  [before, after] = [`127.0.0.1:${registry.port}/team/vm:before`, `127.0.0.1:${registry.port}/team/vm:after`];
  await createVm(sender, 'vm');
  fillDisk(sender, 'vm', DISK_MIB);
  await pushInChunks(sender, 'vm', before, MIB);
  change(sender.vmDirectory('vm'));
  await pushInChunks(sender, 'vm', after, MIB);
  diskOfAfter = `${sender.vmDirectory('vm')}/disk.img`;
});
afterEach(async () => each.run());
afterAll(async () => cleanup.run());

/** Changes one MiB of a VM's disk. */
function change(vm: string): void {
  const disk = openSync(`${vm}/disk.img`, 'r+');
  writeSync(disk, randomBytes(MIB), 0, MIB, 7 * MIB);
  closeSync(disk);
}

/** A user whose home lies on a disk of its own. */
function workplaceOn(disk: MountedDisk): Workplace {
  return new Workplace(each, { home: path.join(disk.directory, 'home') });
}

async function succeed(workplace: Workplace, ...command: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await workplace.run(...command);
  expect(exitCode, `${command.join(' ')}: ${stderr}`).toBe(0);
  return stdout;
}

/** Whether a VM is the image that has one chunk changed. */
function expectDiskOfAfter(workplace: Workplace, vm: string): void {
  expect(readFileSync(`${workplace.vmDirectory(vm)}/disk.img`).equals(readFileSync(diskOfAfter))).toBe(true);
}

describe.each(['xfs', 'btrfs'] as const)('on %s, which shares blocks', (kind) => {
  beforeEach((context) => needsMountedDisk(context, kind));

  it('a clone and the next image take the room of what differs', async () => {
    const disk = MountedDisk.make(each, kind);
    const workplace = workplaceOn(disk);
    await succeed(workplace, 'pull', before);
    const withOne = disk.usedBytes;
    await succeed(workplace, 'clone', before, 'vm');
    expect(disk.usedBytes - withOne).toBeLessThan(2 * MIB);
    await succeed(workplace, 'pull', after);
    expect(disk.usedBytes - withOne).toBeLessThan(5 * MIB);

    await succeed(workplace, 'clone', after, 'copy');
    expectDiskOfAfter(workplace, 'copy');
  });

  it('sizes tell what is shared, and what a deletion would free', async () => {
    const workplace = workplaceOn(MountedDisk.make(each, kind));
    await succeed(workplace, 'pull', before);
    await succeed(workplace, 'clone', before, 'vm');
    const facts = JSON.parse(await succeed(workplace, 'inspect', '--format', 'json', 'vm')) as Record<string, unknown>;
    expect(facts).toMatchObject({ sharedBytes: DISK_MIB * MIB });
    const plan = await succeed(workplace, 'prune', '--dry-run', '--older-than', '0');
    expect(plan).toMatch(/34\.\d MB allocated, [58]\d\d\.\d KB would be freed: the rest is shared/);
  });

  it('a shared block that is damaged is found and fetched', async () => {
    const workplace = workplaceOn(MountedDisk.make(each, kind));
    await succeed(workplace, 'pull', before);
    const image = workplace.visibleFiles().find((file) => file.endsWith('/disk.img'));
    const damaged = openSync(path.join(workplace.home, image ?? ''), 'r+');
    writeSync(damaged, 'damage', 20 * MIB);
    closeSync(damaged);
    await succeed(workplace, 'pull', after);
    await succeed(workplace, 'clone', after, 'copy');
    expectDiskOfAfter(workplace, 'copy');
  });
});

describe('on a file system that is read-only (D10)', () => {
  beforeEach(needsOwnMounts);

  /** A user who has an image, a VM, and an image as an old Tart left it, with a raw colon. */
  async function settled(): Promise<Workplace> {
    const workplace = new Workplace(each);
    await succeed(workplace, 'pull', before);
    await succeed(workplace, 'clone', before, 'vm');
    const images = `${workplace.home}/cache/OCIs`;
    cpSync(`${images}/127.0.0.1%3A${registry.port}`, `${images}/old.example:5000`, {
      recursive: true,
      verbatimSymlinks: true,
    });
    return workplace;
  }

  it('everything can be looked at, pushed and exported, and nothing is changed', async () => {
    const workplace = await settled();
    const untouched = workplace.snapshot();
    const listed = await runReadOnly(workplace, '$TARTLET list -q');
    expect(listed).toEqual({
      exitCode: 0,
      stdout: expect.stringMatching(`^vm\n${before}\n\\S+/team/vm@sha256:\\w+\n$`) as string,
      stderr: expect.stringMatching(/^note: cache entries not migrated: .* read-only file system\n$/) as string,
    });
    for (const command of [
      `pull ${before}`,
      `push vm 127.0.0.1:${registry.port}/team/from:vm`,
      `push ${before} 127.0.0.1:${registry.port}/team/from:image`,
      `export vm ${each.directory()}/vm.tvm`,
    ]) {
      const { exitCode, stderr } = await runReadOnly(workplace, `$TARTLET ${command}`);
      expect([command, exitCode], stderr).toEqual([command, 0]);
    }
    const { stdout } = await runReadOnly(workplace, '$TARTLET doctor');
    expect(stdout).toContain('it belongs to old.example:5000, as its directory tells');
    expect(workplace.snapshot()).toEqual(untouched);
  });

  it('a VM that runs where it can be written is not pushed from where it cannot', async () => {
    const workplace = new Workplace(each);
    await createVm(workplace, 'vm');
    const push = `$TARTLET push vm 127.0.0.1:${registry.port}/team/shared:1`;
    expect(await runReadOnly(workplace, push)).toMatchObject({ exitCode: 0 });
    await runVm(workplace.vmDirectory('vm'));
    const { exitCode, stderr } = await runReadOnly(workplace, push);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('error[BUSY]: the VM "vm" is running')]);
  });

  it('whatever would change it is refused', async () => {
    const workplace = await settled();
    const untouched = workplace.snapshot();
    for (const command of [
      `pull ${after}`,
      `clone ${before} other`,
      'create --linux new',
      'rename vm other',
      'set vm --cpu 2',
      'delete vm',
      `delete ${before}`,
      `pin ${before}`,
    ]) {
      const { exitCode, stderr } = await runReadOnly(workplace, `$TARTLET ${command}`);
      expect([command, exitCode, stderr]).toEqual([command, 1, expect.stringContaining('error[DISK_READONLY]')]);
    }
    expect(workplace.snapshot()).toEqual(untouched);
  });

  it('a home that is still empty lists nothing, and what to do is said when it shall be filled', async () => {
    const workplace = new Workplace(each);
    mkdirSync(workplace.home);
    expect(await runReadOnly(workplace, '$TARTLET list -q')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    const { exitCode, stdout, stderr } = await runReadOnly(workplace, `$TARTLET pull ${before}`);
    expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(
      /^error\[DISK_READONLY\]: cannot create the directory \S+: EROFS: read-only file system\.$/m,
    );
    expect(stderr).toMatch(/^next: make the file system writable, or name a place that is/m);
  });
});

describe('on more than one file system (D21)', () => {
  it.for([
    [
      'VMs may lie on another one than the cache',
      () => `mkdir $TART_HOME/vms
mount -t tmpfs -o size=200m,mode=755 tmpfs $TART_HOME/vms
$TARTLET create --linux new
$TARTLET clone ${after} vm
cmp ${diskOfAfter} $TART_HOME/vms/vm/disk.img
$TARTLET rename vm other
$TARTLET set other --disk-size 1
$TARTLET delete new
$TARTLET list -q --source local
$TARTLET doctor`,
      /^other\n.*1 image, 1 tag, 1 VM, .*: clean\n$/,
    ],
    [
      'VMs may lie below another mount of the same one, as volumes of a container do',
      () => `mkdir $TART_HOME/vms
mount --bind ${each.directory()} $TART_HOME/vms
$TARTLET clone ${after} vm
cmp ${diskOfAfter} $TART_HOME/vms/vm/disk.img
$TARTLET doctor`,
      /1 image, 1 tag, 1 VM, .*: clean\n$/,
    ],
    [
      'the cache may lie on another one than the VMs',
      () => `mkdir $TART_HOME/cache
mount -t tmpfs -o size=200m,mode=755 tmpfs $TART_HOME/cache
$TARTLET clone ${after} vm
cmp ${diskOfAfter} $TART_HOME/vms/vm/disk.img
$TARTLET delete ${after}
$TARTLET doctor`,
      /no images, no tags, 1 VM, .*: clean\n$/,
    ],
  ] as const)('%s', async ([, script, expected], context) => {
    needsOwnMounts(context);
    const { exitCode, stdout, stderr } = await runWithOwnMounts(new Workplace(each), `set -e\n${script()}`);
    expect([exitCode, stdout], stderr).toEqual([0, expect.stringMatching(expected)]);
  });

  it('a link to a directory for VMs that is not there yet leads to one', async () => {
    const workplace = new Workplace(each);
    mkdirSync(workplace.home);
    symlinkSync(path.join(workplace.directory, 'elsewhere/vms'), `${workplace.home}/vms`);
    await succeed(workplace, 'create', '--linux', 'vm');
    expect(readdirSync(path.join(workplace.directory, 'elsewhere/vms'))).toEqual(['vm']);
  });

  it('a cache that is cut in two is refused before anything is fetched', async (context) => {
    needsOwnMounts(context);
    const { exitCode, stderr } = await runWithOwnMounts(
      new Workplace(each),
      `mkdir -p $TART_HOME/cache/OCIs
mount -t tmpfs tmpfs $TART_HOME/cache/OCIs
$TARTLET pull ${after}`,
    );
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /^error\[DISK_UNSUPPORTED\]: \S+ lies on another file system than \S+\.\nkept: nothing was fetched\n/m,
    );
  });
});
