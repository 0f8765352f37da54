import { setTimeout as delay } from 'node:timers/promises';
import { isTartletError, TartletError } from '../errors.ts';
import { readSmallFile } from '../fs/small-file.ts';
import { removeEntry } from '../fs/remove.ts';
import { Qmp } from '../hypervisor/qemu/qmp.ts';
import { requestSocket } from '../hypervisor/qemu/sockets.ts';
import { readRunRecord } from '../home/vms/run-record.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';
import { notRunning } from '../vm/stop.ts';
import { requireOurRun } from './our-run.ts';

/** Where QEMU writes the picture, in the directory of the machine, in which it works. One is taken at a time. */
const PICTURE = 'screen.png';

/** How long QEMU may take for an answer, in milliseconds: another picture may be taken before this one. */
const ANSWER_WITHIN_MS = 20_000;
/** How long a machine that counts as running may take until it listens, in milliseconds. */
const LISTENS_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 50;

/** How a PNG begins and ends (PNG specification §5.2, §11.2.5): one that was cut off has no end. */
const PNG_BEGIN = Buffer.from('89504e470d0a1a0a', 'hex');
const PNG_END = Buffer.from('49454e44ae426082', 'hex');

/**
 * Takes a picture of a running guest's screen, whether a viewer is connected to it or not.
 *
 * @returns a PNG.
 * @throws TartletError `VM_NOT_FOUND`, `VM_NOT_RUNNING`, `BUSY` when another program runs the VM, `GUEST_UNREACHABLE`
 * when QEMU does not answer, `DISK_*` where it finds no room for the picture.
 */
export async function takeScreenshot(session: Session, name: LocalName): Promise<Uint8Array> {
  const vm = await session.vms.require(name);
  await session.vms.touch(vm, session.now());
  await requireOurRun(session, vm);
  const directory = vm.directory.path;
  const qmp = await converse(directory, session.signal);
  if (qmp === undefined) throw notRunning(vm);
  try {
    // As long as the conversation lasts, the picture is ours.
    await qmp.execute('screendump', { filename: PICTURE, format: 'png' });
    const picture = await readSmallFile(`${directory}/${PICTURE}`);
    if (picture.indexOf(PNG_BEGIN) === 0 && picture.subarray(-PNG_END.length).equals(PNG_END)) return picture;
    throw new TartletError('DISK_FULL', `there is no room for the picture in ${directory}`, { subject: directory });
  } finally {
    await removeEntry(`${directory}/${PICTURE}`);
    qmp.close();
  }
}

/** @returns undefined when the machine has ended. */
async function converse(directory: string, signal: AbortSignal): Promise<Qmp | undefined> {
  const socket = await requestSocket(directory);
  try {
    for (let waited = 0; ; waited += LOOK_EVERY_MS) {
      try {
        return await Qmp.connect(socket.path, () => undefined, ANSWER_WITHIN_MS);
      } catch (error) {
        if ((await readRunRecord(directory)) === undefined) return undefined;
        const mayCome = isTartletError(error, 'GUEST_UNREACHABLE') && waited < LISTENS_WITHIN_MS;
        if (!mayCome || error.facts.retryable === true) throw error;
      }
      await delay(LOOK_EVERY_MS, undefined, { signal });
    }
  } finally {
    await socket.close();
  }
}
