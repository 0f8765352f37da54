/**
 * Every number of this floor that bounds something, in one place. Times in milliseconds, sizes in bytes (reliability
 * §0.2).
 */
export const limits = {
  /** One address of a host; Node alone gives up each after 250 ms, which slow routes never make (nodejs/node#54359). */
  connectAddressMs: 5_000,
  /** TCP to all addresses of a host, and the TLS handshake. */
  connectMs: 20_000,
  /** From a sent request to the end of the response headers. */
  headersMs: 60_000,
  /** Between two pieces of a body. There is no limit for a whole body: slow links are honest. */
  bodyIdleMs: 60_000,
  /**
   * An answer that does not move for so long while the network was away is asked for anew when that is back: see
   * `transport/line-watch.ts`. Infinity: that is not looked for, and the other limits decide.
   */
  stillMs: Number.POSITIVE_INFINITY,
  /** A body that brings fewer than `trickleBytes` in `trickleMs` trickles: another connection may do better. */
  trickleMs: 120_000,
  trickleBytes: 120 * 16 * 1024,
  /** How long a loopback registry may take to show that it speaks TLS. */
  probeMs: 2_000,
  responseHeaderBytes: 64 * 1024,
  /** How much of an unwanted body is read to keep its connection. */
  drainBytes: 512 * 1024,
  /** How long that may take. */
  drainMs: 1_000,
  /** How long an interrupted push tries to tell the registry that nothing more comes. */
  cancelMs: 2_000,
  manifestBytes: 16 * 1024 * 1024,
  /** The spec asks every registry to take 4 MiB, and more is refused by some. */
  pushedManifestBytes: 4 * 1024 * 1024,
  tagPageBytes: 16 * 1024 * 1024,
  tokenBytes: 128 * 1024,
  errorBodyBytes: 64 * 1024,
  redirects: 5,
  tagPages: 1_000,
  /** Some registries leave out of a page what its reader may not see. */
  tagPagesInVain: 3,
  tags: 200_000,
  /** Each `tagsMs` of waiting for pages, a list of tags that has not ended must have brought `tagsInTime`. */
  tagsMs: 600_000,
  tagsInTime: 1_000,
  /** Consecutive attempts without progress, whatever went wrong; fewer for some kinds (`retry-policy.ts`). */
  attempts: 6,
  /**
   * So long all attempts together may wait without progress, at least two of them: a little less than twice the
   * patience with one that trickles.
   */
  inVainMs: 230_000,
  /** The first pause is drawn from 0 to this, each further one from twice as much, up to the cap. */
  backoffMs: 500,
  backoffCapMs: 30_000,
  /** A longer time is not waited for: the error tells it instead. */
  retryAfterMs: 5 * 60_000,
  /** So many new bytes of a body are progress and let the attempts be counted anew. */
  progressBytes: 1024 * 1024,
  tokenMinimumMs: 60_000,
  tokenMaximumMs: 24 * 3_600_000,
  /** A token is replaced this long before it expires. */
  tokenEarlyMs: 5_000,
} as const;

/** The same, with some numbers changed: tests do not wait a minute. */
export type Limits = { readonly [name in keyof typeof limits]: number };
