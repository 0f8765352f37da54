import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Cleanup } from './real-cleanup.ts';

const MIB = 1024 * 1024;

/** How file systems are made, and the smallest that their programs make, in MiB. */
const KINDS = {
  ext4: { make: ['mkfs.ext4', '-q', '-F', '-m', '0'], mib: 16 },
  xfs: { make: ['mkfs.xfs', '-q'], mib: 320 },
  btrfs: { make: ['mkfs.btrfs', '-q'], mib: 256 },
} as const;
type Kind = keyof typeof KINDS;

/** A file system in a file, mounted on a folder of its own. Needs root. */
export class MountedDisk {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** @param mib its size; default: the smallest there is. */
  static make(cleanup: Cleanup, kind: Kind, mib: number = KINDS[kind].mib): MountedDisk {
    const work = cleanup.folder();
    const [folder, image] = [path.join(work, 'mounted'), path.join(work, 'image')];
    mkdirSync(folder);
    writeFileSync(image, '');
    truncateSync(image, mib * MIB);
    const [program, ...options] = KINDS[kind].make;
    execFileSync(program, [...options, image], { env: ENVIRONMENT, stdio: 'pipe' });
    execFileSync('mount', ['-o', 'loop', image, folder], { env: ENVIRONMENT, stdio: 'pipe' });
    cleanup.add(() => {
      execFileSync('umount', ['--lazy', folder], { env: ENVIRONMENT, stdio: 'pipe' });
    });
    return new MountedDisk(folder);
  }

  /** Where a path of another file system leads to this one from now on. */
  bindTo(cleanup: Cleanup, folder: string): void {
    execFileSync('mount', ['--bind', this.folder, folder], { env: ENVIRONMENT, stdio: 'pipe' });
    cleanup.add(() => {
      execFileSync('umount', ['--lazy', folder], { env: ENVIRONMENT, stdio: 'pipe' });
    });
  }

  makeReadOnly(): void {
    execFileSync('mount', ['-o', 'remount,ro', this.folder], { env: ENVIRONMENT, stdio: 'pipe' });
  }

  /** Bytes that are taken, when all is written that waits. */
  get usedBytes(): number {
    execFileSync('sync', ['--file-system', this.folder]);
    const { blocks, bfree, bsize } = statfsSync(this.folder);
    return (blocks - bfree) * bsize;
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }
}

const ENVIRONMENT = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' };

/** Whether this user can mount file systems of a kind here: many a container cannot, and then tests are left out. */
export function canMount(kind: Kind): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/dev/loop-control')) return false;
  const cleanup = new Cleanup();
  try {
    MountedDisk.make(cleanup, kind);
    return true;
  } catch {
    return false;
  } finally {
    void cleanup.run();
  }
}
