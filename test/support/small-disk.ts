import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'vitest';
import type { Cleanup } from './real-cleanup.ts';
import { leaveOut } from './left-out.ts';

const MIB = 1024 * 1024;
const PIECE = Buffer.alloc(64 * 1024, 1);

/**
 * A file system of a few MiB of memory that everybody sees, as what runs for long needs it; what one script needs mounts
 * by `own-mounts.ts`. Needs root.
 */
export class SmallDisk {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Until the end of the test. @param directory to mount on, which need not be there. */
  static mount(cleanup: Cleanup, directory: string, mib: number): SmallDisk {
    mkdirSync(directory, { recursive: true });
    mount(directory, mib);
    cleanup.add(() => void execFileSync('umount', ['--lazy', directory], { stdio: 'pipe' }));
    return new SmallDisk(directory);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.directory);
    return bavail * bsize;
  }

  /** Takes all but so many bytes, until {@link empty}; others may write meanwhile. */
  fill(leave = 0): void {
    const file = openSync(this.#filler, 'a');
    try {
      for (let more = this.freeBytes - leave; more > 0; more = this.freeBytes - leave)
        writeSync(file, PIECE, 0, Math.min(PIECE.length, more));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(this.#filler, { force: true });
  }

  get #filler(): string {
    return path.join(this.directory, '.filler');
  }
}

function mount(directory: string, mib: number): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib * MIB},mode=755`, 'tmpfs', directory], { stdio: 'pipe' });
}

let isPossible: boolean | undefined;

/** Leaves a test out, with a word, where this user cannot mount memory. */
export function needsSmallDisk(context: TestContext): void {
  isPossible ??= tryToMount();
  leaveOut(context, !isPossible, 'cannot mount tmpfs here');
}

function tryToMount(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/proc/self/mounts')) return false;
  const directory = mkdtempSync(path.join(os.tmpdir(), 'tartlet-mount-'));
  try {
    mount(directory, 1);
    execFileSync('umount', [directory], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
