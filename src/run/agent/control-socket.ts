import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { describeError } from '../../errors.ts';
import { removeEntry } from '../../fs/remove.ts';
import { modeIn } from '../../fs/sharing.ts';
import { placeSocket } from '../../fs/socket.ts';
import type { RpcServer } from '../../grpc/server.ts';
import { Mutex } from '../../guest/mutex.ts';
import { reachAgent, type VsockGuest } from '../../guest/vsock-bridge.ts';
import { VmFile } from '../../home/home-entry.ts';
import { talkToQemuAgent } from './guest-agent.ts';

/*
 * `control.sock` in the directory of a VM that runs: there Tart's agent in the guest is spoken to, by `exec` and by the
 * programs that drive Tart (tart-cli §1.10). Each connection leads to the guest's vsock where there is one and the
 * agent answers there, else to a service that speaks like it and lets QEMU's agent do the work.
 */

/**
 * How long the agent may take to greet by the guest's vsock, and after that QEMU's to answer, in milliseconds: together
 * less than two seconds.
 */
const GREETS_WITHIN_MS = 400;
const ANSWERS_WITHIN_MS = 1400;

/** A user who may connect may run commands as the guest's root. */
const FOR_THIS_USER = 0o600;

export interface ControlSocketOptions {
  /** The guest's vsock, if it has one. */
  readonly vsock: VsockGuest | undefined;
  /** Where programs of this host reach the guest, if not at the address that it has itself. */
  readonly address: string | undefined;
  /** Of the guest's card. */
  readonly mac: string;
}

/**
 * Serves the socket as long as something lasts. Where there can be no socket, that is told, and all else works.
 * @param tell is given a sentence.
 */
export async function whileServed<T>(
  directory: string,
  { tell, ...options }: ControlSocketOptions & { readonly tell: (sentence: string) => void },
  lasts: Promise<T>,
): Promise<T> {
  const control = await ControlSocket.open(directory, options).catch((error: unknown) => {
    tell(`the guest's agent cannot be reached by ${VmFile.controlSocket}: ${describeError(error)}`);
    return undefined;
  });
  try {
    return await lasts;
  } finally {
    await control?.close();
  }
}

/** The socket of one run. */
class ControlSocket {
  readonly #directory: string;
  readonly #options: ControlSocketOptions;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  readonly #mutex = new Mutex();
  /** Loaded with the first that connects: most runs have none. */
  #service: Promise<RpcServer> | undefined;

  private constructor(directory: string, options: ControlSocketOptions) {
    this.#directory = directory;
    this.#options = options;
    this.#server = createServer((socket) => {
      this.#connections.add(socket);
      socket.on('error', () => undefined); // A client that went away needs no answer.
      socket.once('close', () => this.#connections.delete(socket));
      this.#lead(socket).catch(() => socket.destroy());
    });
  }

  /**
   * Listens in the directory of a VM, also where a run that was killed left its socket. A group that shares the home
   * may connect as well.
   * @throws the system's own error where there can be no socket.
   */
  static async open(directory: string, options: ControlSocketOptions): Promise<ControlSocket> {
    const control = new ControlSocket(directory, options);
    const mode = await modeIn(directory, FOR_THIS_USER);
    await placeSocket(`${directory}/${VmFile.controlSocket}`, mode, async (path) => {
      control.#server.listen(path);
      await once(control.#server, 'listening');
    });
    return control;
  }

  async #lead(socket: Socket): Promise<void> {
    const { vsock } = this.#options;
    const join = vsock === undefined ? undefined : await reachAgent(vsock, GREETS_WITHIN_MS);
    if (join !== undefined) join(socket);
    else (await (this.#service ??= this.#loadService())).take(socket);
  }

  async #loadService(): Promise<RpcServer> {
    const { createAgentService } = await import('../../guest/agent-service.ts');
    const { address, mac } = this.#options;
    return createAgentService({
      talk: async (work) => talkToQemuAgent(this.#directory, ANSWERS_WITHIN_MS, work, this.#mutex),
      address,
      mac,
    });
  }

  /** Ends what is under way, and removes the socket. */
  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#connections) socket.destroy();
    await removeEntry(`${this.#directory}/${VmFile.controlSocket}`);
  }
}
