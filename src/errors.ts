/**
 * Everything that can go wrong, as data: a code to decide on, and four sentences' worth of facts to explain it.
 * The library throws only {@link TartletError}; exit codes and colours are the command line's business.
 */

import type { Hint } from './hint.ts';

/**
 * Why an operation failed. Stable: callers decide on it, `docs/guide/errors.md` explains each. The prefix names the
 * world the cause lives in: `NET` the wire, `AUTH` who we are, `DISK` the local file system, `VM` a local machine.
 */
export type ErrorCode =
  | 'USAGE'
  | 'NAME_MALFORMED'
  | 'NAME_COLLISION'
  | 'DIGEST_MALFORMED'
  | 'NET_DNS'
  | 'NET_CONNECT'
  | 'NET_TLS'
  | 'NET_PROXY'
  | 'NET_TIMEOUT'
  | 'NET_BROKEN'
  | 'NET_PROTOCOL'
  | 'RATE_LIMITED'
  | 'REG_UNAVAILABLE'
  | 'REG_REJECTED'
  | 'REG_BLOCKED'
  | 'AUTH_REQUIRED'
  | 'AUTH_DENIED'
  | 'AUTH_REALM'
  | 'AUTH_HELPER'
  | 'REDIRECT_REFUSED'
  | 'NOT_FOUND'
  | 'DIGEST_MISMATCH'
  | 'SIZE_MISMATCH'
  | 'RANGE_BROKEN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_TOO_LARGE'
  | 'MEDIA_UNSUPPORTED'
  | 'CHUNK_CORRUPT'
  | 'UPLOAD_LOST'
  | 'UPLOAD_REJECTED'
  | 'DISK_FULL'
  | 'DISK_IO'
  | 'DISK_READONLY'
  | 'DISK_DENIED'
  | 'DISK_UNSUPPORTED'
  | 'STORE_DAMAGED'
  | 'VM_NOT_FOUND'
  | 'VM_RUNNING'
  | 'VM_NOT_RUNNING'
  | 'VM_EXISTS'
  | 'VM_INVALID'
  | 'ARCHIVE_INVALID'
  | 'CONFIG_INVALID'
  | 'NEEDS_MACOS'
  | 'HOST_LACKS'
  | 'GUEST_FAILED'
  | 'GUEST_UNREACHABLE'
  | 'GUEST_LATE'
  | 'BUSY'
  | 'INTERRUPTED'
  | 'INTERNAL';

/** What is known about a failure beside its sentence. Every field is safe to print: no secrets, no query strings. */
export interface ErrorFacts {
  /** The thing that failed: a name, a host, a path, a digest. */
  readonly subject?: string | undefined;
  /** What survived, e.g. `3 of 12 chunks in …`. Absent when nothing was begun. */
  readonly kept?: string | undefined;
  /** Names of what was deleted on the way, e.g. to make room. Absent when nothing was. */
  readonly removed?: readonly string[] | undefined;
  /** The one thing to do next: an id with parameters, no words. */
  readonly next?: Hint | undefined;
  /** HTTP status, when a registry answered. */
  readonly status?: number | undefined;
  /** True when the very same call may succeed later without a change of anything. */
  readonly retryable?: boolean | undefined;
  /** How long the other side asked us to wait, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** The position (1-based, in characters) in a text that could not be parsed. */
  readonly position?: number | undefined;
  /** What should have been there, e.g. the digest asked for. */
  readonly expected?: string | undefined;
  /** What was there instead. */
  readonly found?: string | undefined;
  readonly cause?: unknown;
}

/**
 * The only error this library throws on purpose. `message` says what failed and why, in one line, without the next
 * step.
 */
export class TartletError extends Error {
  readonly code: ErrorCode;
  readonly facts: ErrorFacts;

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'TartletError';
    this.code = code;
    // What is undefined is not known: it must not stand in the place of what is, where facts are added to facts.
    this.facts = Object.fromEntries(Object.entries(facts).filter(([, fact]) => fact !== undefined));
  }

  /** The same failure with more known about it: `facts` are added, those already there are kept. */
  with(facts: ErrorFacts): TartletError {
    const merged = new TartletError(this.code, this.message, { ...facts, ...this.facts });
    if (this.stack !== undefined) merged.stack = this.stack;
    return merged;
  }
}

