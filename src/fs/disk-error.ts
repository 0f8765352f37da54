import { constants } from 'node:os';
import { describeError, systemCode, TartletError, type ErrorCode } from '../errors.ts';
import type { Hint } from '../hint.ts';

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  EROFS: 'DISK_READONLY',
  EACCES: 'DISK_DENIED',
  EPERM: 'DISK_DENIED',
  ENOTSUP: 'DISK_UNSUPPORTED',
  EOPNOTSUPP: 'DISK_UNSUPPORTED',
  ENOLCK: 'DISK_UNSUPPORTED',
  ENAMETOOLONG: 'DISK_UNSUPPORTED',
  EFBIG: 'DISK_UNSUPPORTED',
};

const NEXT: Partial<Record<ErrorCode, Hint>> = {
  DISK_FULL: { kind: 'free-space' },
  DISK_READONLY: { kind: 'make-file-system-writable' },
  DISK_DENIED: { kind: 'check-owner' },
};

/** Next steps that follow from the system's own code where ours says little. */
const NEXT_BY_SYSTEM: Readonly<Record<string, Hint>> = {
  EIO: { kind: 'check-device' },
  ENXIO: { kind: 'check-device' },
  ENOTDIR: { kind: 'move-file-or-name-directory' },
  EEXIST: { kind: 'move-file-or-name-directory' },
  EFBIG: { kind: 'raise-file-size-limit' },
  ENOENT: { kind: 'check-path-is-there' },
  EISDIR: { kind: 'name-file' },
  EPIPE: { kind: 'let-reader-finish' },
  EMFILE: { kind: 'raise-open-file-limit' },
  ENFILE: { kind: 'close-programs' },
};

/** Reasons that the system's own words do not make clear, or for which it has none. */
const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the quota is used up',
  ENOLCK: 'the file system has no locks',
  EFBIG: 'files may not be that large there',
  ESTALE: 'the file was replaced on its server',
};

const UNNAMED: ReadonlyMap<number, string> = new Map(
  (['EDQUOT', 'ENOLCK', 'ESTALE'] as const).map((name) => [constants.errno[name], name]),
);

/** Says what the file system refused, in our codes; errors that already are ours pass through. */
export function diskError(cause: unknown, doing: string, path: string): TartletError {
  if (cause instanceof TartletError) return cause;
  const system = systemName(cause);
  const code = diskCode(cause);
  const next = NEXT_BY_SYSTEM[system ?? ''] ?? NEXT[code];
  return new TartletError(code, `cannot ${doing} ${path}: ${reason(cause, system)}`, {
    subject: path,
    next,
    cause,
  });
}

/** Our code for what the file system said; of an error of ours, its own. */
export function diskCode(cause: unknown): ErrorCode {
  return cause instanceof TartletError ? cause.code : (CODES[systemName(cause) ?? ''] ?? 'DISK_IO');
}

/**
 * The name of a system error. Of some that file systems give libuv knows no name, and Node calls them
 * `Unknown system error -122` (reliability D5, D25).
 */
function systemName(cause: unknown): string | undefined {
  const code = systemCode(cause);
  const number = /^Unknown system error -(\d+)$/.exec(code ?? '')?.[1];
  return number === undefined ? code : UNNAMED.get(Number(number));
}

/** What programs of the system say in English, and the names of the codes that they say it of. */
const SAID: readonly (readonly [words: string, system: string])[] = [
  ['No space left on device', 'ENOSPC'],
  ['Disk quota exceeded', 'EDQUOT'],
  ['Read-only file system', 'EROFS'],
  ['Permission denied', 'EACCES'],
  ['File too large', 'EFBIG'],
];

/** Our code for what a program of the system said of a file. */
export function codeOfWords(words: string): ErrorCode {
  return CODES[systemOfWords(words) ?? ''] ?? 'DISK_IO';
}

/** What to do about what a program of the system said of a file. */
export function nextOfWords(words: string): Hint | undefined {
  return NEXT_BY_SYSTEM[systemOfWords(words) ?? ''] ?? NEXT[codeOfWords(words)];
}

function systemOfWords(words: string): string | undefined {
  return SAID.find(([each]) => words.includes(each))?.[1];
}

/** Runs a piece of file work and explains its failure. */
export async function onDisk<T>(doing: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw diskError(cause, doing, path);
  }
}

function reason(cause: unknown, system: string | undefined): string {
  const known = REASONS[system ?? ''];
  if (known !== undefined) return known;
  // Node's text repeats the call and the path: the part before the comma is the reason.
  return describeError(cause).split(', ')[0] ?? 'unknown';
}

/**
 * Whether a look failed because nothing is at a path. A file in the place of a directory above means that as well.
 * @param cause what the system said, or our error of it.
 */
export function isMissing(cause: unknown): boolean {
  const code = systemCode(cause instanceof TartletError ? cause.cause : cause);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** Whether a symlink could not be read because none is at its path: nothing is, or something else. */
export function isNoLink(cause: unknown): boolean {
  return isMissing(cause) || systemCode(cause) === 'EINVAL';
}

/** For `.catch`: nothing there is undefined, every other failure goes on. */
export function ignoreMissing(cause: unknown): undefined {
  if (!isMissing(cause)) throw cause;
  return undefined;
}
