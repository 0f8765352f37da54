import path from 'node:path';
import { isTartletError, TartletError } from '../../errors.ts';
import type { Hint } from '../../hint.ts';
import type { LocalName } from '../../names/local-name.ts';
import { findLockOwner } from '../../fs/lock/lock-owner.ts';
import { FileLock } from '../../fs/lock/lock.ts';
import { readRunRecord } from './run-record.ts';

/**
 * What holds the lock of a VM's configuration: a program that runs it, or a command at work on it (a push for
 * instance), which is nothing to stop. Where Tart can run, the two look alike, as programs.
 */
export type Holder = 'none' | 'program' | 'command';

/** What to do about a VM that runs, in Tart or in another program. */
export const STOP_FIRST: Hint = { kind: 'stop-first' };

/**
 * A VM that another command keeps: with the code of one that runs, since it counts as running to Tart and all others.
 */
export function atWork(name: string): TartletError {
  return new TartletError('VM_RUNNING', `another command is at work on the VM "${name}"`, {
    subject: name,
    kept: 'it was left alone',
    next: { kind: 'wait-and-run-again' },
    retryable: true,
  });
}

/** The process that has the lock of a VM's configuration, which is locked. @throws TartletError `DISK_*` */
export async function holderOf(config: string, platform: NodeJS.Platform): Promise<Holder> {
  if (platform !== 'linux') return 'program';
  const owner = await findLockOwner(config, platform);
  if (owner.kind === 'process') return 'program';
  if (owner.kind !== 'unnamed') return 'none';
  // Our own `run` takes such a lock as well, and says so beside it.
  return (await readRunRecord(path.dirname(config))) === undefined ? 'command' : 'program';
}

/** A VM that cannot be changed now, because its lock is taken. */
export function heldBy(holder: Exclude<Holder, 'none'>, name: string): TartletError {
  if (holder === 'command') return atWork(name);
  return new TartletError('VM_RUNNING', `the VM "${name}" is running`, {
    subject: name,
    kept: 'it was left alone',
    next: STOP_FIRST,
  });
}

/** A VM whose lock another process has. */
export function inUse(name: LocalName): TartletError {
  return new TartletError('BUSY', `the VM "${name.text}" is running, or another command is using it`, {
    subject: name.text,
    kept: 'it was left alone',
    next: { kind: 'stop-or-wait' },
  });
}

/**
 * Does something to a VM while no other program can start it or begin to work on it: between the question whether it
 * runs and the rename that takes it away, one could (P35). Where its configuration cannot be locked, the question that
 * was asked before has to do.
 *
 * @throws TartletError `BUSY`, and what `work` throws.
 */
export async function whileHeld(config: string, name: LocalName, work: () => Promise<void>): Promise<void> {
  const lock = await FileLock.acquireExisting(config).catch((error: unknown) => {
    if (isTartletError(error, 'DISK_READONLY', 'DISK_DENIED', 'DISK_UNSUPPORTED', 'DISK_IO')) return 'none' as const;
    throw error;
  });
  if (lock === undefined) throw inUse(name);
  try {
    await work();
  } finally {
    if (lock !== 'none') await lock.release();
  }
}
