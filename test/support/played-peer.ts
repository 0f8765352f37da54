import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { servingChannel } from '../../src/peering/channel.ts';
import { fleetKey } from '../../src/peering/fleet-key.ts';
import type { PeerSearch } from '../../src/peering/peer-search.ts';
import { storedStream } from './tart-image.ts';

/** As `openssl rand -hex 32` makes them. */
export const TOKEN = '0123456789abcdef'.repeat(4);

/** What a played peer answers for a content; an endless body, silence, a lie: as a test says. */
export type Answering = (response: ServerResponse, content: string, from: number) => void;

/** A peer that has the token and does what a test says. */
export interface PlayedPeer {
  readonly address: { readonly host: string; readonly port: number };
  /** Contents that were asked for, in order, with the byte to begin at. */
  readonly asked: string[];
}

/** Starts a peer that says to have everything that it is asked for, on a free port, until the test is over. */
export async function playPeer(answering: Answering, token = TOKEN): Promise<PlayedPeer> {
  const asked: string[] = [];
  const server: Server = createServer(servingChannel(fleetKey(token, 'test')), (request, response) => {
    // Clients of this test go away in the middle.
    response.on('error', () => undefined);
    void answer(request, response, answering, asked);
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port }, asked };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  answering: Answering,
  asked: string[],
): Promise<void> {
  if (request.method === 'POST') {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const { contents } = JSON.parse(Buffer.concat(pieces).toString()) as { contents: string[] };
    response.end(JSON.stringify({ have: contents.map((_, place) => place) }));
    return;
  }
  const url = new URL(request.url ?? '', 'https://peer');
  const content = url.pathname.slice('/content/'.length);
  const from = Number(url.searchParams.get('from') ?? '0');
  asked.push(`${content} ${from}`);
  answering(response, content, from);
}

/** Begins the stream of a content, as a peer does. */
export function beginStream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/vnd.tartlet.content.v1' });
}

/**
 * A record of a stream, written out (src/peering/content-stream.ts): zeros, then bytes in an LZ4 stream of their own.
 */
export function record(zeros: number, data: Uint8Array): Uint8Array {
  const encoded = data.length === 0 ? new Uint8Array() : storedStream(data);
  return Buffer.concat([head(zeros, data.length, encoded.length), encoded]);
}

export function head(zeros: number, data: number, encoded: number): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(zeros, 0);
  bytes.writeUInt32LE(data, 4);
  bytes.writeUInt32LE(encoded, 8);
  return bytes;
}

/** Where a session looks for these peers. */
export function searchOf(peers: readonly PlayedPeer['address'][], token = TOKEN): () => Promise<PeerSearch> {
  return async () => ({ key: fleetKey(token, 'test'), addresses: peers });
}
