import { type BigIntStats, lstatSync, readlinkSync, realpathSync, type Stats, statSync } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { systemCode } from '../errors.ts';
import { diskError, isMissing, isNoLink } from './disk-error.ts';

/*
 * The one answer to "what lies at this path": what is not there is a value, and every other failure one of ours. A file
 * in the place of a directory above means that nothing is there.
 */

/**
 * What lies at a path; a symlink is not followed. @returns undefined when nothing does. @throws TartletError `DISK_*`
 */
export async function lstatIfThere(path: string): Promise<Stats | undefined> {
  return ifThere(path, lstat(path));
}

/** The same, exactly: with nanoseconds, and numbers of any length. */
export async function exactLstatIfThere(path: string): Promise<BigIntStats | undefined> {
  return ifThere(path, lstat(path, { bigint: true }));
}

/** What a path leads to. @returns undefined when it leads to nothing. @throws TartletError `DISK_*` */
export async function statIfThere(path: string): Promise<Stats | undefined> {
  return ifThere(path, stat(path));
}

/** The same, exactly. */
export async function exactStatIfThere(path: string): Promise<BigIntStats | undefined> {
  return ifThere(path, stat(path, { bigint: true }));
}

async function ifThere<T>(path: string, looking: Promise<T>): Promise<T | undefined> {
  try {
    return await looking;
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw diskError(cause, 'look at', path);
  }
}

/** {@link lstatIfThere} for callers that look at thousands, where each promise would cost more than the look. */
export function lstatIfThereSync(path: string): Stats | undefined {
  try {
    // Without an error for what is not there, which would cost more than the look.
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw diskError(cause, 'look at', path);
  }
}

/** {@link statIfThere}, likewise. */
export function statIfThereSync(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw diskError(cause, 'look at', path);
  }
}

/** Whether anything is at a path, a dangling symlink included. @throws TartletError `DISK_*` */
export async function exists(path: string): Promise<boolean> {
  return (await lstatIfThere(path)) !== undefined;
}

/** What lies at a path; symlinks are not followed. @throws TartletError `DISK_*` */
export async function kindOf(path: string): Promise<'nothing' | 'link' | 'directory' | 'file'> {
  const stats = await lstatIfThere(path);
  if (stats === undefined) return 'nothing';
  if (stats.isSymbolicLink()) return 'link';
  return stats.isDirectory() ? 'directory' : 'file';
}

/**
 * What a symlink says, or undefined when none is at the path. Synchronous, because of callers that look at thousands.
 * @throws TartletError `DISK_*`
 */
export function linkText(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch (cause) {
    if (isNoLink(cause)) return undefined;
    throw diskError(cause, 'read the symlink', link);
  }
}

/**
 * Where a path leads in the end, or undefined when it leads to nothing, or is a symlink loop. Synchronous likewise.
 * @throws TartletError `DISK_*`
 */
export function realPathIfThere(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch (cause) {
    if (isMissing(cause) || systemCode(cause) === 'ELOOP') return undefined;
    throw diskError(cause, 'look at', path);
  }
}

/** Where a path leads in the end. `unclear`: where we may not look, so that it counts neither as there nor as gone. */
export type RealPath = { readonly kind: 'there'; readonly path: string } | { readonly kind: 'nothing' | 'unclear' };

/** {@link realPathIfThere} for callers that go on where they may not look. */
export function realPathOf(path: string): RealPath {
  try {
    const real = realPathIfThere(path);
    return real === undefined ? { kind: 'nothing' } : { kind: 'there', path: real };
  } catch {
    return { kind: 'unclear' };
  }
}
