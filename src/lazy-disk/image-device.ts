import { setMaxListeners } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { isTartletError } from '../errors.ts';
import { openForReading, readRange, type ByteRange } from '../fs/disk/read-range.ts';
import { VmFile } from '../home/home-entry.ts';
import { Staging } from '../home/staging.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { BlockDevice, Extent } from '../nbd/block-device.ts';
import type { NbdClient } from '../nbd/nbd-client.ts';
import type { DiskChunk, FlatImage } from '../oci/tart-image.ts';
import type { Session } from '../session/session.ts';
import { chunksWithin } from '../transfer/fill/chunks-within.ts';
import { DiskUnits } from '../transfer/fill/disk-units.ts';
import { reachFill } from '../transfer/fill/served-fill.ts';
import { rangeOf, runsOf } from './unit-runs.ts';

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

/** By whose word something is verified: a process that brings the image, or the image, which is whole. */
type Voucher = NbdClient | 'whole-image';

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
  /** Which units are known to be verified in {@link #disk}, by the word of {@link #voucher}. */
  #verified: Uint8Array;
  #voucher: Voucher | undefined;
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
    if (wanted.length === 0 || (this.#has(wanted) && this.#isVouchedFor)) return;
    const ended = AbortSignal.any([signal, this.#ended.signal]);
    setMaxListeners(0, ended); // One for each part that is waited for.
    const late = setTimeout(() => this.#tellLate(), LATE_AFTER_MS);
    try {
      while (!this.#has(wanted) || (await this.#isTakenOver())) {
        ended.throwIfAborted();
        if (!(await this.#bring(wanted, ended))) await delay(LOOK_EVERY_MS, undefined, { signal: ended });
      }
      this.#isLate = false;
    } finally {
      clearTimeout(late);
    }
  }

  async read(range: ByteRange, signal: AbortSignal = this.#ended.signal): Promise<Uint8Array> {
    const { offset, length } = range;
    // A long answer is read a part at a time, and another process may have come to the disk since it began.
    await this.ready(range, signal);
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

  /** Whether nothing can have been written over what is known to be verified. */
  get #isVouchedFor(): boolean {
    return this.#voucher === 'whole-image' || this.#voucher?.isOpen === true;
  }

  /**
   * Whether another process brings the image now than the one whose word all was verified by. It may write over that
   * what it has not verified, so nothing counts any more but what it says itself. It can be reached before it writes;
   * while none can, nothing changes.
   */
  async #isTakenOver(): Promise<boolean> {
    while (!this.#isVouchedFor) {
      const mine = (this.#source ??= this.#find());
      const source = await mine.catch(() => undefined);
      if (source?.client.isOpen === true) {
        if (source.client === this.#voucher) return false;
        this.#vouch(source.client);
        return true;
      }
      // None, or one that has ended.
      if (this.#source === mine) this.#source = undefined;
      if (source === undefined) return false;
    }
    return false;
  }

  /** From now on what this one says counts, and nothing that another one said. */
  #vouch(voucher: Voucher): void {
    this.#voucher = voucher;
    this.#verified = new Uint8Array(this.#units.count);
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
          await source.client.cache(rangeOf(this.#units, run), signal);
          source.disk ??= this.#openStaged(source.client);
          const disk = await source.disk;
          // Of the file that was opened, and no other that came into its place since; and by the word that counts.
          const counts = this.#disk?.handle === disk && this.#voucher === source.client;
          if (counts) for (const unit of run) this.#verified[unit] = 1;
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

  /** The whole image, or the process that brings it. @returns undefined for neither, and for the whole image. */
  async #find(): Promise<Source | undefined> {
    const image = await this.#session.images.find(this.#name);
    if (image?.directory.layout === 'standalone') {
      await this.#adopt(await openForReading(`${image.directory.path}/${VmFile.disk}`), 'whole-image');
      this.#verified.fill(1);
      return undefined;
    }
    return { client: await reachFill(this.#staging), disk: undefined };
  }

  /**
   * The file that a process brings the image to. It is not replaced any more once something of it is verified, and as
   * long as that process answers, no other has its lock.
   */
  async #openStaged(client: NbdClient): Promise<FileHandle> {
    const handle = await openForReading(this.#staging.pathOf(VmFile.disk));
    const adopted = await this.#adopt(handle, client);
    await client.hear(this.#ended.signal);
    return adopted;
  }

  async #adopt(handle: FileHandle, voucher: Voucher): Promise<FileHandle> {
    const { ino, dev } = await handle.stat({ bigint: true });
    const file = `${dev} ${ino}`;
    this.#vouch(voucher);
    if (this.#disk?.file === file) {
      await handle.close();
      return this.#disk.handle;
    }
    this.#opened.push(handle);
    this.#disk = { handle, file };
    return handle;
  }
}
