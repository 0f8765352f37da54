import * as v from 'valibot';
import { describeError } from '../../errors.ts';
import { parseRecord } from '../../json/record.ts';
import { type PeerAddress, peerText, tryParsePeerAddress } from '../../peering/peer-address.ts';
import { FINDING_MS, MOST_PEERS, type MulticastOptions, type PeerSearch } from '../../peering/peer-search.ts';
import { redactUrl } from '../../registry/request/redact.ts';
import { requestDocument } from '../../registry/response/document.ts';
import type { Session } from '../../session/session.ts';

/** Bytes of a list of peers. */
const MAX_LIST_BYTES = 64 * 1024;

/** What `/peers` answers: addresses, those first that are the most likely to have what was pulled last. */
const peerListing = v.object({ schema: v.literal('tartlet.peers/v1'), peers: v.array(v.string()) });

/**
 * Finds the peers of a session: those that are known, those that servers list, and those that announce themselves. What
 * others say is only where to knock: who has not the key of the fleet learns nothing by it.
 *
 * A way of finding that fails, or takes longer than 1.5 s, finds none, and is told as a note.
 */
export async function findPeers(session: Session, search: PeerSearch): Promise<PeerAddress[]> {
  const late = AbortSignal.timeout(FINDING_MS);
  const signal = AbortSignal.any([session.signal, late]);
  const found = await Promise.all([
    ...(search.lists ?? []).map(async (url) => listed(session, url, signal)),
    ...(search.multicast === undefined ? [] : [announced(session, search.multicast, signal)]),
  ]);
  session.signal.throwIfAborted();
  const addresses = new Map<string, PeerAddress>();
  for (const { host, port } of [...(search.addresses ?? []), ...found.flat()]) {
    if (addresses.size < MOST_PEERS) addresses.set(peerText({ host, port }), { host, port });
  }
  return [...addresses.values()];
}

async function announced(
  session: Session,
  options: MulticastOptions,
  signal: AbortSignal,
): Promise<readonly PeerAddress[]> {
  const tell = (error: unknown): void => {
    const text = `no peers by multicast DNS: ${describeError(error)}`;
    session.emit({ kind: 'note', subject: 'multicast DNS', text });
  };
  try {
    const { announcedPeers } = await import('../../peering/multicast.ts');
    return await announcedPeers(options, signal, tell);
  } catch (error) {
    session.signal.throwIfAborted();
    if (!signal.aborted) tell(error);
    return [];
  }
}

async function listed(session: Session, base: URL, signal: AbortSignal): Promise<PeerAddress[]> {
  const subject = redactUrl(base);
  try {
    const connection = await session.web(base, subject);
    try {
      const url = new URL('peers', base.href.endsWith('/') ? base : `${base.href}/`);
      const request = { method: 'GET', url, headers: {}, access: { action: 'pull' }, idempotent: true } as const;
      const { response, bytes } = await requestDocument(connection.send, request, {
        limit: MAX_LIST_BYTES,
        timing: connection.timing,
        signal,
      });
      const found = parseRecord(peerListing, bytes === undefined ? undefined : Buffer.from(bytes).toString());
      if (found !== undefined) return found.peers.flatMap((text) => tryParsePeerAddress(text) ?? []);
      throw new Error(`it answers ${response.status} and no list`);
    } finally {
      await connection.close();
    }
  } catch (error) {
    session.signal.throwIfAborted();
    session.emit({ kind: 'note', subject, text: `no list of peers from ${subject}: ${describeError(error)}` });
    return [];
  }
}
