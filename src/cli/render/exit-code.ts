import { type ErrorCode, isTartletError } from '../../errors.ts';
import { isAbort } from './error.ts';

/** Tart's exit codes (tart-cli §0.2), and the shell's for an interrupt (reliability P7). */
const FAILURE = 1;
const NO_SUCH_STATE = 2;
const USAGE = 64;
const INTERRUPTED = 130;

/** Every code is listed, so that a new one does not compile before somebody decided. */
const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  USAGE,
  NAME_MALFORMED: FAILURE,
  NAME_COLLISION: FAILURE,
  DIGEST_MALFORMED: FAILURE,
  NET_DNS: FAILURE,
  NET_CONNECT: FAILURE,
  NET_TLS: FAILURE,
  NET_PROXY: FAILURE,
  NET_TIMEOUT: FAILURE,
  NET_BROKEN: FAILURE,
  NET_PROTOCOL: FAILURE,
  RATE_LIMITED: FAILURE,
  REG_UNAVAILABLE: FAILURE,
  REG_REJECTED: FAILURE,
  AUTH_REQUIRED: FAILURE,
  AUTH_DENIED: FAILURE,
  AUTH_REALM: FAILURE,
  AUTH_HELPER: FAILURE,
  REDIRECT_REFUSED: FAILURE,
  NOT_FOUND: FAILURE,
  DIGEST_MISMATCH: FAILURE,
  SIZE_MISMATCH: FAILURE,
  RANGE_BROKEN: FAILURE,
  MANIFEST_INVALID: FAILURE,
  MANIFEST_TOO_LARGE: FAILURE,
  MEDIA_UNSUPPORTED: FAILURE,
  CHUNK_CORRUPT: FAILURE,
  UPLOAD_LOST: FAILURE,
  UPLOAD_REJECTED: FAILURE,
  DISK_FULL: FAILURE,
  DISK_IO: FAILURE,
  DISK_READONLY: FAILURE,
  DISK_DENIED: FAILURE,
  DISK_UNSUPPORTED: FAILURE,
  STORE_LOCKED: FAILURE,
  STORE_DAMAGED: FAILURE,
  VM_NOT_FOUND: NO_SUCH_STATE,
  VM_RUNNING: NO_SUCH_STATE,
  VM_NOT_RUNNING: NO_SUCH_STATE,
  VM_EXISTS: FAILURE,
  VM_INVALID: FAILURE,
  ARCHIVE_INVALID: FAILURE,
  CONFIG_INVALID: FAILURE,
  // What only a Mac can do was asked of the wrong machine: Tart calls such options wrong usage (tart-cli §1.1).
  NEEDS_MACOS: USAGE,
  NOT_YET: FAILURE,
  BUSY: FAILURE,
  INTERRUPTED,
  INTERNAL: FAILURE,
};

/** What the process ends with after this error. Whatever is not ours is a plain failure. */
export function exitCodeOf(error: unknown): number {
  if (isTartletError(error)) return EXIT_CODES[error.code];
  return isAbort(error) ? INTERRUPTED : FAILURE;
}
