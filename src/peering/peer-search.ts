import type { FleetKey } from './fleet-key.ts';
import type { PeerAddress } from './peer-address.ts';

/** Where is asked and announced by multicast DNS. */
export interface MulticastOptions {
  /** The IPv4 address of this machine whose network is meant. Default: what the system takes. */
  readonly interface?: string | undefined;
}

/** Where peers are looked for, and what they are known by. Without it none is asked. */
export interface PeerSearch {
  readonly key: FleetKey;
  /** Peers that are known. Default: none. */
  readonly addresses?: readonly PeerAddress[] | undefined;
  /** Servers that keep a list of peers, above all site caches: `/peers` below each is asked for. Default: none. */
  readonly lists?: readonly URL[] | undefined;
  /** How peers are asked for that announce themselves on the local network. Default: they are not. */
  readonly multicast?: MulticastOptions | undefined;
}

/** Peers asked by one transfer. The first count. */
export const MOST_PEERS = 32;

/** In which all that look for peers must have found them, in milliseconds. */
export const FINDING_MS = 1_500;
