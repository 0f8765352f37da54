import { connect } from 'node:net';

/** An SSH server says its version at once (RFC 4253 §4.2). */
const GREETING = /^SSH-/;

/**
 * Whether the guest's SSH server answers. A connection alone proves nothing: what forwards ports takes it before the
 * guest has started.
 *
 * @param withinMs how long to wait for its first word, in milliseconds.
 */
export async function answersBySsh(address: string, port: number, withinMs: number): Promise<boolean> {
  const socket = connect({ host: address, port });
  try {
    return await new Promise<boolean>((resolve) => {
      socket.setTimeout(withinMs, () => resolve(false));
      socket.once('data', (piece: Buffer) => resolve(GREETING.test(piece.toString('latin1'))));
      socket.once('error', () => resolve(false));
      socket.once('close', () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}

/**
 * Whether something takes connections at a port of a guest that is up. What forwards the port takes them itself, and
 * ends them as soon as the guest refuses: one that stays open was taken by the guest.
 *
 * @param withinMs how long it has to stay open, in milliseconds.
 */
export async function takesConnections(address: string, port: number, withinMs: number): Promise<boolean> {
  const socket = connect({ host: address, port });
  try {
    return await new Promise<boolean>((resolve) => {
      let isOpen = false;
      socket.once('connect', () => (isOpen = true));
      socket.setTimeout(withinMs, () => resolve(isOpen));
      socket.once('data', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('close', () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}
