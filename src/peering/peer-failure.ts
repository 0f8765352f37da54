import { describeError } from '../errors.ts';

/**
 * Why a peer gave nothing. `busy` is an honest answer and `absent` may be one; after any other a peer is not asked
 * again by the same command.
 */
export type PeerFault =
  | 'busy'
  | 'absent'
  /** No connection, or one that broke. */
  | 'unreachable'
  /** It has another fleet key, or none. */
  | 'no-fleet-key'
  | 'stalled'
  | 'slow'
  /** It answers what no peer of ours does. */
  | 'not-understood'
  /** What it sent is not the content. */
  | 'wrong-content';

/** That a peer did not give what it was asked for. Never leaves the transfer: there is the registry. */
export class PeerFailure extends Error {
  readonly fault: PeerFault;

  constructor(fault: PeerFault, cause?: unknown) {
    super(cause === undefined ? fault : `${fault}: ${describeError(cause)}`, { cause });
    this.name = 'PeerFailure';
    this.fault = fault;
  }
}

/** Whether a peer is asked again after this. */
export function isHonest(fault: PeerFault): boolean {
  return fault === 'busy' || fault === 'absent';
}

/** What went wrong on the way, as a fault of the peer. */
export function asFailure(error: unknown): PeerFailure {
  if (error instanceof PeerFailure) return error;
  const text = describeError(error);
  // What OpenSSL says of a key that is not the other side's, in the versions that Node has.
  const isKey = /alert (?:illegal parameter|handshake failure|decrypt error)|fleet key|no suitable/i.test(text);
  return new PeerFailure(isKey ? 'no-fleet-key' : 'unreachable', error);
}
