import { TartletError, unreachable } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { diskError } from '../fs/disk-error.ts';
import { readNamedFile, type SmallFile } from '../fs/small-file.ts';

/** More than this is no file of logins: real ones have a few kilobytes. In bytes. */
const MAX_BYTES = 1024 * 1024;

/** A file that holds secrets, as it was read. */
export interface SecretFile {
  readonly path: string;
  readonly text: string;
  /** The permission bits. */
  readonly mode: number;
  readonly owner: number;
  /** Another one when another process wrote in between. */
  readonly version: string;
}

/**
 * Reads a file of at most 1 MiB.
 *
 * @returns undefined when there is none.
 * @throws TartletError `CONFIG_INVALID` for what is no such file, `DISK_*` when it cannot be read: going on without it
 * would hide why the registry refuses us.
 */
export async function readSecretFile(file: string): Promise<SecretFile | undefined> {
  const read = await readNamedFile(file, MAX_BYTES).catch((cause: unknown) => {
    throw fileError(cause, 'read', file);
  });
  switch (read?.kind) {
    case undefined:
      return undefined;
    case 'not-a-file':
      throw unusable(file, 'it is not a regular file');
    case 'too-large':
      throw unusable(file, `it is larger than ${MAX_BYTES} bytes`);
    case 'read':
      return secretFile(file, read);
    default:
      return unreachable(read);
  }
}

function secretFile(file: string, { bytes, stats }: Extract<SmallFile, { kind: 'read' }>): SecretFile {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const version = `${stats.ino}:${stats.size}:${stats.mtimeMs}`;
    return { path: file, text, mode: stats.mode & 0o777, owner: stats.uid, version };
  } catch {
    throw unusable(file, 'it is not UTF-8 text');
  }
}

/** A file that is not what belongs in its place. */
export function unusable(file: string, why: string): TartletError {
  return new TartletError('CONFIG_INVALID', `${file} cannot be used: ${why}`, {
    subject: file,
    next: { kind: 'move-away-if-foreign', path: file },
  });
}

/** What the system says of a file, as an error; one of ours stays as it is. */
export function fileError(cause: unknown, doing: string, file: string): TartletError {
  if (cause instanceof TartletError) return cause;
  const { code, message, facts } = diskError(cause, doing, file);
  const { next } = permissionsOf(file);
  // The usual advice about permissions names the home.
  return new TartletError(code, message, code === 'DISK_DENIED' ? { ...facts, next } : { next, ...facts });
}

/** The advice for a file that cannot be read or written. */
export function permissionsOf(file: string): { readonly subject: string; readonly next: Hint } {
  return { subject: file, next: { kind: 'check-permissions', path: file } };
}
