import type { PeerFault } from '../peering/peer-failure.ts';

/** What a pull tells of the peers that it asks; the rest of the union is `TransferEvent`. */
export type PeerEvent =
  | {
      /** A peer was asked, and says to have so many of the contents that are missing here. */
      readonly kind: 'peer-answered';
      /** `host:port` */
      readonly peer: string;
      readonly has: number;
      readonly of: number;
    }
  | {
      /** A peer is asked no more: what it was to give comes from other peers, or from the registry. */
      readonly kind: 'peer-dropped';
      /** `host:port` */
      readonly peer: string;
      readonly fault: PeerFault;
    };
