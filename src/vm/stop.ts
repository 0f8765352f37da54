import { setTimeout as delay } from 'node:timers/promises';
import { systemCode, TartletError, unreachable } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { fsyncRemoval } from '../fs/fsync.ts';
import type { LocalVm } from '../home/vms/local-vms.ts';
import { findLockOwner, type LockOwner } from '../fs/lock/lock-owner.ts';
import { removeEntry } from '../fs/remove.ts';
import { SavedState } from '../home/home-entry.ts';
import { mayBeSignalled } from '../home/vms/run-process.ts';
import { readRunRecord, type RunRecord, writeStopDeadline } from '../home/vms/run-record.ts';
import { readAsOne } from '../home/still-there.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';

/** How often the lock is looked at, in milliseconds, as in Tart. */
const LOOK_EVERY_MS = 100;

/**
 * A killed process drops its locks at once, except when it hangs in the kernel: then waiting any longer does not help.
 */
const AFTER_KILL_MS = 10_000;

/** How long after it has the lock of a VM a `run` may take to say that it is one, in milliseconds. */
const SAYS_WITHIN_MS = 1000;

export interface StopOptions {
  /** How long the program that runs the VM may take to end before it is killed, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * `ended`: the program ended when asked; `killed`: it had to be; `discarded`: the VM was suspended, and its saved state
 * is deleted.
 */
export type StopOutcome = 'ended' | 'killed' | 'discarded';

/**
 * Stops a VM (tart-cli §1.17): asks the program that runs it to switch it off, and kills that program when it does not
 * end in time. Returns only when the VM does not run any more, so that deleting it works at once; Tart does not wait
 * after the kill (tart-cli §7 #24). Of a suspended VM the saved state is deleted, as if it were switched off.
 *
 * @throws TartletError `VM_NOT_FOUND`, `VM_NOT_RUNNING`, and `BUSY` when its lock belongs to no program that could be
 * asked.
 */
export async function stopVm(session: Session, name: LocalName, options: StopOptions): Promise<StopOutcome> {
  const { vm, state } = await readAsOne(
    async () => session.vms.require(name),
    async (there) => ({ vm: there, state: await session.vms.state(there) }),
  );
  await session.vms.touch(vm, session.now());
  switch (state) {
    case 'running':
      return stopRunning(session, vm, options.timeoutMs);
    case 'suspended':
      await discardState(session, vm);
      return 'discarded';
    case 'stopped':
      throw notRunning(vm);
    default:
      return unreachable(state);
  }
}

/** What every command for running VMs says of one that does not run. */
export function notRunning(vm: LocalVm): TartletError {
  return new TartletError('VM_NOT_RUNNING', `the VM "${vm.name.text}" is not running`, { subject: vm.name.text });
}

async function discardState(session: Session, vm: LocalVm): Promise<void> {
  await session.vms.underLock(session.signal, async () => {
    // Another command may have deleted it meanwhile, or a program have resumed it and be reading the state.
    await session.vms.require(vm.name);
    await session.vms.refuseRunning(vm.name);
    for (const name of [VmFile.state, SavedState.memory, SavedState.facts]) {
      const file = `${vm.directory.path}/${name}`;
      await onDisk('delete', file, async () => removeEntry(file));
    }
    await fsyncRemoval(vm.directory.path);
  });
}

async function stopRunning(session: Session, vm: LocalVm, timeoutMs: number): Promise<StopOutcome> {
  const pid = await ownerOf(session, vm);
  if (pid === undefined) return 'ended';
  // A `run` of ours ends the machine in time before it would be killed itself (run-fleet-demand §b.3, 1).
  if ((await readRunRecord(vm.directory.path))?.pid === pid) {
    await writeStopDeadline(vm.directory.path, pid, session.now().getTime() + timeoutMs);
  }
  signalOwner(session, vm, pid, 'SIGINT');
  if (await endsWithin(session, vm, pid, timeoutMs)) return 'ended';
  signalOwner(session, vm, pid, 'SIGKILL');
  if (await endsWithin(session, vm, pid, AFTER_KILL_MS)) return 'killed';
  throw new TartletError('BUSY', `process ${pid}, which runs the VM "${vm.name.text}", was killed and does not end`, {
    subject: vm.name.text,
    next: { kind: 'look-at-process', pid },
  });
}

/** The process that holds the lock; undefined when it was released meanwhile. */
async function ownerOf(session: Session, vm: LocalVm): Promise<number | undefined> {
  const owner: LockOwner = await findLockOwner(`${vm.directory.path}/${VmFile.config}`, session.platform);
  switch (owner.kind) {
    case 'process':
      return owner.pid;
    case 'none':
      return undefined;
    case 'unnamed': {
      const record = await recordOfRunning(session, vm);
      if (record === 'ended') return undefined;
      if (record !== undefined) return record.pid;
      // A push, for instance, which is not to be ended by stopping a VM (tart-cli §7 #25).
      throw new TartletError('BUSY', `the VM "${vm.name.text}" does not run: another command is using it`, {
        subject: vm.name.text,
        kept: 'it was left alone',
        next: { kind: 'wait-for-command' },
        retryable: true,
      });
    }
    default:
      return unreachable(owner);
  }
}

/**
 * Which process runs a VM of which it is known that a process has its lock. A `run` takes the lock before it can say
 * that it is one, so that is waited for; and what is left of one that was killed has it for a moment longer.
 *
 * @returns undefined for another command; `ended` when nothing has the lock any more.
 */
export async function recordOfRunning(session: Session, vm: LocalVm): Promise<RunRecord | 'ended' | undefined> {
  for (let waited = 0; ; waited += LOOK_EVERY_MS) {
    const record = await readRunRecord(vm.directory.path);
    if (record !== undefined && (await mayBeSignalled(vm.directory.path, record))) return record;
    if ((await session.vms.state(vm)) !== 'running') return 'ended';
    if (waited >= SAYS_WITHIN_MS) return undefined;
    await delay(LOOK_EVERY_MS, undefined, { signal: session.signal });
  }
}

/** @returns whether `pid` let go of the VM in time. That another process runs it since then is no failure. */
async function endsWithin(session: Session, vm: LocalVm, pid: number, timeoutMs: number): Promise<boolean> {
  for (let waited = 0; ; waited += LOOK_EVERY_MS) {
    // Asked anew each time: once the lock is gone, the number may belong to another process.
    const owner = await findLockOwner(`${vm.directory.path}/${VmFile.config}`, session.platform);
    // QEMU holds the lock of a `run` that was killed until it has ended too.
    if (owner.kind === 'none' || (owner.kind === 'process' && owner.pid !== pid)) return true;
    const runs = owner.kind === 'unnamed' ? (await readRunRecord(vm.directory.path))?.pid : undefined;
    if (runs !== undefined && runs !== pid) return true;
    if (waited >= timeoutMs) return false;
    await delay(Math.min(LOOK_EVERY_MS, timeoutMs - waited), undefined, { signal: session.signal });
  }
}

function signalOwner({ sendSignal }: Session, vm: LocalVm, pid: number, signal: 'SIGINT' | 'SIGKILL'): void {
  try {
    sendSignal(pid, signal);
  } catch (cause) {
    if (systemCode(cause) === 'ESRCH') return; // It ended by itself just now.
    throw new TartletError('BUSY', `not allowed to stop process ${pid}, which runs the VM "${vm.name.text}"`, {
      subject: vm.name.text,
      next: { kind: 'stop-as-starter' },
      cause,
    });
  }
}
