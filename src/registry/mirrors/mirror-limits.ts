import type { Limits } from '../request/limits.ts';

/**
 * How patient we are with an endpoint while others are left. One that answers at all does so within seconds: a cache of
 * the site is near, and what it does not have yet it streams. Times in milliseconds, sizes in bytes.
 */
const MIRROR_LIMITS = {
  connectAddressMs: 1_500,
  connectMs: 3_000,
  probeMs: 1_000,
  headersMs: 15_000,
  bodyIdleMs: 15_000,
  trickleMs: 30_000,
  trickleBytes: 30 * 16 * 1024,
  /** {@link MirroredSource} tries again, there or elsewhere, and counts. */
  attempts: 1,
  inVainMs: 15_000,
  /** One that wants to be spared for longer is. */
  retryAfterMs: 1_000,
} satisfies Partial<Limits>;

/**
 * The limits for an endpoint that is not the last. Where the usual ones are stricter, they hold.
 *
 * @param connectMs what the settings say of it, in milliseconds (`dial_timeout`).
 */
export function mirrorLimits(usual: Limits, connectMs: number | undefined): Limits {
  const { trickleBytes, ...shorter } = MIRROR_LIMITS;
  const least = Object.entries(shorter).map(([name, value]) => [name, Math.min(value, usual[name as keyof Limits])]);
  const isTrickleUsual = usual.trickleMs <= shorter.trickleMs;
  return {
    ...usual,
    ...(Object.fromEntries(least) as typeof shorter),
    trickleBytes: isTrickleUsual ? usual.trickleBytes : trickleBytes,
    ...(connectMs === undefined ? {} : { connectMs, connectAddressMs: Math.min(connectMs, usual.connectAddressMs) }),
  };
}
