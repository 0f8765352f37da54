import { TartletError } from '../../errors.ts';
import { watchBy } from '../request/body-watch.ts';
import { hostAndPort } from '../request/network-error.ts';
import type { Pace } from '../request/progress.ts';
import type { Transport } from '../request/request.ts';
import { LineWatch } from './line-watch.ts';

/** {@link watched}, and what ends it. */
export interface WatchedTransport {
  readonly send: Transport;
  close(): void;
}

/** What is done for a line that stands still. */
export interface LineCare {
  /** Asks a place, by its origin, whether it answers. */
  readonly probe: (origin: URL, signal: AbortSignal) => Promise<void>;
  /** Told that what was asked of a place will not come: other connections to it may be as dead. */
  readonly onLost: (url: URL) => void;
}

/**
 * Asks again for what a network swallowed that was away, as soon as it is back: see {@link LineWatch}. Only what is
 * read: a body that is sent is the business of its sender.
 */
export function watched(next: Transport, { probe, onLost }: LineCare, pace: Pace): WatchedTransport {
  const lines = new Map<string, LineWatch>();
  const lineTo = ({ origin }: URL): LineWatch => {
    let line = lines.get(origin);
    if (line === undefined) {
      line = new LineWatch(async (signal) => probe(new URL(origin), signal), pace);
      lines.set(origin, line);
    }
    return line;
  };
  return {
    send: async (request, signal) => {
      if (request.method !== 'GET') return next(request, signal);
      const { url } = request;
      const lost = new AbortController();
      const either = AbortSignal.any([lost.signal, ...(signal === undefined ? [] : [signal])]);
      const watch = lineTo(url).watch(url.pathname, () => {
        onLost(url);
        lost.abort(swallowed(url));
      });
      watchBy(either, watch);
      try {
        const response = await next(request, either);
        watch.came(0);
        return response;
      } catch (error) {
        watch.ends();
        throw error;
      }
    },
    close: () => {
      for (const line of lines.values()) line.close();
    },
  };
}

function swallowed(url: URL): TartletError {
  const host = hostAndPort(url);
  return new TartletError('NET_TIMEOUT', `${host} did not answer, and does now`, { subject: host, retryable: true });
}
