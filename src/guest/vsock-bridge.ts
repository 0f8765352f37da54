import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { SYSTEM_ENVIRONMENT } from '../fs/system-program.ts';
import { AGENT_PORT } from './agent-contract.ts';

/*
 * The way to the guest's vsock, which Node cannot take itself: `socat` does (vm-run.md §3). One of it for each
 * connection; it ends when either side has closed, hence with us, however we end.
 */

/** A guest, by the number that its vsock has on this host. */
export interface VsockGuest {
  /** The program `socat`. */
  readonly socat: string;
  readonly cid: number;
}

type Bridge = ChildProcessByStdio<Writable, Readable, null>;

/**
 * Connects to the agent in a guest, which greets first (RFC 9113 §3.4): until it has, there is none.
 *
 * @param withinMs how long it may take, in milliseconds.
 * @returns what joins a connection to it; undefined when there is no agent.
 */
export async function reachAgent(
  { socat, cid }: VsockGuest,
  withinMs: number,
): Promise<((socket: Socket) => void) | undefined> {
  const bridge = spawn(socat, ['-', `VSOCK-CONNECT:${cid}:${AGENT_PORT}`], {
    cwd: '/',
    env: SYSTEM_ENVIRONMENT,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  // Told by its end.
  for (const each of [bridge, bridge.stdin, bridge.stdout]) each.on('error', () => undefined);
  if (await greets(bridge, withinMs)) return (socket) => join(socket, bridge);
  bridge.kill('SIGKILL');
  return undefined;
}

async function greets(bridge: Bridge, withinMs: number): Promise<boolean> {
  let deadline: NodeJS.Timeout | undefined;
  try {
    return await new Promise<boolean>((resolve) => {
      deadline = setTimeout(() => resolve(false), withinMs);
      bridge.once('error', () => resolve(false));
      bridge.stdout.once('readable', () => resolve(bridge.stdout.readableLength > 0));
    });
  } finally {
    clearTimeout(deadline);
  }
}

function join(socket: Socket, bridge: Bridge): void {
  socket.on('error', () => undefined);
  socket.pipe(bridge.stdin);
  bridge.stdout.pipe(socket);
  socket.once('close', () => bridge.kill('SIGKILL'));
  bridge.once('close', () => socket.destroySoon());
}
