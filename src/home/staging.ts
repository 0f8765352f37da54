import { appendFile, readFile, rm } from 'node:fs/promises';
import { systemCode } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import { onDisk } from './disk-error.ts';
import { sizeDisk } from './disk-size.ts';
import { flushFile, makeFolder } from './folder.ts';
import type { Home } from './home.ts';
import { VmFile } from './vm-folder.ts';

const JOURNAL = '.verified';

/**
 * The unfinished folder of one pull, named after the digest that is being pulled, so that a tag which moves meanwhile never
 * mixes two images (tart-cli §7 #3). Its owner holds the lock of the digest. It outlives its process, and the next
 * pull of the digest continues in it.
 */
export class Staging {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Where the folder is or will be; for whoever only looks. */
  static at(home: Home, digest: Digest): Staging {
    return new Staging(`${home.stagingFolder}/${digest.hex}`);
  }

  static async open(home: Home, digest: Digest): Promise<Staging> {
    const staging = Staging.at(home, digest);
    await makeFolder(staging.folder);
    return staging;
  }

  pathOf(file: string): string {
    return `${this.folder}/${file}`;
  }

  /**
   * Gives the disk its size.
   * @returns whether it is fresh, i.e. known to hold nothing but zeros.
   */
  async prepareDisk(bytes: number): Promise<{ path: string; fresh: boolean }> {
    const path = this.pathOf(VmFile.disk);
    return { path, fresh: await sizeDisk(path, bytes) };
  }

  /** Chunks that an earlier run had verified. Only a hint: whoever uses one hashes it again (reliability §4.1). */
  async verifiedChunks(): Promise<ReadonlySet<number>> {
    try {
      const lines = (await readFile(this.pathOf(JOURNAL), 'utf8')).split('\n');
      // A torn last line is no whole number of the right length, or points at a chunk whose hash will not fit.
      return new Set(lines.filter((line) => /^\d{1,6}$/.test(line)).map(Number));
    } catch (cause) {
      if (systemCode(cause) === 'ENOENT') return new Set();
      throw cause;
    }
  }

  async recordVerified(index: number): Promise<void> {
    await onDisk('write', this.pathOf(JOURNAL), async () => appendFile(this.pathOf(JOURNAL), `${index}\n`));
  }

  /** Flushes everything that will be published, and removes what will not. */
  async seal(files: readonly string[]): Promise<void> {
    for (const file of files) await flushFile(this.pathOf(file));
    await rm(this.pathOf(JOURNAL), { force: true });
  }
}
