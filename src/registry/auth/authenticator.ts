import type { Access } from '../request/request.ts';

/** A 401 from the registry itself, as plain data that may cross threads. */
export interface Refusal {
  readonly access: Access;
  /** Where the registry is, as `scheme://host:port`. */
  readonly origin: string;
  /** The `Authorization` value that was refused; undefined when none was sent. */
  readonly sent?: string | undefined;
  /** The `Authorization` values that this request was refused with, oldest first; `sent` is the last of them. */
  readonly refused: readonly string[];
  /** Each `WWW-Authenticate` line that this request was answered with, those of the last answer first. */
  readonly challenges: readonly string[];
  /** How often this request has been refused, this time included: 1, 2 … */
  readonly round: number;
}

/**
 * Authenticates requests to one registry. Driven by challenges: nothing is sent before the registry asked. Arguments
 * and results are plain data, so that one authenticator on the main thread can serve every worker (see
 * `authenticator-port.ts`).
 */
export interface Authenticator {
  /** The `Authorization` value to send with a request for `access`, or undefined to send none. */
  authorization(access: Access): Promise<string | undefined>;
  /**
   * Answers a 401. Resolves when the request is worth repeating. Parallel calls for one access cause one token request.
   * @throws TartletError `AUTH_REQUIRED`, `AUTH_DENIED`, `AUTH_REALM`, `AUTH_HELPER`, `NET_*` when it is not.
   */
  challenged(refusal: Refusal, signal?: AbortSignal): Promise<void>;
  /**
   * Told that what {@link authorization} gave is not enough, and that no more is to be had: the next request begins
   * without anything, and its login is looked up anew. Absent where nothing is kept.
   */
  forget?(access: Access): Promise<void>;
  /** As whom we speak, in words for a message: `as "ci" (~/.docker/config.json)` or `anonymously`. Never a secret. */
  identity(repository?: string): Promise<string>;
}
