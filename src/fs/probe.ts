import {
  accessSync,
  closeSync,
  constants,
  type Dirent,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  type Stats,
} from 'node:fs';
import { describeError, systemCode } from '../errors.ts';
import { isMissing } from './disk-error.ts';
import { readOpenFileSync } from './small-file.ts';

/*
 * How the doctor looks at things: without following symlinks, without waiting for pipes, without writing, and without
 * giving up at the first thing that cannot be read. Synchronous for the sake of ten thousand images.
 */

/** Why something in the place of a directory cannot be looked into. */
export const NO_DIRECTORY = 'it is no directory';

/** What looking at something gave. `gone` is not worth a word: others work in the same home. */
export type Look<T> =
  | { readonly kind: 'found'; readonly value: T }
  | { readonly kind: 'gone' }
  /** `isKept`: the system keeps us from looking; otherwise it is something else than what belongs there. */
  | { readonly kind: 'failed'; readonly why: string; readonly isKept: boolean };

export function lookAt(path: string): Look<Stats> {
  return look(() => lstatSync(path));
}

/** What a symlink says; something else in its place has gone. */
export function lookAtLink(path: string): Look<string> {
  return look(() => readlinkSync(path), { gone: ['EINVAL'] });
}

/** Where a path leads in the end. A symlink loop leads to nothing. */
export function lookWhereLeads(path: string): Look<string> {
  return look(() => realpathSync.native(path), { gone: ['ELOOP'] });
}

/** What file systems and desktops keep where they are mounted or looked at. */
const OF_THE_SYSTEM = new Set([
  'lost+found',
  '.DS_Store',
  '.Spotlight-V100',
  '.Trashes',
  '.TemporaryItems',
  '.fseventsd',
]);

/** Entries of a directory, sorted by name, without the system's own. Something else in its place is a failure. */
export function lookInto(directory: string): Look<Dirent[]> {
  const entries = look(() =>
    readdirSync(directory, { withFileTypes: true })
      .filter(({ name }) => !OF_THE_SYSTEM.has(name))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  );
  if (entries.kind !== 'gone' || lookAt(directory).kind !== 'found') return entries;
  return { kind: 'failed', why: NO_DIRECTORY, isKept: false };
}

/** {@link lookInto} for directories whose absence is normal and that others complain about. */
export function namesIn(directory: string): string[] {
  const entries = lookInto(directory);
  return entries.kind === 'found' ? entries.value.map((entry) => entry.name) : [];
}

/**
 * Why a file that is there cannot be read, or undefined when it can: permissions are asked, and nothing is opened.
 */
export function whyUnreadable(file: string): string | undefined {
  const may = look(() => accessSync(file, constants.R_OK));
  return may.kind === 'failed' ? may.why : undefined;
}

/**
 * Reads a small regular file. A pipe, a symlink or a file of more than `limit` bytes counts as failed: nothing is read
 * of it, and the call does not wait for a writer.
 */
export function readSmallFile(path: string, limit: number): Look<Buffer> {
  return look(
    () => {
      const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
      try {
        const read = readOpenFileSync(fd, limit);
        if (read.kind === 'not-a-file') throw new Error('it is no regular file');
        if (read.kind === 'too-large') throw new Error(`it has ${read.size} bytes and may have ${limit}`);
        return read.bytes;
      } finally {
        closeSync(fd);
      }
    },
    { ofAnotherKind: ['ELOOP', 'ENXIO'] },
  );
}

/** How a failure is understood, by the system's codes. */
interface Meaning {
  /** Beside those that always mean it. */
  readonly gone?: readonly string[];
  readonly ofAnotherKind?: readonly string[];
}

function look<T>(work: () => T, { gone = [], ofAnotherKind = [] }: Meaning = {}): Look<T> {
  try {
    return { kind: 'found', value: work() };
  } catch (cause) {
    const code = systemCode(cause);
    if (isMissing(cause) || (code !== undefined && gone.includes(code))) return { kind: 'gone' };
    // Node's text repeats the call and the path: the part before the comma is the reason.
    const why = describeError(cause).split(', ')[0] ?? 'unknown';
    return { kind: 'failed', why, isKept: code !== undefined && !ofAnotherKind.includes(code) };
  }
}

/** What kind of thing lies where a regular file belongs. */
export function kindText(stats: Stats | Dirent): string {
  if (stats.isSymbolicLink()) return 'a symlink';
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a pipe';
  if (stats.isSocket()) return 'a socket';
  return stats.isFile() ? 'a file' : 'a device';
}
