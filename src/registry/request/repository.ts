import type { Timing } from './backoff.ts';
import type { Transport } from './request.ts';

/** What was learned about a registry while talking to it; shared by all requests of a client, forgotten with it. */
export interface RegistryTraits {
  /** Whether HEAD can be believed: `unknown` until it once found something (reliability Q4). */
  head: 'unknown' | 'works' | 'broken';
  /** False once the registry ignored or mangled a range (N40, N41). */
  ranges: boolean;
  /** False once the registry refused PATCH (Q13). */
  patch: boolean;
  /**
   * Set when a request was too large: blobs go up in parts of at most this many bytes (Q12). Only ever gets smaller.
   */
  partBytes: number | undefined;
}

/** @param partBytes as far as it is known from others. */
export function unknownTraits(partBytes?: number): RegistryTraits {
  return { head: 'unknown', ranges: true, patch: true, partBytes };
}

/** One repository, as the calls of the protocol need it. */
export interface RepositoryContext {
  /** `host[:port]` as the user knows it, for messages. */
  readonly registry: string;
  readonly repository: string;
  /** Through all layers: authorization, retries, redirects. */
  readonly send: Transport;
  readonly timing: Timing;
  readonly traits: RegistryTraits;
  /**
   * Notes that requests above so many bytes are too large for the registry; others of the same undertaking are told.
   */
  readonly limitParts: (bytes: number) => void;
  /** `<base>/v2/<repository>/<path>`; `path` is made of validated parts and holds its own query. */
  url(path: string): Promise<URL>;
}
