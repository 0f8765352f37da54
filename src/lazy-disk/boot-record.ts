import type { ByteRange } from '../fs/disk/read-range.ts';
import { writeNewFile } from '../fs/fsync.ts';
import { readBootOrder, writeBootOrder } from '../home/boot-order-file.ts';
import { LazyFile, OurFile } from '../home/home-entry.ts';
import { TO_READ, whileHeld } from '../home/images/image-lock.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { BlockDevice, Extent } from '../nbd/block-device.ts';
import { BOOT_UNIT_BYTES, type BootOrder, formatBootOrder, MOST_BOOT_UNITS } from '../oci/boot-order.ts';
import type { Session } from '../session/session.ts';

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

  /**
   * Ends the notes, and keeps them beside an image that is whole, for others and to be published. Of two records of an
   * image the one stays that knows more of it: a run that had the whole image early saw little of its start.
   *
   * @param name of the image, with its digest.
   */
  async keep(session: Session, name: RemoteName): Promise<void> {
    await this.end();
    const { images, signal } = session;
    try {
      const { digest } = await images.require(name, 'read');
      // Alone: two VMs of one image may come here at once.
      const alone = { ...TO_READ, mode: 'exclusive', signal } as const;
      await whileHeld(
        images,
        digest,
        alone,
        async () => images.require(name, 'read'),
        async ({ directory }) => {
          const file = `${directory.path}/${OurFile.bootOrder}`;
          const known = await readBootOrder(file, this.size);
          if ((known?.length ?? 0) >= this.#touched.size) return;
          // In place: half of one, after a kill, is none, and nothing lies about.
          await writeNewFile(file, formatBootOrder([...this.#touched]));
        },
      );
    } catch {
      // The image has none then, or another one.
    }
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
