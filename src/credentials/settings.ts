import type { CredentialNote } from './note.ts';

/** What this floor needs from the world around it; it reaches for none of this by itself. */
export interface CredentialSettings {
  /** Variables as the process got them. Helpers are found by its `PATH` and are given all of it but our password. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The user's home folder, absolute. */
  readonly userFolder: string;
  readonly platform: NodeJS.Platform;
  /** The user's number: decides whose files may be replaced. Undefined where the system has none. */
  readonly uid?: number | undefined;
  /** How long one run of a helper may take, in milliseconds. Default: {@link HELPER_TIMEOUT_MS}. */
  readonly helperTimeoutMs?: number;
  /** Told what is odd but no failure. */
  readonly onNote?: (note: CredentialNote) => void;
}

/** 30 s (reliability S32): time enough to unlock a keychain, and no more. */
export const HELPER_TIMEOUT_MS = 30_000;
