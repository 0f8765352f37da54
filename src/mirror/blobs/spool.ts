import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { describeError } from '../../errors.ts';
import { diskError } from '../../fs/disk-error.ts';
import type { Digest } from '../../names/digest.ts';
import { writeFully } from '../../server/store/upload.ts';
import type { CacheBudget, HeldFile } from './budget.ts';
import type { StoredBlobs } from './stored-blobs.ts';

const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants;

/** Bytes that are read at once when kept ones are hashed. */
const PIECE = 1024 * 1024;

/** After so many bytes the free space is looked at again. */
const LOOK_EVERY = 64 * 1024 * 1024;

/** The disk does not take the blob, or takes no more of it: its readers get the bytes without it. */
export class NotSpooled extends Error {}

/** Where a blob is to arrive. */
export interface SpoolSettings {
  readonly path: string;
  /** Bytes of the blob. */
  readonly size: number;
  readonly budget: CacheBudget;
}

/**
 * The file that a blob arrives in: its bytes from the first on, without a gap, so that its length says how many there
 * are, also after a crash. One descriptor for the writer and all readers. Whatever the disk refuses is
 * {@link NotSpooled}, but in {@link read}.
 */
export class Spool {
  readonly #path: string;
  readonly #budget: CacheBudget;
  readonly #file: FileHandle;
  /** Of the spool; of the stored blob, when it has become one. */
  #held: HeldFile;
  #arrived: number;

  private constructor({ path, budget }: SpoolSettings, file: FileHandle, held: HeldFile, arrived: number) {
    this.#path = path;
    this.#budget = budget;
    this.#file = file;
    this.#held = held;
    this.#arrived = arrived;
  }

  /** Opens or makes it. Bytes that an earlier flight left stay, unless they are more than the blob has. */
  static async open(settings: SpoolSettings): Promise<Spool> {
    const { path, size, budget } = settings;
    const held = budget.get(path) ?? budget.add('spool', path, 0);
    budget.use(held);
    const kept = held.bytes;
    try {
      if (!(await budget.reserve(held, size))) throw new NotSpooled('there is no room for it');
      return await onDisk(path, async () => new Spool(settings, ...(await openFile(path, held, size))));
    } catch (error) {
      budget.resize(held, kept);
      if (kept === 0) budget.forget(held);
      budget.rest(held);
      throw error;
    }
  }

  /** Bytes that are there, from the first on. */
  get arrived(): number {
    return this.#arrived;
  }

  /** Reads what is there, in order. Each piece is done with before the next is asked for. */
  async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    const buffer = Buffer.allocUnsafe(Math.min(PIECE, this.#arrived));
    for (let at = 0; at < this.#arrived; ) {
      const left = buffer.subarray(0, Math.min(buffer.length, this.#arrived - at));
      const count = await onDisk(this.#path, async () => this.read(left, at));
      if (count === 0) throw new NotSpooled('the spool became shorter while it was read');
      yield buffer.subarray(0, count);
      at += count;
    }
  }

  /** Resolves when the bytes are in the file: the upstream is held back meanwhile. */
  async append(piece: Uint8Array): Promise<void> {
    const end = this.#arrived + piece.length;
    await onDisk(this.#path, async () => {
      const isLookDue = Math.floor(this.#arrived / LOOK_EVERY) !== Math.floor(end / LOOK_EVERY);
      if (isLookDue && !(await this.#budget.isFree(0))) throw new NotSpooled('the disk has no more room for it');
      await writeFully(this.#file, [piece], this.#arrived, piece.length);
    });
    this.#arrived = end;
  }

  /** @returns how many bytes were read. @throws the system's own error */
  async read(buffer: Buffer, position: number): Promise<number> {
    return (await this.#file.read(buffer, 0, buffer.length, position)).bytesRead;
  }

  /** Makes it a stored blob. All of it is there, and **was verified**. */
  async store(stored: StoredBlobs, digest: Digest): Promise<void> {
    await onDisk(this.#path, async () => {
      await this.#file.sync();
      const blob = await stored.adopt(this.#path, digest, this.#arrived);
      this.#budget.forget(this.#held);
      this.#budget.rest(this.#held);
      this.#held = blob;
    });
  }

  /** The flight is over: what is there stays for the next one, or goes. Who has it open reads on in any case. */
  async end(what: 'keep' | 'discard'): Promise<void> {
    this.#budget.resize(this.#held, this.#arrived);
    if (what === 'keep' && this.#arrived > 0) return;
    // A file that cannot be removed is gone on with, and the digest decides again.
    await this.#budget.remove(this.#held).catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.#file.close();
    this.#budget.rest(this.#held);
  }
}

async function openFile(path: string, held: HeldFile, size: number): Promise<[FileHandle, HeldFile, number]> {
  const file = await open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    const { size: kept } = await file.stat();
    if (kept > size) await file.truncate(0);
    return [file, held, kept > size ? 0 : kept];
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function onDisk<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof NotSpooled) throw cause;
    throw new NotSpooled(describeError(diskError(cause, 'write', path)), { cause });
  }
}
