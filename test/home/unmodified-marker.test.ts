import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  statfsSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { markUnmodified, markedState, stateToMark } from '../../src/home/unmodified-marker.ts';
import { OurFile } from '../../src/home/home-entry.ts';
import { Digest } from '../../src/names/digest.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { MountedDisk, needsMountedDisk } from '../support/mounted-disk.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { needsSeals } from '../support/unmodified-marker.ts';
import { leaveOut } from '../support/left-out.ts';

const MANIFEST = Digest.sha256('a'.repeat(64));
const TMPFS = 0x01021994;

let directory: string;
let disk: string;
let marker: string;
beforeEach(() => {
  directory = temporaryDirectory();
  disk = `${directory}/disk.img`;
  marker = `${directory}/${OurFile.marker}`;
  writeFileSync(disk, 'what the manifest says');
});

async function isSealed(at = directory, manifest = MANIFEST): Promise<boolean> {
  return (await markedState(at, manifest, 'linux')) !== undefined;
}

function rewriteSeal(changes: Record<string, unknown>): void {
  const record = JSON.parse(readFileSync(marker, 'utf8')) as Record<string, unknown>;
  writeFileSync(marker, JSON.stringify({ ...record, ...changes }));
}

function mountingOfSeal(): string {
  return (JSON.parse(readFileSync(marker, 'utf8')) as { mounting: string }).mounting;
}

/** What a disk would be marked as unmodified as now. */
function stateNow(): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(disk, { bigint: true });
  return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
}

/** Writes to the disk so that only the time that cannot be set tells of it. */
function rewriteSecretly(): void {
  const { atime, mtime } = statSync(disk);
  writeFileSync(disk, 'what the manifest SAYS', { flag: 'r+' });
  utimesSync(disk, atime, mtime);
}

/** Writes to a page of a file through a map, says so, and writes to it again when it is told to. */
const MAPPING_WRITER = `
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    pages = mmap.mmap(file.fileno(), 0)
    pages[3:4] = b"B"
    print("written")
    sys.stdin.readline()
    pages[3:4] = b"C"
    print("written")
    sys.stdin.readline()
`;

