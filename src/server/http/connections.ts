import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { clientOf } from '../access/client-address.ts';
import type { ConnectionFacts } from '../metrics/store-families.ts';
import type { Limits, Timeouts } from '../settings/options.ts';

/** Looked at so many times in the time that is given for progress. */
const LOOKS = 30;
/** So many looks without enough progress cost the place when another client needs it. */
const SLOW_LOOKS = 3;

interface Connection {
  readonly client: string;
  /** As accepted, below TLS. */
  readonly accepted: Socket;
  /** What requests come from, once one came: the end of TLS. */
  requestSocket: Socket | undefined;
  /** Whether it was there at the last look: one that has just come has not had the time to ask. */
  settled: boolean;
  /** Requests that are not answered yet. */
  underWay: number;
  /** The last one that began. */
  request: IncomingMessage | undefined;
  /**
   * How long we have been waiting for this client, in looks, and bytes moved before; undefined when it waits for us, or
   * asks nothing.
   */
  waiting: { looks: number; readonly from: number; slow: boolean } | undefined;
}

/** What the connections of a server are held to. */
export interface ConnectionLimits {
  readonly limits: Pick<Limits, 'connections' | 'connectionsPerClient' | 'bytesPerSecond'>;
  readonly timeouts: Pick<Timeouts, 'firstRequest' | 'progress'>;
}

/**
 * The places of a server, and which connection loses one (issue 14, item 8). A connection has a time for its first
 * request, TLS included; one that sends or reads too slowly is ended; each client has a share; and when there is no
 * place for a new connection, one that asks nothing gives way, or one that hardly moves, or one of the client that has
 * the most, if that is more than the newcomer would have.
 */
export class Connections {
  /** By both ends of a connection, the oldest first. */
  readonly #open = new Map<string, Connection>();
  readonly #perClient = new Map<string, number>();
  readonly #limits: ConnectionLimits['limits'];
  readonly #timeouts: ConnectionLimits['timeouts'];
  /** Bytes of connections that are over. */
  #received = 0;
  #sent = 0;
  #looking: NodeJS.Timeout | undefined;

  constructor({ limits, timeouts }: ConnectionLimits) {
    this.#limits = limits;
    this.#timeouts = timeouts;
  }

