import type { ByteRange } from '../fs/disk/read-range.ts';
import { readBootOrder, writeBootOrder } from '../home/boot-order-file.ts';
import { LazyFile } from '../home/home-entry.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { BlockDevice, Extent } from '../nbd/block-device.ts';
import { BOOT_UNIT_BYTES, type BootOrder, MOST_BOOT_UNITS } from '../oci/boot-order.ts';
import type { Session } from '../session/session.ts';
import { keepBootOrder } from './arrival/keep-order.ts';

/** So long after its beginning a run notes nothing more, in milliseconds: what comes later is no start. */
const NOTES_FOR_MS = 10 * 60_000;

/** So long after a first touch it is on the disk, in milliseconds: with what else was touched until then. */
const SAVED_AFTER_MS = 2000;

/**
 * A device that notes what a guest touches of it, and in which order. What was noted lies in the directory of the VM,
 * so that a run that is killed leaves it to the next one; when the image is whole, it is kept beside that.
 *
 * It is a hint: what goes wrong with it is no reason to fail, and is not told.
 */
export class BootRecord implements BlockDevice {
  readonly size: number;
  readonly #device: BlockDevice;
  readonly #file: string;
  readonly #touched: Set<number>;
  readonly #noting: NodeJS.Timeout;
  #saving: NodeJS.Timeout | undefined;
  #saved: Promise<void> = Promise.resolve();
  #isNoting = true;

  private constructor(device: BlockDevice, file: string, earlier: BootOrder) {
    this.size = device.size;
    this.#device = device;
    this.#file = file;
    this.#touched = new Set(earlier);
    this.#noting = setTimeout(() => {
      this.#isNoting = false;
    }, NOTES_FOR_MS).unref();
  }

  /** Goes on with what earlier runs of the VM noted. @param directory of the VM. */
  static async begin(device: BlockDevice, directory: string): Promise<BootRecord> {
    const file = `${directory}/${LazyFile.touched}`;
    return new BootRecord(device, file, (await readBootOrder(file, device.size)) ?? []);
  }

  async extents(range: ByteRange): Promise<readonly Extent[]> {
    return this.#device.extents(range);
  }

  async ready(range: ByteRange, signal: AbortSignal): Promise<void> {
    if (this.#isNoting) await this.#note(range);
    return this.#device.ready(range, signal);
  }

  async read(range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    return this.#device.read(range, signal);
  }

  /** Ends the notes, and keeps them beside an image that is whole. @param name of the image, with its digest. */
  async keep(session: Session, name: RemoteName): Promise<void> {
    await this.end();
    await keepBootOrder(session, name, [...this.#touched], this.size);
  }

  /** Ends the notes; what was noted is in the directory of the VM then. */
  async end(): Promise<void> {
    this.#isNoting = false;
    clearTimeout(this.#noting);
    if (this.#saving !== undefined) this.#save();
    await this.#saved;
  }

  async #note(range: ByteRange): Promise<void> {
    const before = this.#touched.size;
    // Holes need not be fetched.
    for (const { kind, offset, length } of await this.#device.extents(range)) {
      const end = kind === 'hole' ? offset : offset + length;
      for (let unit = Math.floor(offset / BOOT_UNIT_BYTES); unit * BOOT_UNIT_BYTES < end; unit += 1)
        if (this.#touched.size < MOST_BOOT_UNITS) this.#touched.add(unit);
    }
    if (this.#touched.size > before) this.#saving ??= setTimeout(() => this.#save(), SAVED_AFTER_MS).unref();
  }

  #save(): void {
    clearTimeout(this.#saving);
    this.#saving = undefined;
    this.#saved = this.#saved.then(async () => writeBootOrder(this.#file, [...this.#touched])).catch(() => undefined);
  }
}
