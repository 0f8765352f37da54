import { fstatSync, lstatSync, readlinkSync, type Stats, statSync } from 'node:fs';
import path from 'node:path';
import { systemCode, TartletError } from '../errors.ts';

/*
 * Where several users write into one home, any of them can put a symlink into the place of a file or a directory, also
 * between two looks at it. So what was opened is asked where it is (issue 14, item 4). Symlinks of users who may
 * replace the whole home anyway are followed: they may have put `cache` or `vms` on another disk.
 */

const GROUP_OR_OTHERS_MAY_WRITE = 0o022;

const DESCRIPTORS = '/proc/self/fd/';

/** As in Linux (path_resolution(7)). */
const MOST_LINKS = 40;

/**
 * Where a path leads. From the first directory on that others may write to, a symlink counts only if it is of this
 * user, of root, or of the owner of that directory.
 *
 * @throws TartletError `STORE_DAMAGED` for a symlink of another user; the system's own error for what is not there.
 */
export function trustedRealPath(place: string): string {
  const believed = new Set([0, process.geteuid?.() ?? 0]);
  let isShared = false;
  let links = 0;
  let at = path.isAbsolute(place) ? '/' : path.resolve('.');
  for (let left = place.split('/'); left.length > 0; ) {
    const [name = '', ...rest] = left;
    left = rest;
    const next = path.join(at, name);
    const stats = lstatSync(next);
    if (stats.isSymbolicLink()) {
      links += 1;
      if (links > MOST_LINKS || (isShared && !believed.has(stats.uid))) throw foreignLink(next);
      const text = readLinkOf(next, stats);
      if (text.startsWith('/')) at = '/';
      left = [...text.split('/'), ...rest];
      continue;
    }
    at = next;
    if (!isShared && (stats.mode & GROUP_OR_OTHERS_MAY_WRITE) !== 0) {
      isShared = true;
      believed.add(stats.uid);
    }
  }
  return at;
}

/** What the symlink says that was looked at: another one may have come in its place since. */
function readLinkOf(link: string, { ino, ctimeMs }: Stats): string {
  const text = readlinkSync(link);
  const now = lstatSync(link);
  if (now.ino !== ino || now.ctimeMs !== ctimeMs) throw foreignLink(link);
  return text;
}

/**
 * Whether what was opened is what lies at a path, by symlinks that count.
 *
 * @returns false when something else was there for a moment, or is now: to open it again may find it in its place.
 * @throws as {@link trustedRealPath}
 */
export function isInPlace(fd: number, place: string): boolean {
  const real = placeOf(fd);
  // Nothing was followed, and no second look is needed; the kernel marks what was deleted or replaced since it was
  // opened.
  if (real === place || real === `${place} (deleted)`) return true;
  const wanted = trustedRealPath(place);
  if (real !== undefined) return real === wanted || real === `${wanted} (deleted)`;
  // Elsewhere than on Linux nothing tells where a file is that is open.
  const [opened, there] = [fstatSync(fd), statSync(wanted)];
  return opened.ino === there.ino && opened.dev === there.dev;
}

/** @returns undefined where the system does not tell. */
function placeOf(fd: number): string | undefined {
  try {
    return readlinkSync(throughDescriptor(fd));
  } catch (cause) {
    if (systemCode(cause) === undefined) throw cause;
    return undefined;
  }
}

/** A path to what is open, whatever becomes of its name (proc(5)). There are such paths on Linux only. */
export function throughDescriptor(fd: number): string {
  return `${DESCRIPTORS}${fd}`;
}

/**
 * The same for other processes of this user, as long as it is open in this one.
 * @returns undefined where there are no such paths.
 */
export function throughThisProcess(fd: number): string | undefined {
  try {
    // By the number that the processes have which look there.
    return `/proc/${readlinkSync('/proc/self')}/fd/${fd}`;
  } catch (cause) {
    if (systemCode(cause) === undefined) throw cause;
    return undefined;
  }
}

/** Whether a path leads by {@link throughDescriptor}. */
export function isThroughDescriptor(place: string): boolean {
  return place.startsWith(DESCRIPTORS);
}

function foreignLink(link: string): TartletError {
  return new TartletError('STORE_DAMAGED', `${link} is a symlink of another user, where others may write`, {
    subject: link,
    kept: 'it was not followed',
    next: { kind: 'find-maker' },
  });
}
