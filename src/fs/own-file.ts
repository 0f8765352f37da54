import { constants, type Stats } from 'node:fs';
import { lstat, open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { isTartletError, systemCode } from '../errors.ts';
import { hasAccessList } from './native.ts';
import { lstatIfThere } from './stats.ts';
import { throughDescriptor } from './trusted-path.ts';
import { readOpenFile } from './small-file.ts';

const GROUP_MAY_WRITE = 0o020;
const OTHERS_MAY_WRITE = 0o002;

/** No symlink is followed, and no pipe waited for. */
const READING = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Whether no other user can have changed the entries of a directory. @throws the system's own error */
export async function isOwnDirectory(directory: string): Promise<boolean> {
  const stats = await stat(directory);
  return stats.isDirectory() && (await isOwn(stats, directory));
}

/**
 * All of a small file that no other user can have written; for what is believed without proof. On a machine without
 * users, and for what another user owns or may write to, there is none.
 *
 * @param maxBytes a longer one is not read.
 * @returns undefined for what cannot be believed. @throws the system's own error
 */
export async function readOwnFile(file: string, maxBytes: number): Promise<Buffer | undefined> {
  const handle = await open(file, READING);
  try {
    const read = await readOpenFile(handle, maxBytes);
    return read.kind === 'read' && (await isOwn(read.stats, throughDescriptor(handle.fd))) ? read.bytes : undefined;
  } finally {
    await handle.close();
  }
}

/**
 * Whether no other user can have written a file, or put another one into its place. What cannot be looked at is not
 * theirs.
 */
export async function isOwnFile(file: string): Promise<boolean> {
  const found = await unlessUnusable(
    async () => (await isOwnDirectory(path.dirname(file))) && (await isOwn(await lstat(file), file)),
  );
  return found ?? false;
}

/**
 * Whether a socket lies at a path, and no symlink to one, that this user has placed there or root: what answers there
 * can be believed.
 */
export async function isOwnSocket(place: string): Promise<boolean> {
  const stats = await lstatIfThere(place);
  return stats?.isSocket() === true && (stats.uid === 0 || stats.uid === process.geteuid?.());
}

async function isOwn(stats: Stats, place: string): Promise<boolean> {
  if (stats.uid !== process.geteuid?.() || (stats.mode & OTHERS_MAY_WRITE) !== 0) return false;
  return (stats.mode & GROUP_MAY_WRITE) === 0 || isForOwnerAlone(stats, place);
}

/**
 * Whether users other than its owner can write to a file or directory outside of the home. What other users own they
 * can write to as well, unless it is root's, or `any-owner` is good enough.
 *
 * @param place where it is.
 */
export async function isWritableByOthers(
  stats: Stats,
  place: string,
  owner: 'own-or-root' | 'any-owner',
): Promise<boolean> {
  const { uid, mode } = stats;
  if (owner === 'own-or-root' && uid !== 0 && uid !== process.geteuid?.()) return true;
  if ((mode & OTHERS_MAY_WRITE) !== 0) return true;
  return (mode & GROUP_MAY_WRITE) !== 0 && !(await isForOwnerAlone(stats, place));
}

/**
 * A mode that lets the group write may mean the group, or a user whom an access list names, and only the list tells.
 *
 * @param place where the list is asked for.
 */
async function isForOwnerAlone({ uid, gid }: Stats, place: string): Promise<boolean> {
  if (hasAccessList(place) !== false) return false;
  const [groups, users] = await Promise.all(['/etc/group', '/etc/passwd'].map(async (file) => readFile(file, 'utf8')));
  return isGroupOfOne(groups ?? '', users ?? '', { uid, gid });
}

/**
 * Whether a group has one user and no other. Where each user has a group of their own (Debian, Ubuntu, Fedora), new
 * files may be written by it.
 *
 * @param groups the text of group(5). @param users the text of passwd(5).
 */
export function isGroupOfOne(groups: string, users: string, { uid, gid }: { uid: number; gid: number }): boolean {
  const people = fieldsOf(users);
  const named = fieldsOf(groups).filter(([, , id]) => id === String(gid));
  const isMine = (name: string): boolean => people.some(([user, , id]) => user === name && id === String(uid));
  return (
    named.length > 0 &&
    named.every(([, , , members = '']) => members.split(',').every((name) => name === '' || isMine(name))) &&
    people.every(([, , id, primary]) => primary !== String(gid) || id === String(uid))
  );
}

/** Lines of fields, separated by colons. */
function fieldsOf(text: string): string[][] {
  return text.split('\n').map((line) => line.split(':'));
}

/** For records that only save time: one that is missing, cannot be read or is not understood is none. */
export async function unlessUnusable<T>(read: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SyntaxError || isTartletError(error) || systemCode(error) !== undefined) return undefined;
    throw error;
  }
}
