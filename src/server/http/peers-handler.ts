import { clientOf } from '../access/client-address.ts';
import type { PeerRegister } from '../contract/peer-register.ts';
import { Refusal } from '../contract/refusal.ts';
import type { Exchange } from './exchange.ts';
import { nothingHere } from './router.ts';

/** `GET /peers`: hosts that answer peers. */
export async function getPeers(exchange: Exchange, peers: PeerRegister | undefined): Promise<void> {
  if (peers === undefined) throw nothingHere();
  exchange.respondJson({ schema: 'tartlet.peers/v1', peers: peers.list() });
}

/** `PUT /peers?port=8222`: the client answers peers at that port, for the next minutes. It can name no other host. */
export async function putPeer(exchange: Exchange, peers: PeerRegister | undefined): Promise<void> {
  if (peers === undefined) throw nothingHere();
  const text = exchange.query.get('port') ?? '';
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new Refusal(400, 'UNSUPPORTED', 'a peer names its port, as in /peers?port=8222');
  const { remoteAddress = '' } = exchange.request.socket;
  peers.announce(clientOf(remoteAddress), remoteAddress.replace(/^::ffff:/, ''), port);
  exchange.respond(204, {});
}
