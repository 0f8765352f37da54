import type { DiskChunk } from '../../oci/tart-image.ts';
import { MOST_CONTENTS } from '../../peering/peer-client.ts';
import { peerText } from '../../peering/peer-address.ts';
import { asFailure, type PeerFault } from '../../peering/peer-failure.ts';
import { type PeerList, Peers } from '../../peering/peers.ts';
import type { Session } from '../../session/session.ts';
import { findPeers } from './find-peers.ts';

/** What the peers of a fleet say to have of an image. It proves nothing. */
export class PeerOffers {
  readonly list: PeerList;
  readonly #session: Session;
  readonly #subject: string;
  /** Places in the list, by the digest of the content. */
  readonly #having: ReadonlyMap<string, readonly number[]>;
  readonly #dropped = new Set<number>();
  #turn = 0;

  constructor(session: Session, subject: string, list: PeerList, having: ReadonlyMap<string, readonly number[]>) {
    this.#session = session;
    this.#subject = subject;
    this.list = list;
    this.#having = having;
  }

  /** Who to ask for a content, as places in the list: each peer comes first in its turn. */
  peersFor(content: string): readonly number[] | undefined {
    const having = this.#having.get(content);
    if (having === undefined) return undefined;
    this.#turn += 1;
    const first = this.#turn % having.length;
    return [...having.slice(first), ...having.slice(0, first)];
  }

  /** Tells that a peer is asked no more. */
  drop(peer: number, fault: PeerFault): void {
    const address = this.list.addresses[peer];
    if (address === undefined || this.#dropped.has(peer)) return;
    this.#dropped.add(peer);
    this.#session.emit({ kind: 'peer-dropped', subject: this.#subject, peer: peerText(address), fault });
  }
}

/**
 * Asks the peers of this session, all at the same time, what they have of some chunks.
 *
 * @param subject the image, for events.
 * @returns undefined when none is to be asked, or none has anything.
 */
export async function askPeers(
  session: Session,
  subject: string,
  chunks: readonly DiskChunk[],
): Promise<PeerOffers | undefined> {
  const { signal } = session;
  // Others than these are rare, and so long that fewer of them fit a question.
  const named = chunks.filter(({ contentDigest }) => contentDigest.algorithm === 'sha256');
  const contents = [...new Set(named.map(({ contentDigest }) => contentDigest.toString()))].slice(0, MOST_CONTENTS);
  const search = contents.length === 0 ? undefined : await session.peers();
  if (search === undefined) return undefined;
  const addresses = await findPeers(session, search);
  const list = { key: search.key, addresses, rateLimit: session.rateLimit?.shared };
  const having = new Map<string, number[]>();
  const peers = new Peers(list, () => undefined);
  const ask = async (peer: number): Promise<void> => {
    const address = list.addresses[peer];
    const client = peers.find(peer)?.client;
    if (address === undefined || client === undefined) return;
    const common = { subject, peer: peerText(address) };
    try {
      const found = new Set(await client.ask(contents, signal));
      session.emit({ kind: 'peer-answered', ...common, has: found.size, of: contents.length });
      for (const content of found) having.set(content, [...(having.get(content) ?? []), peer]);
    } catch (error) {
      signal.throwIfAborted();
      session.emit({ kind: 'peer-dropped', ...common, fault: asFailure(error).fault });
    }
  };
  try {
    await Promise.all(list.addresses.map(async (_, peer) => ask(peer)));
  } finally {
    peers.close();
  }
  return having.size === 0 ? undefined : new PeerOffers(session, subject, list, having);
}
