import type { Bonjour } from 'bonjour-service';
import { randomUUID } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { isIPv4 } from 'node:net';
import { systemClock } from '../registry/request/clock.ts';
import type { PeerAddress } from './peer-address.ts';
import { MOST_PEERS, type MulticastOptions } from './peer-search.ts';

/** `_tartlet._tcp`, as DNS service discovery calls it (RFC 6763 §7). */
const SERVICE = { type: 'tartlet', protocol: 'tcp' } as const;

/** How long answers are waited for, in milliseconds: hosts of one network answer within a few hundred. */
const BROWSE_MS = 1_000;
/** When the question is asked again, in milliseconds: one packet may get lost. */
const AGAIN_MS = 300;

/**
 * The peers that announce themselves on the local network (RFC 6762), found within a second. Each is taken by the
 * address that its answer came from, so that it can name no other host than itself.
 *
 * @param onFailure told why the network cannot be asked; then none is found.
 */
export async function announcedPeers(
  options: MulticastOptions,
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
): Promise<PeerAddress[]> {
  const found = new Map<string, PeerAddress>();
  const bonjour = await open(options, onFailure);
  try {
    const browser = bonjour.find(SERVICE, ({ referer, port }) => {
      const host = referer?.address ?? '';
      const isPort = Number.isInteger(port) && port > 0 && port <= 65_535;
      if (isIPv4(host) && isPort && found.size < MOST_PEERS) found.set(`${host}:${port}`, { host, port });
    });
    await systemClock.sleep(AGAIN_MS, signal);
    browser.update();
    await systemClock.sleep(BROWSE_MS - AGAIN_MS, signal);
    return [...found.values()];
  } finally {
    bonjour.destroy();
  }
}

/**
 * Announces a peer on the local network until it is told to stop.
 * @param onFailure told why it cannot be announced.
 */
export async function announcePeer(
  port: number,
  options: MulticastOptions,
  onFailure: (error: unknown) => void,
): Promise<() => Promise<void>> {
  const bonjour = await open(options, onFailure);
  // No program reads the name, and without a name that is taken there is nothing to probe for.
  bonjour.publish({ ...SERVICE, name: `tartlet-${randomUUID()}`, port, probe: false });
  return async () =>
    new Promise((resolve) => {
      bonjour.unpublishAll(() => bonjour.destroy(() => resolve()));
    });
}

/** Loaded only here: most commands ask no network. */
async function open(options: MulticastOptions, onFailure: (error: unknown) => void): Promise<Bonjour> {
  const { Bonjour: Opened } = await import('bonjour-service');
  // All addresses are listened on: a socket with an address of its own hears no multicast.
  const where = options.interface === undefined ? {} : { bind: '0.0.0.0', interface: options.interface };
  const opened = new Opened(where as object, onFailure);
  // What the socket cannot do is an event that no part of the package listens to.
  const { mdns } = (opened as unknown as { readonly server: { readonly mdns: EventEmitter } }).server;
  mdns.on('error', onFailure);
  mdns.on('warning', () => undefined);
  return opened;
}