describe('a marked as unmodified disk', () => {
  beforeEach(needsSeals);

  it('is what it was', async () => {
    await markUnmodified(directory, MANIFEST, 'linux');
    expect(await markedState(directory, MANIFEST, 'linux')).toBe(stateNow());
    expect(mountingOfSeal()).toContain(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  });

  it('stays so when it is read, and when its directory gets another name', async () => {
    await markUnmodified(directory, MANIFEST, 'linux');
    readFileSync(disk);
    const moved = `${temporaryDirectory()}/moved`;
    renameSync(directory, moved);
    expect(await isSealed(moved)).toBe(true);
  });

  it('is one again when it is marked as unmodified after a change', async () => {
    await markUnmodified(directory, MANIFEST, 'linux');
    writeFileSync(disk, 'what the next manifest says');
    await markUnmodified(directory, Digest.sha256('b'.repeat(64)), 'linux');
    expect([await isSealed(), await isSealed(directory, Digest.sha256('b'.repeat(64)))]).toEqual([false, true]);
  });

  it.each([
    ['is written to, the same bytes even', () => writeFileSync(disk, 'what the manifest says', { flag: 'r+' })],
    [
      'is written to at once, and its date set back',
      () => {
        const { atime, mtime } = statSync(disk);
        writeFileSync(disk, 'what somebody  thought', { flag: 'r+' });
        utimesSync(disk, atime, mtime);
      },
    ],
    ['grows', () => truncateSync(disk, 4096)],
    [
      'is replaced by a copy',
      () => {
        copyFileSync(disk, `${directory}/copy`);
        renameSync(`${directory}/copy`, disk);
      },
    ],
    ['is gone', () => rmSync(disk)],
    ['lies beside another manifest', () => rewriteSeal({ manifest: `sha256:${'b'.repeat(64)}` })],
    [
      'was marked as unmodified before the machine started',
      () => rewriteSeal({ mounting: mountingOfSeal().replace(/^\S+/, 'another') }),
    ],
    [
      'was marked as unmodified in an earlier mounting',
      () => rewriteSeal({ mounting: mountingOfSeal().replace(/\d+$/, '1') }),
    ],
    ['has an unmodified marker of a version that is to come', () => rewriteSeal({ version: 2 })],
    ['has an unmodified marker that was cut off', () => truncateSync(marker, 20)],
    ['has no unmodified marker any more', () => rmSync(marker)],
    ['has an unmodified marker that is larger than any', () => appendFileSync(marker, ' '.repeat(8192))],
    [
      'has a directory in the place of its unmodified marker',
      () => {
        rmSync(marker);
        mkdirSync(marker);
      },
    ],
  ])('that %s has to be hashed', async (_, happens) => {
    await markUnmodified(directory, MANIFEST, 'linux');
    expect(await isSealed()).toBe(true);
    happens();
    expect(await isSealed()).toBe(false);
  });

  it('has to be hashed in a copy of its directory, however new the unmodified marker is', async () => {
    await markUnmodified(directory, MANIFEST, 'linux');
    const copy = `${temporaryDirectory()}/copy`;
    cpSync(directory, copy, { recursive: true, preserveTimestamps: true });
    const { ctimeNs } = statSync(`${copy}/disk.img`, { bigint: true });
    do utimesSync(`${copy}/${OurFile.marker}`, 1, 1);
    while (statSync(`${copy}/${OurFile.marker}`, { bigint: true }).ctimeNs <= ctimeNs);
    expect(await isSealed(copy)).toBe(false);
  });

  it('is believed only when the clock went on before it was marked as unmodified: a later change could have the same time', async () => {
    await markUnmodified(directory, MANIFEST, 'linux');
    for (let tries = 0; tries < 10_000; tries += 1) {
      chmodSync(disk, 0o600);
      rewriteSeal({ state: stateNow() });
      if (statSync(marker, { bigint: true }).ctimeNs <= statSync(disk, { bigint: true }).ctimeNs) break;
    }
    expect(statSync(marker, { bigint: true }).ctimeNs).toBe(statSync(disk, { bigint: true }).ctimeNs);
    expect(await isSealed()).toBe(false);
  });
});

describe('a disk that others know, and that was read', () => {
  beforeEach(needsSeals);

  /** Whether it is marked as unmodified after it was read. @param happens while it is. */
  async function isSealedAfter(happens: () => Promise<void> | void): Promise<boolean> {
    const state = await stateToMark(directory, 'linux');
    await happens();
    if (state !== undefined) await markUnmodified(directory, MANIFEST, 'linux', state);
    return isSealed();
  }

  it('is marked as unmodified, and nothing else is left beside it', async () => {
    expect(await isSealedAfter(() => undefined)).toBe(true);
    expect(readdirSync(directory).sort()).toEqual([OurFile.marker, 'disk.img']);
  });

  it.each<[string, () => Promise<void> | void]>([
    ['it was written to, in the same length and with the date set back', () => rewriteSecretly()],
    ['its mode was changed', () => chmodSync(disk, 0o600)],
    [
      'another one was put into its place',
      () => {
        writeFileSync(`${disk}.new`, 'disk');
        renameSync(`${disk}.new`, disk);
      },
    ],
  ])('is not marked as unmodified when meanwhile %s', async (_, happens) => {
    expect(await isSealedAfter(happens)).toBe(false);
  });

  it('is not marked as unmodified when a process wrote to a page that was written to before it was read', async (context) => {
    const python = spawnSync('python3', ['--version']).status;
    leaveOut(context, python !== 0, 'no python3 to map files with');
    const writer = spawn('python3', ['-uc', MAPPING_WRITER, disk], { stdio: ['pipe', 'pipe', 'inherit'] });
    onTestFinished(() => void writer.kill());
    await once(writer.stdout, 'data');
    const isSealedNow = await isSealedAfter(async () => {
      writer.stdin.write('\n');
      await once(writer.stdout, 'data');
    });
    expect([readFileSync(disk, 'utf8'), isSealedNow]).toEqual(['whaC the manifest says', false]);
  });

  it('is not marked as unmodified where others may write to its directory', async () => {
    chmodSync(directory, 0o777);
    expect(await stateToMark(directory, 'linux')).toBeUndefined();
  });
});

describe('an unmodified marker that another user could have written is none', () => {
  beforeEach(needsSeals);

  it.each<[string, () => void]>([
    ['because all may write to it', () => chmodSync(marker, 0o646)],
    ['because all may write to its directory', () => chmodSync(directory, 0o777)],
    [
      'because it is a symlink',
      () => {
        const elsewhere = `${temporaryDirectory()}/marker`;
        renameSync(marker, elsewhere);
        symlinkSync(elsewhere, marker);
      },
    ],
  ])('%s', async (_, happens) => {
    await markUnmodified(directory, MANIFEST, 'linux');
    expect(await isSealed()).toBe(true);
    happens();
    expect(await isSealed()).toBe(false);
  });

  it.for<[string, () => void]>([
    ['belongs to another user', () => chownSync(marker, 12_345, 0)],
    [
      'may be written by a group of others',
      () => {
        chownSync(marker, 0, 12_345);
        chmodSync(marker, 0o664);
      },
    ],
  ])('because it %s', async ([, happens], context) => {
    leaveOut(context, process.geteuid?.() !== 0, 'only root may give files to others');
    await markUnmodified(directory, MANIFEST, 'linux');
    happens();
    expect(await isSealed()).toBe(false);
  });
});

describe('no disk is marked as unmodified', () => {
  it('that is a symlink: what it leads to may lie elsewhere', async () => {
    renameSync(disk, `${directory}/elsewhere`);
    symlinkSync(`${directory}/elsewhere`, disk);
    await markUnmodified(directory, MANIFEST, 'linux');
    expect(existsSync(marker)).toBe(false);
    expect(await stateToMark(directory, 'linux')).toBeUndefined();
  });

  it('where another system runs', async () => {
    await markUnmodified(directory, MANIFEST, 'darwin');
    expect(existsSync(marker)).toBe(false);
  });

  it('in memory, where writes through maps set no time', async (context) => {
    leaveOut(context, !existsSync('/dev/shm') || statfsSync('/dev/shm').type !== TMPFS, 'no memory at /dev/shm');
    const place = mkdtempSync('/dev/shm/tartlet-test-');
    onTestFinished(() => rmSync(place, { recursive: true }));
    writeFileSync(`${place}/disk.img`, 'disk');
    await markUnmodified(place, MANIFEST, 'linux');
    expect(existsSync(`${place}/${OurFile.marker}`)).toBe(false);
  });

  it('that is not there; and that is no error', async () => {
    rmSync(disk);
    await markUnmodified(directory, MANIFEST, 'linux');
    expect(existsSync(marker)).toBe(false);
  });

  it('where the unmodified marker cannot be written; and that is no error', async () => {
    mkdirSync(marker);
    await markUnmodified(directory, MANIFEST, 'linux');
    expect(await isSealed()).toBe(false);
  });
});

describe.each(['ext4', 'xfs'] as const)('on %s', (kind) => {
  const cleanup = new Cleanup();
  beforeEach((context) => needsMountedDisk(context, kind));
  afterEach(async () => cleanup.run());

  it('an unmodified marker ends with the mounting: without unmounting, data may be newer than its time', async () => {
    const mounted = MountedDisk.make(cleanup, kind);
    writeFileSync(`${mounted.directory}/disk.img`, 'disk');
    await markUnmodified(mounted.directory, MANIFEST, 'linux');
    expect(await isSealed(mounted.directory)).toBe(true);
    const before = statSync(`${mounted.directory}/disk.img`, { bigint: true });
    mounted.remount();
    const { dev, ino, ctimeNs } = statSync(`${mounted.directory}/disk.img`, { bigint: true });
    expect({ dev, ino, ctimeNs }).toEqual({ dev: before.dev, ino: before.ino, ctimeNs: before.ctimeNs });
    expect(await isSealed(mounted.directory)).toBe(false);
  });
});

describe('on ext4 with inodes that know whole seconds only', () => {
  const cleanup = new Cleanup();
  beforeEach((context) => needsMountedDisk(context, 'ext4-whole-seconds'));
  afterEach(async () => cleanup.run());

  it('no disk is marked as unmodified, although the clock went on', async () => {
    const { directory: place } = MountedDisk.make(cleanup, 'ext4-whole-seconds');
    writeFileSync(`${place}/disk.img`, 'disk');
    const { ctimeNs } = statSync(`${place}/disk.img`, { bigint: true });
    do writeFileSync(`${place}/clock`, '');
    while (statSync(`${place}/clock`, { bigint: true }).ctimeNs <= ctimeNs);
    await markUnmodified(place, MANIFEST, 'linux');
    expect(existsSync(`${place}/${OurFile.marker}`)).toBe(false);
  });
});
