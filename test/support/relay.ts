import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to a connection. */
export interface Rule {
  /** So many bytes of what the registry sends are let through … */
  readonly bytes: number;
  /** … and then the connection is closed, reset, or says nothing more. */
  readonly end: 'fin' | 'rst' | 'stall';
  /** A reset throws away what the other kernel still holds: it is waited until this is true. */
  readonly resetWhen?: () => boolean;
}

/**
 * Carries bytes between a client and a registry, counts them, and breaks connections at exact places. What a connection
 * does is decided when it is made, by its number: 1, 2 …
 */
export class Relay {
  /** Bytes of the registry that were handed to clients. */
  delivered = 0;
  /** Connections so far. */
  connections = 0;
  /** Undefined: let everything through. */
  rule: (connection: number) => Rule | undefined = () => undefined;
  /** Of connections that carry: lets one say nothing more in either direction, for ever. */
  readonly #silence = new Set<() => void>();
  #isSilent = false;
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#carry(client));
  }

  /** In front of a port of this machine. */
  static async start(target: number): Promise<Relay> {
    const relay = new Relay(target);
    relay.#server.listen(0, '127.0.0.1');
    await once(relay.#server, 'listening');
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The network goes, without a word: no connection of now, and none that is made meanwhile, ever moves again. */
  swallow(): void {
    this.#isSilent = true;
    for (const silence of this.#silence) silence();
    this.#silence.clear();
  }

  /** The network is back for connections that are made from now on. */
  comeBack(): void {
    this.#isSilent = false;
  }

  /** Resets all connections of now. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #carry(client: Socket): void {
    this.connections += 1;
    if (this.#isSilent) {
      this.#sockets.add(client);
      client.on('error', () => undefined);
      client.on('close', () => this.#sockets.delete(client));
      return;
    }
    const rule = this.rule(this.connections);
    const registry = connect(this.#target, '127.0.0.1');
    let left = rule?.bytes ?? Infinity;
    for (const socket of [client, registry]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
    }
    client.pipe(registry);
    const silence = (): void => {
      client.unpipe(registry);
      registry.removeAllListeners('data');
      registry.removeAllListeners('close');
    };
    this.#silence.add(silence);
    client.on('close', () => {
      this.#silence.delete(silence);
      registry.destroy();
    });
    registry.on('close', () => {
      if (left > 0) client.end();
    });
    registry.on('data', (piece: Buffer) => {
      const part = piece.subarray(0, left);
      left -= part.length;
      this.delivered += part.length;
      if (!client.write(part) && left > 0) {
        registry.pause();
        client.once('drain', () => registry.resume());
      }
      if (left === 0 && rule !== undefined) this.#end(rule, client, registry);
    });
  }

  #end(rule: Rule, client: Socket, registry: Socket): void {
    registry.pause();
    if (rule.end === 'stall') return;
    if (rule.end === 'fin') client.end();
    // A reset overtakes what was written before it: let that leave first.
    else client.write('', () => reset(client, rule.resetWhen));
    registry.destroy();
  }
}

function reset(client: Socket, when: (() => boolean) | undefined): void {
  if (when === undefined || when() || client.destroyed) client.resetAndDestroy();
  else setImmediate(() => reset(client, when));
}
