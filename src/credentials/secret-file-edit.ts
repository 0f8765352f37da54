import { randomUUID } from 'node:crypto';
import { access, readdir, readlink, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { isTartletError, TartletError } from '../errors.ts';
import { isNoLink } from '../fs/disk-error.ts';
import { lstatIfThere } from '../fs/stats.ts';
import { replaceFile } from '../fs/replace-file.ts';
import { makePath } from '../fs/directory-tree.ts';
import { fsyncAbove } from '../fs/fsync.ts';
import { fileError, permissionsOf, readSecretFile, type SecretFile, unusable } from './secret-file.ts';
import type { HeldLock, LockFile } from './settings.ts';

/** Temporaries that are older than this, in milliseconds, belong to a process that was killed. */
const LEFTOVER_AGE_MS = 10 * 60_000;
/** How often a file is read again because another process wrote it between our reading and our writing. */
const ATTEMPTS = 5;

/** What happened to a file that was to be replaced. */
export type Replacement =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'written' }
  /** Others could read the file before; its mode was this. */
  | { readonly kind: 'tightened'; readonly mode: number };

/** How a file of secrets is changed. */
export interface SecretFileChange {
  /** Whose files may be replaced. */
  readonly uid: number | undefined;
  readonly lockFile: LockFile;
  readonly signal?: AbortSignal | undefined;
  /** Called when another command changes the file for a second and more. */
  readonly onWait?: () => void;
  /**
   * Makes the new text of the old one (undefined: no file); undefined or the same text leaves everything alone. Called
   * again when another process wrote meanwhile.
   */
  readonly change: (text: string | undefined) => string | undefined;
}

/**
 * Changes a file that holds secrets as one step: readers see the old one or the new one, and the new one has mode 0600
 * from its first byte, in a directory that is created with 0700 (reliability S30, P6). A link is followed once, so that
 * a linked `config.json` stays linked.
 *
 * Reading, changing and replacing is one step for our own commands, by a lock beside the file, which goes again. Docker
 * and Podman know no lock: a file that one of them replaced meanwhile is read anew.
 *
 * @throws TartletError `DISK_*`, `BUSY` when others do not stop writing, and what `change` throws.
 */
export async function changeSecretFile(file: string, how: SecretFileChange): Promise<Replacement> {
  const target = await followOnce(file);
  const before = await readSecretFile(target);
  // What needs no change needs no lock either, which could not be made beside a file in a read-only directory.
  if (changed(before, how) === undefined) {
    await removeLeftLock(target, how);
    return { kind: 'unchanged' };
  }
  checkOwner(file, before?.owner, how.uid);
  const lock = await lockBeside(target, how);
  try {
    return await changeLocked(file, target, how);
  } finally {
    await lock.release();
  }
}

/** @returns undefined when the file is to stay as it is. */
function changed(before: SecretFile | undefined, { change }: SecretFileChange): string | undefined {
  const text = change(before?.text);
  return text === before?.text ? undefined : text;
}

async function changeLocked(file: string, target: string, how: SecretFileChange): Promise<Replacement> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const before = await readSecretFile(target);
    const text = changed(before, how);
    if (text === undefined) return { kind: 'unchanged' };
    checkOwner(file, before?.owner, how.uid);
    if (await replace(target, text, before?.version)) {
      return before === undefined || (before.mode & 0o077) === 0
        ? { kind: 'written' }
        : { kind: 'tightened', mode: before.mode };
    }
  }
  throw new TartletError('BUSY', `${file} was changed by another program each time we wanted to write it`, {
    subject: file,
    retryable: true,
    next: { kind: 'run-again' },
  });
}

/**
 * A command that was killed leaves its lock file. It is taken before it goes: another command may be at work under it.
 */
async function removeLeftLock(target: string, how: SecretFileChange): Promise<void> {
  try {
    await access(lockOf(target));
    await (await lockBeside(target, how)).release();
  } catch {
    how.signal?.throwIfAborted(); // Else there is none, or it cannot be removed: it does no harm.
  }
}

