import { AddressGuard } from './transport/connect/address-guard.ts';
import type { OnWait, Timing } from './request/backoff.ts';
import { systemClock } from './request/clock.ts';
import type { Limits } from './request/limits.ts';
import type { RateLimit } from './request/rate-limit.ts';
import type { Transport } from './request/request.ts';
import { withRedirects } from './redirect.ts';
import { withRetry } from './retry/retry.ts';
import { httpTransport } from './transport/transport.ts';
import { observed, type OnWire } from './wire.ts';

/** How a file of a web server is fetched. */
export interface WebConnectionOptions {
  /**
   * Where the user wants something from: a server there may lead elsewhere, but not into networks that only we can
   * reach.
   */
  readonly origin: URL;
  readonly userAgent: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly limits: Limits;
  readonly onWait?: OnWait;
  readonly onWire?: OnWire | undefined;
  /** How fast files come at most. Default: no limit. */
  readonly rateLimit?: RateLimit | undefined;
}

/**
 * A connection to a web server, with the patience, proxies and certificates of those to registries, and without any
 * login.
 */
export interface WebConnection {
  readonly send: Transport;
  readonly timing: Timing;
  close(): Promise<void>;
}

/** Costs nothing before the first request. */
export function webConnection(options: WebConnectionOptions): WebConnection {
  const { environment, limits, userAgent, rateLimit } = options;
  const timing: Timing = { clock: systemClock, limits, onWait: options.onWait };
  const guard = new AddressGuard({ registry: async () => options.origin, environment });
  const http = httpTransport({ userAgent, environment, limits, guard, rateLimit });
  const wire = observed(http.send, options.onWire, timing.clock, () => false);
  return { send: withRetry(withRedirects(wire, limits), timing), timing, close: async () => http.close() };
}
