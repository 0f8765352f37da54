import { describeError, isTartletError, TartletError } from '../errors.ts';
import { removeEntry } from '../fs/remove.ts';
import { exists } from '../fs/stats.ts';
import { readBootOrder } from '../home/boot-order-file.ts';
import { LazyFile } from '../home/home-entry.ts';
import { commitLazyDisk, removeLazyFiles } from '../home/vms/lazy-files.ts';
import type { RunningMachine } from '../hypervisor/hypervisor.ts';
import { DEFAULT_DISK_OPTIONS } from '../hypervisor/machine.ts';
import { NbdServer } from '../nbd/nbd-server.ts';
import type { BootOrder } from '../oci/boot-order.ts';
import { zeroContents } from '../chunks/zero-content.ts';
import type { DiskArrival } from '../run/disk-arrival.ts';
import type { RunEvent } from '../run/run-request.ts';
import type { Session } from '../session/session.ts';
import { Patience, type Trouble } from '../transfer/fill/patience.ts';
import { BootRecord } from './boot-record.ts';
import { estimateOf } from './choose.ts';
import { type StartEstimate, withRate } from './estimate.ts';
import { ImageDevice } from './image-device.ts';
import { keepPulling } from './keep-pulling.ts';
import { HeldDisk } from './arrival/held-disk.ts';
import { copyImage } from './arrival/image-copy.ts';
import { type LazyVm, understandLazyVm, whyByTls } from './arrival/lazy-vm.ts';
import { makeOverlay } from './arrival/overlay.ts';
import { RateMeter } from './rate-meter.ts';

/** When it is told how fast a disk arrives, in milliseconds after its first bytes. */
const RATE_AFTER_MS = 2000;
/** Not where all that the start needs is here in so many seconds. */
const WORTH_TELLING_SECONDS = 3;

type Tell = (event: RunEvent) => void;

/**
 * Prepares the disk of a VM that begins before its image is here. Its guest reads the image by NBD from this process,
 * as far as it is verified, and what it writes goes into a file of its own. Meanwhile the image is pulled like any
 * other. When it is whole, the VM gets a disk of its own, and what the guest wrote is moved there: the VM is one like
 * all others then, and all that was between is gone.
 *
 * @throws TartletError `VM_INVALID` for a record that cannot be used, `HOST_LACKS`, `DISK_*`
 */
export async function openArrival(
  session: Session,
  vm: { readonly name: string; readonly directory: string },
  tell: Tell,
): Promise<DiskArrival | undefined> {
  const lazy = await understandLazyVm(vm);
  const hasWritten = await exists(`${vm.directory}/${LazyFile.overlay}`);
  // Nothing to wait for, and nothing to move: it is a clone like any other.
  if (!hasWritten && (await session.images.find(lazy.imageName)) !== undefined) {
    await copyImage(session, lazy);
    await commitLazyDisk(vm.directory);
    await removeLazyFiles(vm.directory);
    return undefined;
  }
  // Of a run that was killed: the guest may need the room.
  await removeEntry(`${vm.directory}/${LazyFile.disk}`);
  await makeOverlay(vm.directory, lazy.record.diskBytes, session.environment['PATH'] ?? '');
  return ArrivingDisk.open(session, lazy, tell);
}

/** The disk of one run, from its first read until a whole one takes its place. */
class ArrivingDisk {
  readonly #session: Session;
  readonly #vm: LazyVm;
  readonly #tell: Tell;
  readonly #ended = new AbortController();
  readonly #device: ImageDevice;
  readonly #server: NbdServer;
  readonly #record: BootRecord;
  #work: Promise<void> = Promise.resolve();
  readonly #patience = new Patience({ onTrouble: (trouble) => this.#tellTrouble(trouble) });
  /** Why the registry was asked again. */
  #retrying: string | undefined;
  #isCommitted = false;

  private constructor(
    session: Session,
    vm: LazyVm,
    { tell, device, server, record }: { tell: Tell; device: ImageDevice; server: NbdServer; record: BootRecord },
  ) {
    this.#session = session.with({ signal: AbortSignal.any([session.signal, this.#ended.signal]) });
    this.#vm = vm;
    this.#tell = tell;
    this.#device = device;
    this.#server = server;
    this.#record = record;
  }

  static async open(session: Session, vm: LazyVm, tell: Tell): Promise<DiskArrival> {
    const late: { tell: (waitedMs: number) => void } = { tell: () => undefined };
    const zeros = await zeroContents(vm.image.base.chunks, session.signal);
    const device = new ImageDevice(session, vm.imageName, vm.image, {
      zeros,
      onLate: (waitedMs) => late.tell(waitedMs),
    });
    const record = await BootRecord.begin(device, vm.directory);
    const server = await NbdServer.listen(`${vm.directory}/${LazyFile.socket}`, [{ name: '', device: record }]);
    const opened = new ArrivingDisk(session, vm, { tell, device, server, record });
    late.tell = (waitedMs) => opened.#tellLate(waitedMs);
    // The guest's first read may come before QEMU has told that it runs.
    const order = await readBootOrder(`${vm.directory}/${LazyFile.order}`, vm.image.base.size);
    const pulling = opened.#pull(estimateOf(session, vm.image, { zeros, order }), order);
    pulling.catch(() => undefined);
    return {
      disk: { kind: 'lazy', overlay: LazyFile.overlay, socket: LazyFile.socket, ...DEFAULT_DISK_OPTIONS },
      begun: (machine) => {
        opened.#work = opened.#replace(machine, pulling);
      },
      close: async () => opened.#close(pulling),
    };
  }

