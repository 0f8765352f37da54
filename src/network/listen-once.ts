import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { systemCode } from '../errors.ts';

/** Whether a port of this host can be had: which one it is, or the system's word why not. */
export type ListenTry = { readonly port: number } | { readonly refused: string };

/**
 * Listens at a port for a moment, and gives it back.
 *
 * @param address of this host, IPv4. @param port 0 for any that is free.
 */
export async function listenOnce(protocol: 'tcp' | 'udp', address: string, port: number): Promise<ListenTry> {
  try {
    return { port: await (protocol === 'tcp' ? listenTcp(address, port) : listenUdp(address, port)) };
  } catch (error) {
    return { refused: systemCode(error) ?? 'unknown' };
  }
}

async function listenTcp(address: string, port: number): Promise<number> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: address, port, exclusive: true }, resolve);
    });
    const bound = server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : port;
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

async function listenUdp(address: string, port: number): Promise<number> {
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address, port, exclusive: true }, resolve);
    });
    return socket.address().port;
  } finally {
    socket.close();
  }
}
