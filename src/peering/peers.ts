import { systemClock } from '../registry/request/clock.ts';
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

/** How long a peer is left alone that gave nothing, in milliseconds; each further time three times as long. */
const PAUSE_MS = 5_000;

interface KnownPeer {
  readonly client: PeerClient;
  readonly dropped: AbortController;
  /** Monotonic milliseconds. */
  pausedUntil: number;
  pauseMs: number;
}

/** The peers of a transfer in one thread: which of them are still asked, and the connections to them. */
export class Peers {
  readonly #peers: readonly KnownPeer[];
  readonly #onDropped: (peer: number, fault: PeerFault) => void;

  /** @param onDropped told of each peer that is dropped in this thread, once. */
  constructor({ key, addresses, rateLimit }: PeerList, onDropped: (peer: number, fault: PeerFault) => void) {
    const limit = rateLimit === undefined ? undefined : RateLimit.join(rateLimit);
    this.#peers = addresses.map((address) => ({
      client: new PeerClient(address, key, limit),
      dropped: new AbortController(),
      pausedUntil: -Infinity,
      pauseMs: PAUSE_MS,
    }));
    this.#onDropped = onDropped;
  }

  /** How a peer is asked; undefined for one that was dropped, or is left alone for a while. */
  find(peer: number): { readonly client: PeerClient; readonly dropped: AbortSignal } | undefined {
    const found = this.#peers[peer];
    if (found === undefined || found.dropped.signal.aborted) return undefined;
    if (found.pausedUntil > systemClock.monotonic()) return undefined;
    return { client: found.client, dropped: found.dropped.signal };
  }

  /**
   * Leaves a peer alone for a while that is busy, or has not what it said to have: each vain question costs a second or
   * more.
   */
  pause(peer: number): void {
    const found = this.#peers[peer];
    const now = systemClock.monotonic();
    // Several may have asked at the same time, which is one occasion.
    if (found === undefined || found.pausedUntil > now) return;
    found.pausedUntil = now + found.pauseMs;
    found.pauseMs *= 3;
  }

  /** Asks a peer no more, and ends what comes from it. */
  drop(peer: number, fault: PeerFault): void {
    if (this.#peers[peer]?.dropped.signal.aborted !== false) return;
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
