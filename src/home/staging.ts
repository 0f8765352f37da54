import type { Digest } from '../names/digest.ts';
import { ChunkJournal } from './chunk-journal.ts';
import { onDisk } from '../fs/disk-error.ts';
import { makeDirectoryTree } from '../fs/directory-tree.ts';
import type { Home } from './home.ts';
import { StagingEntry } from './home-entry.ts';
import { fsyncOrRemove } from '../fs/fsync.ts';
import { removeStrangers } from '../fs/plain-file.ts';
import { removeEntry } from '../fs/remove.ts';

/**
 * The unfinished directory of one pull, named after the digest that is being pulled, so that a tag which moves
 * meanwhile never mixes two images (tart-cli §7 #3). Its owner holds the lock of the digest. It outlives its process,
 * and the next pull of the digest continues in it.
 */
export class Staging {
  readonly directory: string;
  /** Of its disk. */
  readonly journal: ChunkJournal;

  private constructor(directory: string) {
    this.directory = directory;
    this.journal = new ChunkJournal(this.pathOf(StagingEntry.journal));
  }

  /** Where the directory is or will be; for callers that only look. */
  static at(home: Home, digest: Digest): Staging {
    return new Staging(`${home.stagingDirectory}/${digest.hex}`);
  }

  static async open(home: Home, digest: Digest): Promise<Staging> {
    const staging = Staging.at(home, digest);
    await removeStrangers(staging.directory);
    await makeDirectoryTree(staging.directory);
    return staging;
  }

  pathOf(file: string): string {
    return `${this.directory}/${file}`;
  }

  /**
   * Where blobs lie as they came, until there is room to decode them. The command that opens the staging of the same
   * digest later finds it gone.
   */
  get blobsDirectory(): string {
    return this.pathOf(StagingEntry.blobs);
  }

  /** Fsyncs everything that will be published, and removes what will not. */
  async fsync(files: readonly string[]): Promise<void> {
    for (const file of files) await fsyncOrRemove(this.pathOf(file));
    await this.removeBlobs();
    await this.journal.remove();
    // The socket of a pull that was killed.
    for (const entry of [StagingEntry.pieces, StagingEntry.fill]) await this.#remove(this.pathOf(entry));
  }

  async #remove(file: string): Promise<void> {
    await onDisk('remove', file, async () => removeEntry(file));
  }

  async removeBlobs(): Promise<void> {
    await this.#remove(this.blobsDirectory);
  }
}
