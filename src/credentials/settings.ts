import type { CredentialNote } from './note.ts';

/** What this floor needs from the world around it; it reaches for none of this by itself. */
export interface CredentialSettings {
  /** Variables as the process got them. Helpers are found by its `PATH` and are given all of it but our password. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The user's home directory, absolute; undefined when there is none: files of logins in it are then none. */
  readonly userDirectory: string | undefined;
  readonly platform: NodeJS.Platform;
  /** The user's number: decides whose files may be replaced. Undefined where the system has none. */
  readonly uid?: number | undefined;
  /**
   * What helpers get as their umask: the user's own, where this process has another one. Default: that of this process.
   */
  readonly umask?: number | undefined;
  /** How long one run of a helper may take, in milliseconds. Default: {@link HELPER_TIMEOUT_MS}. */
  readonly helperTimeoutMs?: number;
  /** Told what is odd but no failure. */
  readonly onNote?: (note: CredentialNote) => void;
}

/** A lock that is held until it is released, or until the process ends. */
export interface HeldLock {
  release(): Promise<void>;
}

/**
 * Takes the kernel lock of a file alone, and makes that file if it is missing; waits for other processes that have it,
 * and tells so about every second. The floor of the home, which this one does not know, has it.
 *
 * @returns undefined where files cannot be locked.
 */
export type LockFile = (
  file: string,
  options: { readonly signal?: AbortSignal | undefined; readonly onWait?: (() => void) | undefined },
) => Promise<HeldLock | undefined>;

/** What changing logins needs besides: two commands at once would lose one (reliability P6). */
export interface CredentialStoreSettings extends CredentialSettings {
  readonly lockFile: LockFile;
}

/** 30 s (reliability S32): time enough to unlock a keychain, and no more. */
export const HELPER_TIMEOUT_MS = 30_000;
