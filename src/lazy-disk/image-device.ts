import { setMaxListeners } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { isTartletError } from '../errors.ts';
import { openForReading, readRange, type ByteRange } from '../fs/disk/read-range.ts';
import { StagingEntry, VmFile } from '../home/home-entry.ts';
import { Staging } from '../home/staging.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { BlockDevice, Extent } from '../nbd/block-device.ts';
import { NbdClient } from '../nbd/nbd-client.ts';
import type { DiskChunk, FlatImage } from '../oci/tart-image.ts';
import type { Session } from '../session/session.ts';
import { chunksWithin } from '../transfer/fill/chunks-within.ts';
import { DiskUnits } from '../transfer/fill/disk-units.ts';

/** How often it is looked whether some process brings the image now, in milliseconds. */
const LOOK_EVERY_MS = 100;

/** Who waits for so long is told of, in milliseconds. */
const LATE_AFTER_MS = 60_000;

/** A process that brings the image, and the file that it brings it to. */
interface Source {
  readonly client: NbdClient;
  /** Opened when the first of it is verified: until then it may still be replaced. */
  disk: Promise<FileHandle> | undefined;
}

export interface ImageDeviceOptions {
  /** Contents that are nothing but zeros, as texts of their digests. */
  readonly zeros: ReadonlySet<string>;
  /**
   * Told when something was waited for so long, with how long, in milliseconds: once, however much is waited for, until
   * something of that comes.
   */
  readonly onLate: (waitedMs: number) => void;
}

/**
 * The disk of an image that may still be on its way, as a device. It reads only what a process that holds the image's
 * lock has verified: of the disk that it brings, whichever process that is, or of the cached image. What is not there
 * yet is waited for, however long that takes; the network is never an error here.
 */
export class ImageDevice implements BlockDevice {
  readonly size: number;
  readonly #session: Session;
  readonly #name: RemoteName;
  readonly #chunks: readonly DiskChunk[];
  readonly #options: ImageDeviceOptions;
  readonly #staging: Staging;
  readonly #ended = new AbortController();
  readonly #units: DiskUnits;
  /** Which units are known to be verified in {@link #disk}. */
  #verified: Uint8Array;
  #disk: { readonly handle: FileHandle; readonly file: string } | undefined;
  #source: Promise<Source | undefined> | undefined;
  /** That something is late was told, and nothing has come since. */
  #isLate = false;
  /** Files that answers may still be read from. */
  readonly #opened: FileHandle[] = [];

  /** @param name with the digest of the image. */
  constructor(session: Session, name: RemoteName, image: FlatImage, options: ImageDeviceOptions) {
    this.#session = session;
    this.#name = name;
    this.#chunks = image.base.chunks;
    this.#units = new DiskUnits(this.#chunks);
    this.#verified = new Uint8Array(this.#units.count);
    this.size = image.base.size;
    this.#options = options;
    this.#staging = Staging.at(session.home, image.manifest.digest);
  }

