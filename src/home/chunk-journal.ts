import { closeSync, writeSync } from 'node:fs';
import type { StreamPosition } from '../codec/chunk-decoder.ts';
import { isTartletError } from '../errors.ts';
import { diskError, onDisk } from '../fs/disk-error.ts';
import { createFile } from '../fs/entry.ts';
import { openPlainFileSync } from '../fs/plain-file.ts';
import { removeEntry } from '../fs/remove.ts';
import { readSmallFileIfThere } from '../fs/small-file.ts';

const VERIFIED = /^\d{1,6}$/;
const UNDER_WAY = /^(\d{1,6})@(\d{1,12}):(\d{1,12})$/;

/**
 * How far an unfinished disk is: a line `7` for a chunk that was verified, a line `8@40960:98304` for one under way,
 * whose first 40960 encoded bytes were decoded to 98304 that are written. It is not fsynced, and a crash may tear its
 * last line: it is only a hint, and its reader hashes what lies on the disk (reliability §4.1).
 */
export class ChunkJournal {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** Makes one unless there is one: from now on, what it does not name was not verified. */
  async begin(): Promise<void> {
    // Ends the line that a crash may have torn.
    await this.#append('\n');
  }

  /** Where it lies, for threads that write {@link noteBoundaries} into it. */
  get path(): string {
    return this.#file;
  }

  /** @returns undefined when there is none: what lies beside it was begun by a program that keeps no journal. */
  async verified(): Promise<ReadonlySet<number> | undefined> {
    // A torn line is no whole number of the right length, or points at a chunk whose hash will not fit.
    const lines = await this.#lines();
    return lines === undefined ? undefined : new Set(lines.filter((line) => VERIFIED.test(line)).map(Number));
  }

  /** How far chunks were that are not verified: of each the last word, by its index. */
  async underWay(): Promise<ReadonlyMap<number, StreamPosition>> {
    const positions = new Map<number, StreamPosition>();
    for (const line of (await this.#lines()) ?? []) {
      const [, index, encoded, decoded] = UNDER_WAY.exec(line) ?? [];
      if (index !== undefined) positions.set(Number(index), { encoded: Number(encoded), decoded: Number(decoded) });
      else if (VERIFIED.test(line)) positions.delete(Number(line));
    }
    return positions;
  }

  async #lines(): Promise<string[] | undefined> {
    try {
      return (await readSmallFileIfThere(this.#file))?.toString().split('\n');
    } catch (error) {
      // What is no file we did not begin.
      if (isTartletError(error, 'STORE_DAMAGED')) return undefined;
      throw error;
    }
  }

  async record(index: number): Promise<void> {
    await this.#append(`${index}\n`);
  }

  async #append(text: string): Promise<void> {
    await onDisk('write', this.#file, async () => {
      const handle = await createFile(this.#file, 'append');
      try {
        await handle.appendFile(text);
      } finally {
        await handle.close();
      }
    });
  }

  async remove(): Promise<void> {
    await onDisk('remove', this.#file, async () => removeEntry(this.#file));
  }
}

/** Where the progress of one chunk is noted. Plain data, for threads. */
export interface ChunkMark {
  /** {@link ChunkJournal.path} */
  readonly journal: string;
  readonly index: number;
}

/**
 * Notes how far a chunk is, each time all bytes before a boundary were handed to the disk; synchronous, as the writing
 * of the disk itself. Lines of several threads do not mix: they are appended whole.
 */
export function noteBoundaries({ journal, index }: ChunkMark): { note(at: StreamPosition): void; close(): void } {
  let fd: number;
  try {
    fd = openPlainFileSync(journal, 'append');
  } catch (cause) {
    throw diskError(cause, 'open', journal);
  }
  return {
    note: ({ encoded, decoded }) => {
      try {
        writeSync(fd, `${index}@${encoded}:${decoded}\n`);
      } catch (cause) {
        throw diskError(cause, 'write', journal);
      }
    },
    close: () => closeSync(fd),
  };
}
