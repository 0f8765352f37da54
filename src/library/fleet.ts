import { fleetKey } from '../peering/fleet-key.ts';
import { parsePeerAddress } from '../peering/peer-address.ts';
import type { MulticastOptions, PeerSearch } from '../peering/peer-search.ts';
import type { Peer, PeerOptions } from '../peer/peer-server.ts';
import type { Session } from '../session/session.ts';

/** The peers of a fleet, and what they are known by. */
export interface FleetPeers {
  /** What all hosts of the fleet hold, at least 32 characters; it never crosses the network. */
  readonly token: string;
  /** Peers that are known: `host`, `host:port`, `[IPv6]:port`. Default: none. */
  readonly addresses?: readonly string[] | undefined;
  /** Servers that keep a list of peers: `/peers` below each URL is asked for. Default: none. */
  readonly lists?: readonly (string | URL)[] | undefined;
  /** How peers are asked for that announce themselves on the local network. Default: they are not. */
  readonly multicast?: MulticastOptions | undefined;
}

/** How a home answers the peers of a fleet. */
export interface ServePeersOptions extends Omit<PeerOptions, 'key' | 'listen'> {
  /** As {@link FleetPeers.token}. */
  readonly token: string;
  /** Default: all IPv4 addresses, port 8222; port 0 is any free one. */
  readonly listen?: { readonly host?: string; readonly port?: number } | undefined;
}

/**
 * What a session is told of a fleet.
 * @throws TartletError `CONFIG_INVALID` for a token that is too short, `USAGE` for an address that is none.
 */
export function peerSearchOf(peers: FleetPeers | undefined): (() => Promise<PeerSearch>) | undefined {
  if (peers === undefined) return undefined;
  const search = {
    key: fleetKey(peers.token, 'the options'),
    addresses: peers.addresses?.map(parsePeerAddress),
    lists: peers.lists?.map((url) => new URL(url)),
    multicast: peers.multicast,
  };
  return async () => search;
}

/** Answers peers until the signal of the session, or its caller, ends it. */
export async function answerPeers(session: Session, { token, listen, ...options }: ServePeersOptions): Promise<Peer> {
  const { servePeers } = await import('../peer/peer-server.ts');
  const peer = await servePeers(session, {
    ...options,
    key: fleetKey(token, 'the options'),
    ...(listen && { listen }),
  });
  session.signal.addEventListener('abort', () => void peer.close(), { once: true });
  return peer;
}
