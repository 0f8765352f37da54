import { RateLimit, type SharedRate } from '../registry/request/rate-limit.ts';
import type { FleetKey } from './fleet-key.ts';
import type { PeerAddress } from './peer-address.ts';
import { PeerClient } from './peer-client.ts';
import { type PeerFault, PeerFailure } from './peer-failure.ts';

/** The peers of a transfer, by their places in the list. Plain data, so that it can cross threads. */
export interface PeerList {
  readonly key: FleetKey;
  readonly addresses: readonly PeerAddress[];
  /** What all threads of the command share. */
  readonly rateLimit: SharedRate | undefined;
}

/** The peers of a transfer in one thread: who is still asked, and the connections to them. */
export class Peers {
  readonly #peers: readonly { readonly client: PeerClient; readonly dropped: AbortController }[];
  readonly #onDropped: (peer: number, fault: PeerFault) => void;

  /** @param onDropped told of each peer that is dropped in this thread, once. */
  constructor({ key, addresses, rateLimit }: PeerList, onDropped: (peer: number, fault: PeerFault) => void) {
    const limit = rateLimit === undefined ? undefined : RateLimit.join(rateLimit);
    this.#peers = addresses.map((address) => ({
      client: new PeerClient(address, key, limit),
      dropped: new AbortController(),
    }));
    this.#onDropped = onDropped;
  }

  /** How a peer is asked; undefined for one that was dropped. */
  find(peer: number): { readonly client: PeerClient; readonly dropped: AbortSignal } | undefined {
    const found = this.#peers[peer];
    return found === undefined || found.dropped.signal.aborted
      ? undefined
      : { client: found.client, dropped: found.dropped.signal };
  }

  /** Asks a peer no more, and ends what comes from it. */
  drop(peer: number, fault: PeerFault): void {
    if (this.find(peer) === undefined) return;
    this.hearDropped(peer, fault);
    this.#onDropped(peer, fault);
  }

  /** The same for a peer that another thread dropped. */
  hearDropped(peer: number, fault: PeerFault): void {
    this.#peers[peer]?.dropped.abort(new PeerFailure(fault));
  }

  close(): void {
    for (const { client } of this.#peers) client.close();
  }
}
