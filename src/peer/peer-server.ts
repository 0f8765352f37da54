import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { describeError, systemCode, TartletError } from '../errors.ts';
import { servingChannel } from '../peering/channel.ts';
import type { FleetKey } from '../peering/fleet-key.ts';
import { PEER_PORT, type PeerAddress } from '../peering/peer-address.ts';
import type { MulticastOptions } from '../peering/peer-search.ts';
import { systemClock } from '../registry/request/clock.ts';
import { clientOf } from '../server/access/client-address.ts';
import { FailureLimit } from '../server/access/failure-limit.ts';
import { Connections } from '../server/http/connections.ts';
import type { Session } from '../session/session.ts';
import { announceAt } from './announce-at.ts';
import { ContentIndex } from './content-index.ts';
import { ContentSource } from './content-source.ts';
import { PeerHandler, type PeerRequest } from './peer-handler.ts';
import { UploadSlots } from './upload-slots.ts';

/** Streams that go out at the same time unless more or fewer are asked for. */
const DEFAULT_SLOTS = 8;

/** Each stream should have so many bytes per second: clients drop a peer that gives less (`peering/pace.ts`). */
const STREAM_BYTES_PER_SECOND = 4 * 1024 * 1024;

/** What connections are held to: a flood takes a few places and no more. A reader that reads nothing loses its own. */
const HELD_TO = {
  limits: { connections: 128, connectionsPerClient: 32, bytesPerSecond: 64 * 1024 },
  timeouts: { firstRequest: 5_000, progress: 10_000 },
} as const;

/** How a host answers its peers. */
export interface PeerOptions {
  readonly key: FleetKey;
  /** Default: all addresses of this machine, port 8222. */
  readonly listen?: Partial<PeerAddress>;
  /** Streams at once, from 1 on. Default 8; fewer where the rate limit of the session does not give each 4 MiB/s. */
  readonly slots?: number | undefined;
  /** Told of every request that was answered. */
  readonly onRequest?: (request: PeerRequest) => void;
  /** Told of clients without the key, by their addresses, as far as they are not too many. */
  readonly onRefused?: (remote: string, why: string) => void;
  /** How it is announced on the local network. Default: it is not. */
  readonly multicast?: MulticastOptions | undefined;
  /** Told why it cannot be announced; it answers all the same. */
  readonly onUnannounced?: (why: string) => void;
  /** Servers that keep a list of peers, above all site caches, where it is announced each minute. Default: none. */
  readonly lists?: readonly URL[] | undefined;
}

/** A host that answers. */
export interface Peer extends AsyncDisposable {
  /** Where it listens. */
  readonly address: PeerAddress;
  /** Ends every connection. */
  close(): Promise<void>;
}

/**
 * Answers the peers of a fleet for contents of cached images, until it is closed.
 *
 * @throws TartletError `NET_CONNECT` when the port is taken or the address is not ours.
 */
export async function servePeers(session: Session, options: PeerOptions): Promise<Peer> {
  const monotonic = (): number => systemClock.monotonic();
  const { onRequest = () => undefined } = options;
  const limit = session.rateLimit;
  const handler = new PeerHandler({
    source: new ContentSource(session, new ContentIndex(session, monotonic)),
    slots: new UploadSlots(slotsFor(options.slots, limit?.bytesPerSecond)),
    limit,
    monotonic,
    onRequest,
  });
  const server = createServer(
    { ...servingChannel(options.key), headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 30_000 },
    (request, response) => {
      connections.asked(request, response);
      void handler.handle(request, response);
    },
  );
  const connections = new Connections(HELD_TO);
  connections.watch(server);
  refuseGuessing(server, options);
  const address = await listen(server, { host: '::', port: PEER_PORT, ...options.listen });
  const unannounce = await announce(session, address.port, options);
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    await unannounce();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  };
  return { address, close, [Symbol.asyncDispose]: close };
}

/** @returns takes it back. */
async function announce(session: Session, port: number, options: PeerOptions): Promise<() => Promise<void>> {
  const { multicast, lists = [], onUnannounced = () => undefined } = options;
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, session.signal]);
  const announcing = lists.map(async (list) => announceAt(session, { list, port, signal }, onUnannounced));
  const leave =
    multicast === undefined
      ? async () => undefined
      : await (await import('../peering/multicast.ts')).announcePeer(port, multicast, (error) =>
          onUnannounced(`multicast DNS: ${describeError(error)}`),
        );
  return async () => {
    over.abort();
    await Promise.all([leave(), ...announcing]);
  };
}

function slotsFor(slots = DEFAULT_SLOTS, bytesPerSecond = Infinity): number {
  return Math.max(1, Math.min(slots, Math.floor(bytesPerSecond / STREAM_BYTES_PER_SECOND)));
}

/** Twenty connections without the key, and a client has to wait a minute: each one costs a key exchange. */
function refuseGuessing(server: Server, { onRefused }: PeerOptions): void {
  const failures = new FailureLimit(() => systemClock.monotonic());
  server.prependListener('connection', (socket: Socket) => {
    if (failures.take(clientOf(socket.remoteAddress)) > 0) socket.destroy();
  });
  server.on('secureConnection', (socket: Socket) => failures.giveBack(clientOf(socket.remoteAddress)));
  server.on('tlsClientError', (error: Error, socket: Socket) => {
    onRefused?.(socket.remoteAddress ?? '', systemCode(error) ?? error.name);
  });
}

async function listen(server: Server, { host, port }: PeerAddress): Promise<PeerAddress> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new TartletError('NET_CONNECT', `cannot listen on ${host} port ${port}: ${describeError(cause)}`, {
          subject: `${host}:${port}`,
          next: { kind: 'choose-port' },
          cause,
        }),
      ),
    );
    server.listen(port, host, () => resolve());
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TartletError('INTERNAL', 'a server without a port');
  return { host: address.address, port: address.port };
}
