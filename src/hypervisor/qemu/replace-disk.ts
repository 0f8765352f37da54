import { setTimeout as delay } from 'node:timers/promises';
import { describeError, TartletError } from '../../errors.ts';
import { codeOfWords } from '../../fs/disk-error.ts';
import { isJsonObject } from '../../json/foreign.ts';
import type { DiskOptions } from '../machine.ts';
import { fileNode } from './disk-node.ts';
import type { Qmp } from './qmp.ts';

const JOB = 'replace-disk';
const WHOLE = 'whole-disk';

/** How often the job is looked at, in milliseconds: while the guest stands still, it is a moment. */
const LOOK_EVERY_MS = 100;
const LOOK_SOON_MS = 5;

/** What takes the place of a lazy disk. */
export interface Replacement {
  /** The name of the lazy disk's node. */
  readonly node: string;
  /** See `RunningMachine.replaceDisk`. */
  readonly file: string;
  readonly options: DiskOptions;
  readonly commit: () => Promise<void>;
  /** Told when the guest was ended because QEMU did not go over to the whole disk, with why. */
  readonly onLost: (reason: string) => void;
  /** Told before the guest stands still, and when it may go on: nothing else may let it go on in between. */
  readonly onStill: (isStill: boolean) => void;
}

/**
 * Copies what the guest wrote above a lazy disk into a whole one, and lets the guest go on with that: QEMU's mirror of
 * the top layer. At the end the guest stands still, so that both are the same, to the byte, when the caller commits:
 * whenever something is killed, either the one or the other is the disk, and has everything.
 *
 * @returns `ended` when QEMU ended meanwhile.
 * @throws TartletError `GUEST_UNREACHABLE` when QEMU refuses, `DISK_FULL` when there is no room for the copy, and what
 * `commit` throws.
 */
export async function replaceDisk(qmp: Qmp, replacement: Replacement): Promise<'replaced' | 'ended'> {
  try {
    await replace(qmp, replacement);
    return 'replaced';
  } catch (error) {
    if (!qmp.isClosed) throw error;
    return 'ended';
  }
}

async function replace(qmp: Qmp, { node, file, options, commit, onStill, onLost }: Replacement): Promise<void> {
  // Written to in any case: what a guest may only read, earlier runs may have written to.
  await qmp.execute('blockdev-add', { ...fileNode(file, { ...options, readOnly: false }, WHOLE) });
  try {
    await qmp.execute('blockdev-mirror', {
      'job-id': JOB,
      device: node,
      target: WHOLE,
      sync: 'top',
      // A guest that writes faster than is copied would never let the copy come to its end otherwise.
      'copy-mode': 'write-blocking',
      // What the guest goes on with is decided after the commit, and not by QEMU.
      'auto-finalize': false,
      'auto-dismiss': false,
    });
    await untilStatus(qmp, 'ready', LOOK_EVERY_MS);
    onStill(true);
    await qmp.execute('stop');
    await qmp.execute('job-complete', { id: JOB });
    await untilStatus(qmp, 'pending', LOOK_SOON_MS);
    await commit();
  } catch (error) {
    await giveUp(qmp);
    onStill(false);
    throw error;
  }
  try {
    await qmp.execute('job-finalize', { id: JOB });
    await untilStatus(qmp, 'concluded', LOOK_SOON_MS);
    await qmp.execute('job-dismiss', { id: JOB });
    onStill(false);
    await qmp.execute('cont');
  } catch (error) {
    // The guest must not write to what does not count any more.
    const isThere = await qmp.execute('quit').then(
      () => true,
      () => false,
    );
    if (isThere) onLost(`the guest did not go over to its own disk: ${describeError(error)}`);
    throw error;
  }
  await qmp.execute('blockdev-del', { 'node-name': node });
}

async function untilStatus(qmp: Qmp, wanted: 'ready' | 'pending' | 'concluded', everyMs: number): Promise<void> {
  for (;;) {
    const { status, error } = statusOf(await qmp.execute('query-jobs'));
    if (error !== undefined) {
      const code = codeOfWords(error) === 'DISK_FULL' ? 'DISK_FULL' : 'GUEST_UNREACHABLE';
      throw new TartletError(code, `QEMU cannot copy the disk: ${error}`);
    }
    if (status === wanted) return;
    if (status === undefined || status === 'concluded')
      throw new TartletError('GUEST_UNREACHABLE', 'QEMU ended the copy of the disk before its time');
    await delay(everyMs);
  }
}

function statusOf(jobs: unknown): { readonly status: unknown; readonly error: string | undefined } {
  const job: unknown = Array.isArray(jobs) ? jobs.find((each) => isJsonObject(each) && each['id'] === JOB) : undefined;
  if (!isJsonObject(job)) return { status: undefined, error: undefined };
  return { status: job['status'], error: typeof job['error'] === 'string' ? job['error'] : undefined };
}

/** As far as there is something to give up, and QEMU is still there; the guest goes on with the lazy disk. */
async function giveUp(qmp: Qmp): Promise<void> {
  const ignore = (): undefined => undefined;
  await qmp.execute('job-cancel', { id: JOB }).catch(ignore);
  await untilStatus(qmp, 'concluded', LOOK_SOON_MS).catch(ignore);
  await qmp.execute('job-dismiss', { id: JOB }).catch(ignore);
  await qmp.execute('blockdev-del', { 'node-name': WHOLE }).catch(ignore);
  await qmp.execute('cont').catch(ignore);
}