  /** Takes in the connections of a server, until it is closed. */
  watch(server: Server): void {
    server.on('connection', (socket: Socket) => this.#accept(socket));
    this.#looking = setInterval(() => this.#look(), Math.ceil(this.#timeouts.progress / LOOKS)).unref();
    server.once('close', () => clearInterval(this.#looking));
  }

  /** What the connections have moved, those that are over included: as it went over the network, TLS and all. */
  facts(): ConnectionFacts {
    const open = [...this.#open.values()].map(({ accepted }) => accepted);
    return {
      open: open.length,
      receivedBytes: open.reduce((sum, { bytesRead }) => sum + bytesRead, this.#received),
      sentBytes: open.reduce((sum, socket) => sum + socket.bytesWritten - socket.writableLength, this.#sent),
    };
  }

  /** A request has come by one of the connections. */
  asked(request: IncomingMessage, response: ServerResponse): void {
    const key = keyOf(request.socket);
    const connection = this.#open.get(key);
    if (connection === undefined) return;
    connection.requestSocket = request.socket;
    connection.request = request;
    connection.underWay += 1;
    response.once('close', () => {
      connection.underWay -= 1;
      if (this.#open.get(key) !== connection) return;
      // The longest idle one is the first to go.
      this.#open.delete(key);
      this.#open.set(key, connection);
    });
  }

  #accept(accepted: Socket): void {
    const client = clientOf(accepted.remoteAddress);
    // It has no address any more when it was closed at once.
    if (client === '' || !this.#makePlace(client)) {
      accepted.destroy();
      return;
    }
    const key = keyOf(accepted);
    const connection: Connection = {
      client,
      accepted,
      requestSocket: undefined,
      settled: false,
      underWay: 0,
      request: undefined,
      waiting: undefined,
    };
    this.#open.set(key, connection);
    this.#perClient.set(client, (this.#perClient.get(client) ?? 0) + 1);
    const late = setTimeout(() => {
      if (connection.requestSocket === undefined) accepted.destroy();
    }, this.#timeouts.firstRequest).unref();
    accepted.once('close', () => {
      clearTimeout(late);
      this.#leave(key, connection);
    });
  }

  #leave(key: string, connection: Connection): void {
    if (this.#open.get(key) !== connection) return;
    this.#open.delete(key);
    this.#received += connection.accepted.bytesRead;
    this.#sent += connection.accepted.bytesWritten - connection.accepted.writableLength;
    const left = (this.#perClient.get(connection.client) ?? 1) - 1;
    if (left > 0) this.#perClient.set(connection.client, left);
    else this.#perClient.delete(connection.client);
  }

  #makePlace(client: string): boolean {
    const { connections, connectionsPerClient } = this.#limits;
    if ((this.#perClient.get(client) ?? 0) >= connectionsPerClient)
      return this.#giveWay((each) => each.client === client);
    return this.#open.size < connections || this.#giveWay(() => true) || this.#evenOut(client);
  }

  /**
   * All are at work: the client that has the most connections loses its newest one to a client that has fewer. @returns
   * whether there is one
   */
  #evenOut(client: string): boolean {
    const [most, count] = [...this.#perClient].reduce((one, other) => (other[1] > one[1] ? other : one), ['', 0]);
    if (count <= (this.#perClient.get(client) ?? 0) + 1) return false;
    const newest = [...this.#open].findLast(([, connection]) => connection.client === most);
    if (newest !== undefined) this.#end(...newest);
    return newest !== undefined;
  }

  /** Ends the connection that is missed least. @returns whether there was one */
  #giveWay(among: (connection: Connection) => boolean): boolean {
    const all = [...this.#open].filter(([, connection]) => among(connection));
    const found =
      all.find(([, { requestSocket, settled }]) => requestSocket === undefined && settled) ??
      all.find(([, { requestSocket, underWay }]) => requestSocket !== undefined && underWay === 0) ??
      all.find(([, { requestSocket }]) => requestSocket === undefined) ??
      all.find(([, { waiting }]) => waiting?.slow === true);
    if (found === undefined) return false;
    this.#end(...found);
    return true;
  }

  #end(key: string, connection: Connection): void {
    this.#leave(key, connection);
    end(connection);
  }

  #look(): void {
    const perLook = (this.#limits.bytesPerSecond * this.#timeouts.progress) / 1_000 / LOOKS;
    for (const connection of this.#open.values()) {
      connection.settled = true;
      if (!isAwaited(connection)) {
        connection.waiting = undefined;
        continue;
      }
      const moved = bytesMoved(connection);
      const { waiting } = connection;
      if (waiting === undefined || moved - waiting.from >= perLook * LOOKS) {
        connection.waiting = { looks: 0, from: moved, slow: false };
        continue;
      }
      waiting.looks += 1;
      waiting.slow = waiting.looks >= SLOW_LOOKS && moved - waiting.from < perLook * waiting.looks;
      if (waiting.looks >= LOOKS) end(connection);
    }
  }
}

/** Whether we wait for bytes of a request, or for a client that does not read its answer. */
function isAwaited({ underWay, request, requestSocket }: Connection): boolean {
  if (underWay === 0 || request === undefined) return false;
  return !request.complete || (requestSocket?.writableLength ?? 0) > 0;
}

/** In both directions; of what we send, only what has left this process. */
function bytesMoved({ requestSocket }: Connection): number {
  return requestSocket === undefined
    ? 0
    : requestSocket.bytesRead + requestSocket.bytesWritten - requestSocket.writableLength;
}

function end({ accepted, requestSocket }: Connection): void {
  requestSocket?.destroy();
  accepted.destroy();
}

/** The same for a connection and for the end of TLS on it. */
function keyOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
