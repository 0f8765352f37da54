import { appendFile, readFile, rm, writeFile } from 'node:fs/promises';
import { systemCode } from '../errors.ts';
import { diskError, onDisk } from './disk-error.ts';

/** Which chunks of an unfinished disk were verified, one index per line. Only a hint: whoever uses one hashes it again (reliability §4.1). */
export class ChunkJournal {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** Makes an empty one unless there is one: from now on, what it does not name was not verified. */
  async begin(): Promise<void> {
    await onDisk('write', this.#file, async () => writeFile(this.#file, '', { flag: 'a' }));
  }

  /** @returns undefined when there is none: whatever lies beside it was begun by somebody who keeps no journal. */
  async verified(): Promise<ReadonlySet<number> | undefined> {
    try {
      const lines = (await readFile(this.#file, 'utf8')).split('\n');
      // A torn last line is no whole number of the right length, or points at a chunk whose hash will not fit.
      return new Set(lines.filter((line) => /^\d{1,6}$/.test(line)).map(Number));
    } catch (cause) {
      if (['ENOENT', 'ENOTDIR'].includes(systemCode(cause) ?? '')) return undefined;
      throw diskError(cause, 'read', this.#file);
    }
  }

  async record(index: number): Promise<void> {
    await onDisk('write', this.#file, async () => appendFile(this.#file, `${index}\n`));
  }

  async remove(): Promise<void> {
    await onDisk('remove', this.#file, async () => rm(this.#file, { force: true }));
  }
}
