import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
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

/** Runs a program of the system, which may lie where only root looks. */
function run(program: string, ...options: readonly string[]): void {
  const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' };
  execFileSync(program, options, { env, stdio: 'pipe' });
}

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
    run(program, ...options, image);
    run('mount', '-o', 'loop', image, folder);
    cleanup.add(() => run('umount', '--lazy', folder));
    return new MountedDisk(folder);
  }

  /** Where a path of another file system leads to this one from now on. */
  bindTo(cleanup: Cleanup, folder: string): void {
    bindFolder(cleanup, this.folder, folder, 'rw');
  }

  makeReadOnly(): void {
    run('mount', '-o', 'remount,ro', this.folder);
  }

  /** Bytes that are taken, when all is written that waits. */
  get usedBytes(): number {
    run('sync', '--file-system', this.folder);
    const { blocks, bfree, bsize } = statfsSync(this.folder);
    return (blocks - bfree) * bsize;
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }
}

/** Lets a folder lead to another one, as volumes of containers do. */
export function bindFolder(cleanup: Cleanup, from: string, to: string, mode: 'rw' | 'ro'): void {
  run('mount', '--bind', from, to);
  cleanup.add(() => run('umount', '--lazy', to));
  if (mode === 'ro') run('mount', '-o', 'remount,bind,ro', to);
}

const known = new Map<Kind, boolean>();

/** Whether this user can mount file systems of a kind here: many a container cannot, and then tests are left out. */
export function canMount(kind: Kind): boolean {
  const answer = known.get(kind) ?? tryToMount(kind);
  known.set(kind, answer);
  return answer;
}

function tryToMount(kind: Kind): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/dev/loop-control')) return false;
  const cleanup = new Cleanup();
  try {
    MountedDisk.make(cleanup, kind);
    return true;
  } catch {
    return false;
  } finally {
    void cleanup.run().catch(() => undefined); // Whatever stays is in the folder for temporary files.
  }
}
