import { describeError, type ErrorCode, isTartletError, TartletError } from '../../errors.ts';
import type { FileLock } from '../../fs/lock/lock.ts';
import { removeEntry } from '../../fs/remove.ts';
import { exists } from '../../fs/stats.ts';
import { readBootOrder } from '../../home/boot-order-file.ts';
import { LazyFile } from '../../home/home-entry.ts';
import { commitLazyDisk, removeLazyFiles } from '../../home/vms/lazy-files.ts';
import type { LocalVm } from '../../home/vms/local-vms.ts';
import { atWork } from '../../home/vms/vm-holder.ts';
import { adviceToRun } from '../../home/vms/whole-disk.ts';
import { humanBytes } from '../../names/byte-count.ts';
import type { Session } from '../../session/session.ts';
import type { PullOptions } from '../../transfer/pull/pull.ts';
import { bringImage } from './bring-image.ts';
import { HeldDisk } from './held-disk.ts';
import { copyImage } from './image-copy.ts';
import { keepBootOrder } from './keep-order.ts';
import { type LazyVm, understandLazyVm, whyByTls } from './lazy-vm.ts';
import { mergeOverlay, overlayBytes } from './overlay.ts';
import { requireQemuImg } from './qemu-img.ts';

export interface CompleteOptions {
  /** Most chunks at once; default: as a pull has it. */
  readonly concurrency?: PullOptions['concurrency'] | undefined;
  /** What cannot be done before, as in "cannot be pushed". */
  readonly what: string;
}

/**
 * Gives a VM that does not run the disk that has not arrived yet: pulls the rest of its image, copies the disk, and
 * puts into it what the guest wrote. Meanwhile the VM counts as running. Until the one rename at the end it is as it
 * was, and afterwards a VM like all others: whatever is killed, nothing that the guest wrote is lost.
 *
 * @returns the VM with its disk. @throws TartletError `VM_RUNNING` when it runs, also for another command; else why its
 * disk did not arrive, with the code of that.
 */
export async function completeVm(session: Session, vm: LocalVm, options: CompleteOptions): Promise<LocalVm> {
  const { name } = vm;
  const lock = await holdStopped(session, vm, options.what);
  try {
    // Another command may have done it since it was looked at.
    const { directory } = await session.vms.require(name);
    if (directory.layout === 'lazy') {
      const lazy = await understandLazyVm({ name: name.text, directory: directory.path });
      await complete(session, lazy, { ...options, lock });
    }
  } catch (error) {
    throw session.signal.aborted ? error : notCompleted(error, vm, options.what);
  } finally {
    await lock.release();
  }
  return session.vms.require(name);
}

async function complete(
  session: Session,
  lazy: LazyVm,
  { concurrency, lock }: CompleteOptions & { readonly lock: FileLock },
): Promise<void> {
  const { directory } = lazy;
  // First what would let all come in vain.
  const hasWritten = await exists(`${directory}/${LazyFile.overlay}`);
  if (hasWritten) await overlayBytes(directory);
  const program = hasWritten ? await requireQemuImg(session.environment['PATH'] ?? '') : undefined;
  const { imageName, image, insecure, record } = lazy;
  const { asked } = record;
  const byTls = whyByTls(lazy);
  if (byTls !== undefined) session.emit({ kind: 'note', subject: lazy.name, text: byTls });
  const wanted = { imageName, insecure, asked, manifest: image.manifest };
  await bringImage(tellingOfRest(session, lazy), wanted, concurrency === undefined ? {} : { concurrency });
  try {
    await copyImage(session, lazy);
    const disk = await HeldDisk.open(directory);
    try {
      const { signal } = session;
      if (program !== undefined) await mergeOverlay(lazy, { program, signal, disk, inherited: [lock.descriptor] });
      await disk.requireInPlace();
    } finally {
      await disk.close();
    }
    await commitLazyDisk(directory);
  } catch (error) {
    await removeEntry(`${directory}/${LazyFile.disk}`).catch(() => undefined); // The next one does it.
    throw error;
  }
  const touched = await readBootOrder(`${directory}/${LazyFile.touched}`, image.base.size);
  if (touched !== undefined) await keepBootOrder(session, imageName, touched, image.base.size);
  await removeLazyFiles(directory);
}

/** As soon as it is known, it is told how much is still to come. */
function tellingOfRest(session: Session, { name }: LazyVm): Session {
  return session.with({
    onEvent: (event) => {
      if (event.kind === 'started' && event.bytesTotal !== undefined) {
        const text = `the rest of the disk arrives first: ${humanBytes(event.bytesTotal, 1)}`;
        session.emit({ kind: 'note', subject: name, text });
      }
      session.emit(event);
    },
  });
}

/** @throws TartletError `VM_RUNNING` */
async function holdStopped(session: Session, vm: LocalVm, what: string): Promise<FileLock> {
  const { text } = vm.name;
  try {
    return await session.vms.hold(vm);
  } catch (error) {
    if (isTartletError(error, 'BUSY')) {
      if ((await session.vms.holder(vm.name)) === 'command') throw atWork(text);
      const message = `the VM "${text}" cannot be ${what}: it runs, and its disk has not arrived yet`;
      throw new TartletError('VM_RUNNING', message, {
        subject: text,
        kept: 'it goes on',
        next: { kind: 'stop-or-let-arrive' },
      });
    }
    throw notCompleted(error, vm, what);
  }
}

/** What says by itself what is the matter, and is no reason of a disk that does not arrive. */
const ITSELF: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['VM_NOT_FOUND', 'VM_INVALID', 'INTERNAL']);

function notCompleted(error: unknown, { name, directory }: LocalVm, what: string): unknown {
  if (!isTartletError(error) || ITSELF.has(error.code)) return error;
  const message =
    `the VM "${name.text}" cannot be ${what}: its disk has not arrived yet, ` +
    `and the rest does not come (${describeError(error)})`;
  const facts = { kept: 'the VM, as it was', next: adviceToRun(directory.path, name.text) };
  return new TartletError(error.code, message, { ...facts, ...error.facts, subject: name.text, cause: error });
}
