import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  statfsSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { SEAL_FILE, sealDisk, sealedState } from '../../src/home/disk-seal.ts';
import { Digest } from '../../src/names/digest.ts';
import { temporaryFolder } from '../support/folder.ts';
import { needsSeals } from '../support/seal.ts';

const MANIFEST = Digest.sha256('a'.repeat(64));
const TMPFS = 0x01021994;

let folder: string;
let disk: string;
let seal: string;
beforeEach(() => {
  folder = temporaryFolder();
  disk = `${folder}/disk.img`;
  seal = `${folder}/${SEAL_FILE}`;
  writeFileSync(disk, 'what the manifest says');
});

async function isSealed(at = folder, manifest = MANIFEST): Promise<boolean> {
  return (await sealedState(at, manifest, 'linux')) !== undefined;
}

function rewriteSeal(changes: Record<string, unknown>): void {
  const record = JSON.parse(readFileSync(seal, 'utf8')) as Record<string, unknown>;
  writeFileSync(seal, JSON.stringify({ ...record, ...changes }));
}

/** What a disk would be sealed as now. */
function stateNow(): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(disk, { bigint: true });
  return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
}

describe('a sealed disk', () => {
  beforeEach(needsSeals);

  it('is what it was', async () => {
    await sealDisk(folder, MANIFEST, 'linux');
    expect(await sealedState(folder, MANIFEST, 'linux')).toBe(stateNow());
  });

  it('stays so when it is read, and when its folder gets another name', async () => {
    await sealDisk(folder, MANIFEST, 'linux');
    readFileSync(disk);
    const moved = `${temporaryFolder()}/moved`;
    renameSync(folder, moved);
    expect(await isSealed(moved)).toBe(true);
  });

  it('is one again when it is sealed after a change', async () => {
    await sealDisk(folder, MANIFEST, 'linux');
    writeFileSync(disk, 'what the next manifest says');
    await sealDisk(folder, Digest.sha256('b'.repeat(64)), 'linux');
    expect([await isSealed(), await isSealed(folder, Digest.sha256('b'.repeat(64)))]).toEqual([false, true]);
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
        copyFileSync(disk, `${folder}/copy`);
        renameSync(`${folder}/copy`, disk);
      },
    ],
    ['is gone', () => rmSync(disk)],
    ['lies beside another manifest', () => rewriteSeal({ manifest: `sha256:${'b'.repeat(64)}` })],
    ['was sealed before the machine started', () => rewriteSeal({ boot: '6f0c5b53-8a5c-4f0d-a5e8-0d3cf2a1f9d4' })],
    ['has a seal of a version that is to come', () => rewriteSeal({ version: 2 })],
    ['has a seal that was cut off', () => truncateSync(seal, 20)],
    ['has no seal any more', () => rmSync(seal)],
    [
      'has a folder in the place of its seal',
      () => {
        rmSync(seal);
        mkdirSync(seal);
      },
    ],
  ])('that %s has to be hashed', async (_, happens) => {
    await sealDisk(folder, MANIFEST, 'linux');
    expect(await isSealed()).toBe(true);
    happens();
    expect(await isSealed()).toBe(false);
  });

  it('is believed only when the clock went on before it was sealed: a later change could have the same time', async () => {
    await sealDisk(folder, MANIFEST, 'linux');
    for (let tries = 0; tries < 10_000; tries += 1) {
      chmodSync(disk, 0o600);
      rewriteSeal({ state: stateNow() });
      if (statSync(seal, { bigint: true }).ctimeNs <= statSync(disk, { bigint: true }).ctimeNs) break;
    }
    expect(statSync(seal, { bigint: true }).ctimeNs).toBe(statSync(disk, { bigint: true }).ctimeNs);
    expect(await isSealed()).toBe(false);
  });
});

describe('no disk is sealed', () => {
  it('where another system runs', async () => {
    await sealDisk(folder, MANIFEST, 'darwin');
    expect(existsSync(seal)).toBe(false);
  });

  it('in memory, where writes through maps set no time', async (context) => {
    context.skip(!existsSync('/dev/shm') || statfsSync('/dev/shm').type !== TMPFS, 'left out: no memory at /dev/shm');
    const place = mkdtempSync('/dev/shm/tartlet-test-');
    onTestFinished(() => rmSync(place, { recursive: true }));
    writeFileSync(`${place}/disk.img`, 'disk');
    await sealDisk(place, MANIFEST, 'linux');
    expect(existsSync(`${place}/${SEAL_FILE}`)).toBe(false);
  });

  it('that is not there; and that is no error', async () => {
    rmSync(disk);
    await sealDisk(folder, MANIFEST, 'linux');
    expect(existsSync(seal)).toBe(false);
  });

  it('where the seal cannot be written; and that is no error', async () => {
    mkdirSync(seal);
    await sealDisk(folder, MANIFEST, 'linux');
    expect(await isSealed()).toBe(false);
  });
});
