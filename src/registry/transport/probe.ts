import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import { TartletError } from '../../errors.ts';
import { type ConnectorOptions, registryConnector } from './connect/connector.ts';
import { requestTarget } from './connect/forward-proxy.ts';
import { loadHttpLibrary } from './http-library.ts';

/** A probe that has no answer by then is lost; in milliseconds. */
const LOST_AFTER_MS = 3000;

/** Asks places, by their origins, whether they are there, by the rules of all connections: see {@link probe}. */
export function prober(settings: ConnectorOptions): (origin: URL, signal: AbortSignal) => Promise<void> {
  let connecting: Promise<buildConnector.connector> | undefined;
  return async (origin, signal) => {
    connecting ??= loadHttpLibrary().then(({ buildConnector }) => registryConnector(settings, buildConnector));
    await probe(origin, await connecting, settings, signal);
  };
}

/**
 * Asks a place whether it is there, on a connection of its own: anything that it answers will do. Nothing that is
 * secret goes with it, but for what a proxy wants.
 *
 * @param origin the place.
 * @param connect makes connections to it.
 * @throws anything, when no answer comes.
 */
async function probe(
  origin: URL,
  connect: buildConnector.connector,
  { environment, userAgent }: Pick<ConnectorOptions, 'environment' | 'userAgent'>,
  signal: AbortSignal,
): Promise<void> {
  const target = requestTarget(new URL('/v2/', origin), environment);
  const headers = { host: origin.host, 'user-agent': userAgent, connection: 'close', ...target.headers };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const text = `${[`HEAD ${target.path} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`;
  const both = AbortSignal.any([signal, AbortSignal.timeout(LOST_AFTER_MS)]);
  let socket: Socket | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      both.addEventListener('abort', () => reject(both.reason as Error), { once: true });
      const { host, hostname, port, protocol } = origin;
      connect({ host, hostname, port, protocol }, (...[error, made]) => {
        if (error !== null || made === null) {
          reject(error ?? new TartletError('INTERNAL', 'a connection came without a socket'));
          return;
        }
        socket = made;
        made.on('error', reject);
        if (both.aborted) made.destroy();
        made.once('close', () => reject(new TartletError('NET_BROKEN', 'closed without an answer')));
        made.once('data', () => resolve());
        made.write(text, 'latin1');
      });
    });
  } finally {
    socket?.destroy();
  }
}