  async extents(range: ByteRange): Promise<readonly Extent[]> {
    const extents: Extent[] = [];
    const end = range.offset + range.length;
    for (const chunk of chunksWithin(this.#chunks, range)) {
      const offset = Math.max(range.offset, chunk.offset);
      const length = Math.min(end, chunk.offset + chunk.size) - offset;
      const kind = this.#isZero(chunk) ? 'hole' : 'data';
      const last = extents.at(-1);
      if (last?.kind === kind) extents[extents.length - 1] = { ...last, length: last.length + length };
      else extents.push({ kind, offset, length });
    }
    return extents;
  }

  async ready(range: ByteRange, signal: AbortSignal): Promise<void> {
    const wanted = this.#wanted(range);
    if (this.#has(wanted)) return;
    const ended = AbortSignal.any([signal, this.#ended.signal]);
    setMaxListeners(0, ended); // One for each part that is waited for.
    const late = setTimeout(() => this.#tellLate(), LATE_AFTER_MS);
    try {
      while (!this.#has(wanted)) {
        ended.throwIfAborted();
        if (!(await this.#bring(wanted, ended))) await delay(LOOK_EVERY_MS, undefined, { signal: ended });
      }
      this.#isLate = false;
    } finally {
      clearTimeout(late);
    }
  }

  async read({ offset, length }: ByteRange): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafe(length);
    if (this.#disk === undefined) throw new TypeError('nothing is ready');
    await readRange(this.#disk.handle, this.#name.toString(), offset, bytes);
    return bytes;
  }

  async close(): Promise<void> {
    this.#ended.abort(new Error('the device is closed'));
    (await this.#source?.catch(() => undefined))?.client.close();
    for (const handle of this.#opened) await handle.close();
  }

  #tellLate(): void {
    if (this.#isLate) return;
    this.#isLate = true;
    this.#options.onLate(LATE_AFTER_MS);
  }

  #isZero(chunk: DiskChunk): boolean {
    return this.#options.zeros.has(chunk.contentDigest.toString());
  }

  /** The units of a range, but for those that are zeros anyway. */
  #wanted(range: ByteRange): readonly number[] {
    const { first, last } = this.#units.within(range);
    const all = Array.from({ length: last - first + 1 }, (_, at) => first + at);
    return all.filter((unit) => !this.#isZero(this.#units.unit(unit).chunk));
  }

  #has(units: readonly number[]): boolean {
    return units.every((unit) => this.#verified[unit] === 1);
  }

  /** @returns whether there is news: else the caller looks again a little later. */
  async #bring(wanted: readonly number[], signal: AbortSignal): Promise<boolean> {
    this.#source ??= this.#find();
    const mine = this.#source;
    try {
      const source = await mine;
      if (source === undefined) {
        if (this.#has(wanted)) return true; // The image is whole.
        if (this.#source === mine) this.#source = undefined;
        return false;
      }
      const missing = wanted.filter((unit) => this.#verified[unit] !== 1);
      await Promise.all(
        runsOf(missing).map(async (run) => {
          // No more than is read, or the fetching side would wait for what lies beside it.
          await source.client.cache(this.#rangeOf(run), signal);
          source.disk ??= this.#openStaged(source.client);
          const disk = await source.disk;
          // Of the file that was opened, and no other that came into its place since.
          if (this.#disk?.handle === disk) for (const unit of run) this.#verified[unit] = 1;
        }),
      );
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (isTartletError(error, 'INTERNAL')) throw error;
      // That process has ended, as a rule with a whole image.
      if (this.#source !== mine) return false;
      this.#source = undefined;
      void mine.then((source) => source?.client.close()).catch(() => undefined);
      return false;
    }
  }

  #rangeOf(run: readonly number[]): ByteRange {
    const [first, last] = [this.#units.unit(run[0] ?? 0), this.#units.unit(run.at(-1) ?? 0)];
    return { offset: first.offset, length: last.offset + last.length - first.offset };
  }

  /** The whole image, or the process that brings it. @returns undefined for neither, and for the whole image. */
  async #find(): Promise<Source | undefined> {
    const image = await this.#session.images.find(this.#name);
    if (image?.directory.layout === 'standalone') {
      await this.#adopt(await openForReading(`${image.directory.path}/${VmFile.disk}`));
      this.#verified.fill(1);
      return undefined;
    }
    return { client: await NbdClient.connect(this.#staging.pathOf(StagingEntry.fill)), disk: undefined };
  }

  /**
   * The file that a process brings the image to. It is not replaced any more once something of it is verified, and as
   * long as that process answers, no other has its lock.
   */
  async #openStaged(client: NbdClient): Promise<FileHandle> {
    const handle = await openForReading(this.#staging.pathOf(VmFile.disk));
    const adopted = await this.#adopt(handle);
    await client.hear(this.#ended.signal);
    return adopted;
  }

  /** What was verified stays so in the same file, whichever process goes on with it. */
  async #adopt(handle: FileHandle): Promise<FileHandle> {
    const { ino, dev } = await handle.stat({ bigint: true });
    const file = `${dev} ${ino}`;
    if (this.#disk?.file === file) {
      await handle.close();
      return this.#disk.handle;
    }
    this.#opened.push(handle);
    this.#verified = new Uint8Array(this.#units.count);
    this.#disk = { handle, file };
    return handle;
  }
}

/** Numbers that follow each other, together. @param numbers ascending. */
function runsOf(numbers: readonly number[]): readonly (readonly number[])[] {
  const runs: number[][] = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run?.at(-1) === number - 1) run.push(number);
    else runs.push([number]);
  }
  return runs;
}
