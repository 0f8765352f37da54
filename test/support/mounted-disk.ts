import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'vitest';
import { Cleanup } from './real-cleanup.ts';
import { leaveOut } from './left-out.ts';

/*
 * Disks of file systems that are no memory: some share blocks between files, and keep exact times, others do not. Only
 * root may mount those, where everybody sees them: so no test has one that could do with the mounts of `own-mounts.ts`.
 */

const MIB = 1024 * 1024;

/** How file systems are made, and the smallest that their programs make, in MiB. */
const KINDS = {
  xfs: { make: ['mkfs.xfs', '-q'], mib: 320 },
  btrfs: { make: ['mkfs.btrfs', '-q'], mib: 256 },
  ext4: { make: ['mkfs.ext4', '-q'], mib: 16 },
  'ext4-whole-seconds': { make: ['mkfs.ext4', '-q', '-I', '128'], mib: 16 },
} as const;
type Kind = keyof typeof KINDS;

/** Runs a program of the system, which may lie where only root looks. */
function run(program: string, ...options: readonly string[]): void {
  const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' };
  execFileSync(program, options, { env, stdio: 'pipe' });
}

/** A file system in a file, mounted on a directory of its own. Needs root. */
export class MountedDisk {
  readonly directory: string;
  readonly #image: string;

  private constructor(directory: string, image: string) {
    this.directory = directory;
    this.#image = image;
  }

  static make(cleanup: Cleanup, kind: Kind): MountedDisk {
    const work = cleanup.directory();
    const [directory, image] = [path.join(work, 'mounted'), path.join(work, 'image')];
    const { make, mib } = KINDS[kind];
    const [program, ...options] = make;
    mkdirSync(directory);
    writeFileSync(image, '');
    truncateSync(image, mib * MIB);
    run(program, ...options, image);
    run('mount', '-o', 'loop', image, directory);
    cleanup.add(() => run('umount', '--lazy', directory));
    return new MountedDisk(directory, image);
  }

  /** As after the cable was pulled and put in again, with nothing lost. */
  remount(): void {
    run('umount', this.directory);
    run('mount', '-o', 'loop', this.#image, this.directory);
  }

  /** Bytes that are taken, when all is written that waits. */
  get usedBytes(): number {
    run('sync', '--file-system', this.directory);
    const { blocks, bfree, bsize } = statfsSync(this.directory);
    return (blocks - bfree) * bsize;
  }
}

const known = new Map<Kind, boolean>();

/**
 * Leaves a test out, with a word, where this user cannot mount file systems of a kind: many a container forbids it to
 * root as well.
 */
export function needsMountedDisk(context: TestContext, kind: Kind): void {
  const canMount = known.get(kind) ?? tryToMount(kind);
  known.set(kind, canMount);
  leaveOut(context, !canMount, `cannot mount ${kind} here`);
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
    void cleanup.run().catch(() => undefined); // Whatever stays is in the directory for temporary files.
  }
}
