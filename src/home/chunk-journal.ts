import { closeSync, writeSync } from 'node:fs';
import type { StreamPosition } from '../codec/chunk-decoder.ts';
import { isTartletError } from '../errors.ts';
import { diskError, onDisk } from '../fs/disk-error.ts';
import { createFile } from '../fs/entry.ts';
import { openPlainFileSync } from '../fs/plain-file.ts';
import { removeEntry } from '../fs/remove.ts';
import { readSmallFileIfThere } from '../fs/small-file.ts';

const VERIFIED = /^\d{1,6}$/;
const PIECE = /^(\d{1,6})#(\d{1,7})$/;
const UNDER_WAY = /^(\d{1,6})@(\d{1,12}):(\d{1,12})$/;

/**
 * How far an unfinished disk is: a line `7` for a chunk that was verified, a line `8@40960:98304` for one under way,
 * whose first 40960 encoded bytes were decoded to 98304 that are written, and a line `9#17` for a piece of one of which
 * pieces come (`oci/piece-index.ts`). It is not fsynced, and a crash may tear its
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

  /** Pieces that were verified, of chunks that were not, by the indices of these. */
  async pieces(): Promise<ReadonlyMap<number, ReadonlySet<number>>> {
    const pieces = new Map<number, Set<number>>();
    for (const line of (await this.#lines()) ?? []) {
      const [, index, piece] = PIECE.exec(line) ?? [];
      if (VERIFIED.test(line)) pieces.delete(Number(line));
      if (index === undefined) continue;
      const noted = pieces.get(Number(index)) ?? new Set();
      pieces.set(Number(index), noted.add(Number(piece)));
    }
    return pieces;
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
  const notes = openNotes(journal);
  return { ...notes, note: ({ encoded, decoded }) => notes.append(`${index}@${encoded}:${decoded}`) };
}

/** Notes pieces of a chunk, each when its bytes were handed to the disk, as {@link noteBoundaries}. */
export function notePieces({ journal, index }: ChunkMark): { note(piece: number): void; close(): void } {
  const notes = openNotes(journal);
  return { ...notes, note: (piece) => notes.append(`${index}#${piece}`) };
}

function openNotes(journal: string): { append(line: string): void; close(): void } {
  let fd: number;
  try {
    fd = openPlainFileSync(journal, 'append');
  } catch (cause) {
    throw diskError(cause, 'open', journal);
  }
  return {
    append: (line) => {
      try {
        writeSync(fd, `${line}\n`);
      } catch (cause) {
        throw diskError(cause, 'write', journal);
      }
    },
    close: () => closeSync(fd),
  };
}
