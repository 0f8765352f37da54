import { closeSync, readSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { TartletError } from '../errors.ts';
import { diskError } from '../fs/disk-error.ts';
import { openDiskSync, openPlainFileSync } from '../fs/plain-file.ts';
import { Stopwatch } from './time-spent.ts';

/**
 * At most this many bytes go to or from the disk at once. Measured: single writes of 1 MiB and more on fresh files are
 * several times slower, and promises cost twice the CPU (performance.md §4), so workers use the synchronous calls.
 */
export const PIECE_BYTES = 256 * 1024;

const ZEROS = Buffer.alloc(PIECE_BYTES);

/** A disk image that chunks are written into, each within its own window and never beyond. */
export class DiskWindow {
  readonly #path: string;
  readonly #fd: number;
  readonly #offsets: readonly number[];
  readonly #size: number;
  readonly #fresh: boolean;
  readonly #scratch = Buffer.allocUnsafe(PIECE_BYTES);
  #written: number;

  /**
   * @param offsets where the same bytes belong: a chunk may occur several times in a disk.
   * @param size bytes of the window.
   * @param fresh whether the disk is known to be all zeros there, so that zeros need no writing.
   * @param written bytes at the beginning of the window that are there already.
   */
  constructor(path: string, offsets: readonly number[], size: number, fresh: boolean, written = 0) {
    this.#written = written;
    this.#path = path;
    this.#offsets = offsets;
    this.#size = size;
    this.#fresh = fresh;
    try {
      this.#fd = openPlainFileSync(path, 'write');
    } catch (cause) {
      throw diskError(cause, 'open', path);
    }
  }

  /** Appends bytes at the window's next position; zeros become or stay holes wherever possible. */
  write(bytes: Uint8Array, zero: boolean): void {
    if (this.#written + bytes.length > this.#size) {
      throw new TartletError('CHUNK_CORRUPT', `a chunk decodes to more than its ${this.#size} bytes`, {
        subject: this.#path,
      });
    }
    for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
      const piece = bytes.subarray(from, from + PIECE_BYTES);
      for (const offset of this.#offsets) {
        const at = offset + this.#written + from;
        if (!zero) this.#writeFully(piece, at);
        else if (!this.#fresh) this.#clear(piece.length, at);
      }
    }
    this.#written += bytes.length;
  }

  /** Makes an extent of a disk with a history zero; what is zero already, holes included, is only read. */
  #clear(length: number, at: number): void {
    const there = this.#scratch.subarray(0, length);
    const found = this.#guard('read', () => readSync(this.#fd, there, 0, length, at));
    if (!there.subarray(0, found).equals(ZEROS.subarray(0, found))) this.#writeFully(ZEROS.subarray(0, length), at);
  }

  /** A short count is no error to the system, e.g. when the disk fills up (reliability D6): the next call tells. */
  #writeFully(piece: Uint8Array, at: number): void {
    for (let done = 0; done < piece.length; ) {
      done += this.#guard('write', () => writeSync(this.#fd, piece, done, piece.length - done, at + done));
    }
  }

  #guard(doing: string, work: () => number): number {
    try {
      return work();
    } catch (cause) {
      throw diskError(cause, doing, this.#path);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/**
 * Reads an extent of a disk image piece by piece. Each piece is valid until the next one is asked for. Reading is
 * synchronous, but before each piece the thread does what else there is: an abort would come only after the whole
 * extent, and an upload beside it goes on by a quarter of a megabyte each time (one turn takes some microseconds, to
 * encode a piece takes most of a millisecond).
 *
 * @param stopwatch counts the time of reading.
 * @throws TartletError `CHUNK_CORRUPT` when the file ends early: another process is changing it.
 */
export async function* readWindow(
  path: string,
  offset: number,
  size: number,
  signal: AbortSignal,
  stopwatch = new Stopwatch(),
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  let fd: number;
  try {
    fd = openDiskSync(path);
  } catch (cause) {
    throw diskError(cause, 'open', path);
  }
  try {
    for (let done = 0; done < size; ) {
      await setImmediate();
      signal.throwIfAborted();
      const [length, at] = [Math.min(PIECE_BYTES, size - done), offset + done];
      const read = stopwatch.onDisk(() => readPiece(fd, buffer, length, at, path));
      if (read === 0) {
        throw new TartletError(
          'CHUNK_CORRUPT',
          `${path} ends at byte ${offset + done}: it was changed while being read`,
          { subject: path, next: { kind: 'run-again-undisturbed' } },
        );
      }
      yield buffer.subarray(0, read);
      done += read;
    }
  } finally {
    closeSync(fd);
  }
}

function readPiece(fd: number, buffer: Buffer, length: number, at: number, path: string): number {
  try {
    return readSync(fd, buffer, 0, length, at);
  } catch (cause) {
    throw diskError(cause, `read at byte ${at} of`, path);
  }
}

/** Whether bytes are all zero; at most {@link PIECE_BYTES} of them. */
export function isZeroPiece(piece: Uint8Array): boolean {
  return ZEROS.subarray(0, piece.length).equals(piece);
}