  async #pull(estimate: StartEstimate, order: BootOrder | undefined): Promise<void> {
    const { imageName, insecure, record, image } = this.#vm;
    this.#tell({ kind: 'disk-arrives', image: imageName.toString(), ...needsOf(estimate) });
    const byTls = whyByTls(this.#vm);
    if (byTls !== undefined) this.#note(byTls);
    const meter = new RateMeter(RATE_AFTER_MS, (rate) => this.#tellRate(withRate(estimate, rate)));
    await keepPulling(this.#session, imageName, {
      onEvent: (event) => meter.see(event),
      insecure,
      manifest: image.manifest,
      asked: record.asked,
      order,
      signal: this.#session.signal,
      patience: this.#patience,
      fill: this.#session.environment['TARTLET_LAZY_FILL'] === 'off' ? 'waited-for' : 'everything',
      onNote: (text) => this.#note(text),
      onRetry: (reason) => {
        this.#retrying = reason;
      },
    }).finally(() => meter.close());
  }

  #tellRate(estimate: StartEstimate): void {
    const { startBytes, bytesPerSecond = 0 } = estimate;
    if (startBytes < bytesPerSecond * WORTH_TELLING_SECONDS) return;
    this.#tell({ kind: 'disk-rate', ...needsOf(estimate), bytesPerSecond });
  }

  #tellTrouble({ error, isPart }: Trouble): void {
    const what = isPart
      ? 'a part of the disk does not arrive, and the guest waits if it needs it'
      : 'the disk does not arrive, and the guest waits for what it needs of it';
    const remedy = isTartletError(error, 'DISK_FULL') ? '; free some space, and it goes on by itself' : '';
    this.#tell({ kind: 'disk-waits', text: `${what}: ${describeError(error)}${remedy}` });
  }

  #tellLate(waitedMs: number): void {
    const reason = this.#patience.trouble ?? this.#retrying;
    const why = reason === undefined ? '' : `: ${reason}`;
    const text = `the guest has waited for its disk for ${Math.round(waitedMs / 1000)} s${why}`;
    this.#tell({ kind: 'disk-waits', text });
  }

  async #replace(machine: RunningMachine, pulling: Promise<void>): Promise<void> {
    const { directory } = this.#vm;
    try {
      await pulling;
      // Before QEMU copies the disk. It waits for others that use the image, and keeps nothing waiting.
      const kept = this.#record.keep(this.#session, this.#vm.imageName);
      await copyImage(this.#session, this.#vm);
      const moved = await this.#goOver(machine);
      // How the run ends says why; what is left goes with its end.
      if (moved === 'ended') return;
      await Promise.all([kept, this.#letGo()]);
      await removeLazyFiles(directory);
      this.#note('the disk has arrived: from now on the VM is one like all others');
    } catch (error) {
      if (this.#session.signal.aborted || this.#isCommitted) return;
      const reason = describeError(error);
      // The guest may need the room for what it writes.
      await removeEntry(`${directory}/${LazyFile.disk}`).catch(() => undefined);
      const when = isTartletError(error, 'DISK_FULL') ? 'at its next run with room for it' : 'at its next run';
      this.#note(`the guest goes on with the image itself, and gets its own disk ${when}: ${reason}`);
    }
  }

  async #goOver(machine: RunningMachine): Promise<'replaced' | 'ended'> {
    const { directory } = this.#vm;
    const disk = await HeldDisk.open(directory);
    try {
      return await machine.replaceDisk(disk.name, async () => {
        await disk.requireInPlace();
        await commitLazyDisk(directory);
        this.#isCommitted = true;
      });
    } finally {
      await disk.close();
    }
  }

  async #letGo(): Promise<void> {
    await this.#server.close();
    await this.#device.close();
  }

  async #close(pulling: Promise<void>): Promise<void> {
    this.#ended.abort(new TartletError('INTERRUPTED', 'the run has ended'));
    await Promise.allSettled([pulling, this.#work]);
    await this.#record.end();
    await this.#letGo();
    const { directory } = this.#vm;
    await (this.#isCommitted ? removeLazyFiles(directory) : removeEntry(`${directory}/${LazyFile.disk}`)).catch(
      () => undefined, // The next run does it.
    );
  }

  #note(text: string): void {
    this.#tell({ kind: 'note', text });
  }
}

function needsOf({ startBytes, wholeBytes }: StartEstimate): Pick<StartEstimate, 'startBytes' | 'wholeBytes'> {
  return { startBytes, wholeBytes };
}