function lockOf(target: string): string {
  return path.join(path.dirname(target), `.${path.basename(target)}.lock`);
}

/**
 * Where files cannot be locked, comparing before replacing must do: that loses a change only when two commands meet
 * within a moment.
 */
async function lockBeside(target: string, { lockFile, signal, onWait }: SecretFileChange): Promise<HeldLock> {
  const file = lockOf(target);
  let looks = 0;
  try {
    await makeDirectory(path.dirname(target));
    // The first time it is asked at once, and most waits are shorter than a word about them.
    const lock = await lockFile(file, { signal, onWait: () => void ((looks += 1) > 1 && onWait?.()) });
    return {
      release: async () => {
        // Removed while it is held: a process that waits for it sees that it is gone, and makes a new one. What cannot
        // be removed is the next one's.
        await rm(file, { force: true }).catch(() => undefined);
        await lock?.release();
      },
    };
  } catch (cause) {
    if (signal?.aborted === true) throw cause;
    if (!isTartletError(cause)) throw fileError(cause, 'write', target);
    // The advice of the floor that locks is about the directory of the home.
    throw new TartletError(cause.code, `cannot write ${target}: ${cause.message}`, { ...permissionsOf(target), cause });
  }
}

/** @returns false when the file is no longer the one whose version is given. */
async function replace(target: string, text: string, version: string | undefined): Promise<boolean> {
  const directory = path.dirname(target);
  const prefix = `.${path.basename(target)}.tartlet-`;
  const temporary = path.join(directory, `${prefix}${randomUUID()}`);
  const explain = (cause: unknown): TartletError => fileError(cause, 'write', target);
  const refused = (cause: unknown): never => {
    throw explain(cause);
  };
  const { isReplaced } = await replaceFile(target, {
    temporary,
    mode: 0o600,
    write: async (handle) => {
      await handle.writeFile(text, 'utf8').catch(refused);
    },
    confirm: async () => {
      if ((await readSecretFile(target))?.version !== version) return false;
      await removeLeftovers(directory, prefix, temporary).catch(refused);
      return true;
    },
    explain,
  });
  return isReplaced;
}

/**
 * Copies of secrets that a killed process left (reliability S30). Age is told by the new file's time, not by our clock.
 */
async function removeLeftovers(directory: string, prefix: string, own: string): Promise<void> {
  const { mtimeMs } = await stat(own);
  for (const name of await readdir(directory)) {
    if (!name.startsWith(prefix)) continue;
    // That of another process may just be renamed.
    const status = await lstatIfThere(path.join(directory, name));
    if (status !== undefined && status.mtimeMs < mtimeMs - LEFTOVER_AGE_MS) {
      await rm(path.join(directory, name), { force: true });
    }
  }
}

/**
 * Makes the directory of a file, with those that are missing above it. Each is an entry of the one above, which is
 * fsynced, also for one that is there: the command that made it may not have come to that.
 */
async function makeDirectory(directory: string): Promise<void> {
  const made = await makePath(directory, 0o700);
  for (const each of made.length === 0 ? [directory] : made) await fsyncAbove(path.dirname(each));
}

async function followOnce(file: string): Promise<string> {
  const text = await linkText(file);
  if (text === undefined) return file;
  const target = path.resolve(path.dirname(file), text);
  if ((await linkText(target)) === undefined) return target;
  throw unusable(file, 'it is a link to another link, and only one is followed');
}

async function linkText(file: string): Promise<string | undefined> {
  try {
    return await readlink(file);
  } catch (cause) {
    if (isNoLink(cause)) return undefined;
    throw fileError(cause, 'read', file);
  }
}

/** Replacing makes a new file of ours: another user's (under sudo, or behind a link) would change hands. */
function checkOwner(file: string, owner: number | undefined, uid: number | undefined): void {
  if (owner === undefined || uid === undefined || owner === uid) return;
  throw new TartletError('DISK_DENIED', `cannot write ${file}: it belongs to another user (uid ${owner})`, {
    subject: file,
    next: { kind: 'run-as-owner-of-auth-file' },
  });
}