/** Whether `error` is a {@link TartletError}, and with this code when one is given. */
export function isTartletError(error: unknown, ...codes: ErrorCode[]): error is TartletError {
  return error instanceof TartletError && (codes.length === 0 || codes.includes(error.code));
}

/** Whether a disk refused: it is full, read-only, broken, or not ours to write to. */
export function isDiskError(error: unknown): error is TartletError {
  return error instanceof TartletError && error.code.startsWith('DISK_');
}

/** A failed switch: compiles only where every case of a union was handled. */
export function unreachable(value: never): never {
  throw new TartletError('INTERNAL', `unhandled case: ${JSON.stringify(value)}`);
}

/** The `code` that Node and libuv put on system errors (`ENOENT`, `ECONNRESET` …), or undefined. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string')
    return error.code;
  return undefined;
}

/** One line that describes any thrown value: `AggregateError` is flattened to its parts (reliability N4). */
export function describeError(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map((part: unknown) => describeError(part)))].join('; ');
  }
  if (error instanceof Error) return error.message === '' ? error.name : error.message;
  return String(error);
}

/**
 * An error as plain data, for the way between threads, which a class does not survive. {@link fromPlainError} makes one
 * again.
 */
export type PlainError = {
  readonly message: string;
  /** Where it was thrown, for output with all that is known. */
  readonly stack: string | undefined;
  readonly cause: PlainError | undefined;
} & (
  | { readonly kind: 'tartlet'; readonly code: ErrorCode; readonly facts: Omit<ErrorFacts, 'cause'> }
  /** Of the system or of a library; `code` is its {@link systemCode}, `parts` are those of an `AggregateError`. */
  | {
      readonly kind: 'other';
      readonly name: string;
      readonly code: string | undefined;
      readonly parts: readonly PlainError[];
    }
);

/** A chain of causes that is longer, or that ends nowhere, is cut off here. */
const MOST_CAUSES = 16;

/** Any thrown value, with its code, facts and causes. */
export function toPlainError(error: unknown): PlainError {
  return plainError(error, MOST_CAUSES);
}

function plainError(error: unknown, deeper: number): PlainError {
  const plain = (other: unknown): PlainError => plainError(other, deeper - 1);
  if (!(error instanceof Error) || deeper === 0) {
    const message = describeError(error);
    return {
      kind: 'other',
      name: 'Error',
      message,
      stack: undefined,
      code: systemCode(error),
      parts: [],
      cause: undefined,
    };
  }
  const cause = error.cause === undefined ? undefined : plain(error.cause);
  const { stack } = error;
  if (error instanceof TartletError) {
    const { cause: _, ...facts } = error.facts;
    return { kind: 'tartlet', code: error.code, message: error.message, facts, stack, cause };
  }
  const parts = error instanceof AggregateError ? error.errors.map(plain) : [];
  return {
    kind: 'other',
    name: error.name,
    message: describeError(error),
    code: systemCode(error),
    parts,
    stack,
    cause,
  };
}

/** The error that {@link toPlainError} was given, made anew; what was none of ours is `INTERNAL`, and its cause. */
export function fromPlainError(plain: PlainError): TartletError {
  const error = restoredError(plain);
  return error instanceof TartletError ? error : new TartletError('INTERNAL', error.message, { cause: error });
}

function restoredError(plain: PlainError): Error {
  const cause = plain.cause === undefined ? undefined : restoredError(plain.cause);
  const error = madeAnew(plain, cause);
  if (plain.stack !== undefined) error.stack = plain.stack;
  return error;
}

function madeAnew(plain: PlainError, cause: Error | undefined): Error {
  if (plain.kind === 'tartlet') {
    return new TartletError(plain.code, plain.message, cause === undefined ? plain.facts : { ...plain.facts, cause });
  }
  const options = cause === undefined ? undefined : { cause };
  const error =
    plain.parts.length === 0
      ? new Error(plain.message, options)
      : new AggregateError(plain.parts.map(restoredError), plain.message, options);
  return Object.assign(error, { name: plain.name }, plain.code === undefined ? {} : { code: plain.code });
}
