import { TartletError } from '../../errors.ts';
import { watchBy } from '../request/body-watch.ts';
import { systemClock } from '../request/clock.ts';
import { limits as defaultLimits } from '../request/limits.ts';
import { hostAndPort } from '../request/network-error.ts';
import type { Transport } from '../request/request.ts';
import { rememberedLookup } from './connect/remembered-lookup.ts';
import { TrustStore } from './connect/trust.ts';
import { LineWatch } from './line-watch.ts';
import { prober } from './probe.ts';
import { type HttpTransport, httpTransport, type TransportOptions } from './transport.ts';

/**
 * {@link httpTransport}, which asks again for what a network swallowed that was away, as soon as it is back: see
 * {@link LineWatch}. Only what is read: a body that is sent is the business of its sender. Where `limits.stillMs` is
 * Infinity, nothing is.
 */
export function watchedTransport(options: TransportOptions): HttpTransport {
  const { limits = defaultLimits, clock = systemClock, environment } = options;
  if (!Number.isFinite(limits.stillMs)) return httpTransport(options);
  const trust = options.trust ?? new TrustStore({ environment });
  const settings = { ...options, limits, trust, lookup: rememberedLookup(options.lookup) };
  const http = httpTransport(settings);
  const probe = prober(settings);
  const lines = new Map<string, LineWatch>();
  const lineTo = ({ origin }: URL): LineWatch => {
    let line = lines.get(origin);
    if (line === undefined) {
      line = new LineWatch(async (signal) => probe(new URL(origin), signal), { clock, limits });
      lines.set(origin, line);
    }
    return line;
  };
  const send: Transport = async (request, signal) => {
    if (request.method !== 'GET') return http.send(request, signal);
    const { url } = request;
    const lost = new AbortController();
    const either = AbortSignal.any([lost.signal, ...(signal === undefined ? [] : [signal])]);
    const watch = lineTo(url).watch(url.pathname, () => {
      // Others to that place may be as dead.
      http.closeIdle(url);
      lost.abort(swallowed(url));
    });
    watchBy(either, watch);
    try {
      const response = await http.send(request, either);
      watch.came(0);
      return response;
    } catch (error) {
      watch.ends();
      throw error;
    }
  };
  return {
    send,
    closeIdle: (place) => http.closeIdle(place),
    close: async () => {
      for (const line of lines.values()) line.close();
      await http.close();
    },
  };
}

function swallowed(url: URL): TartletError {
  const host = hostAndPort(url);
  return new TartletError('NET_TIMEOUT', `${host} did not answer, and does now`, { subject: host, retryable: true });
}
