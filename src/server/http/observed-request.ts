import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { RegistryEvent } from '../settings/event.ts';
import type { Exchange } from './exchange.ts';
import type { Route } from './router.ts';

/** More of what a client calls itself is not kept. */
const MAX_USER_AGENT = 256;

/** What is told of a request once it is over, gathered while it is answered. */
export class ObservedRequest {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #began: number;
  /** A socket that is closed has forgotten it. */
  readonly remote: string;
  readonly #sentBefore: number;
  route: Route | undefined;
  exchange: Exchange | undefined;
  user: string | undefined;

  /** @param now epoch milliseconds. */
  constructor(request: IncomingMessage, response: ServerResponse, now: number) {
    this.#request = request;
    this.#response = response;
    this.#began = now;
    this.remote = request.socket.remoteAddress ?? '';
    this.#sentBefore = sentBy(request.socket);
  }

  /** The event of a request whose answer is closed. */
  over(now: number): Extract<RegistryEvent, { kind: 'request' }> {
    const { method = '', url = '', socket, headers } = this.#request;
    return {
      kind: 'request',
      method,
      path: pathOf(url),
      route: this.route?.kind ?? 'unknown',
      repository: this.route !== undefined && 'repository' in this.route ? this.route.repository.text : undefined,
      status: this.#response.headersSent ? this.#response.statusCode : 0,
      durationMs: now - this.#began,
      receivedBytes: this.exchange?.receivedBytes ?? 0,
      sentBytes: Math.max(0, sentBy(socket) - this.#sentBefore),
      remote: this.remote,
      user: this.user,
      userAgent: headers['user-agent']?.slice(0, MAX_USER_AGENT),
    };
  }
}

/** For the log: no query, and only the beginning of an upload's id, because the whole of it opens the upload. */
export function pathOf(url: string): string {
  const path = url.split('?', 1)[0] ?? '';
  return path.slice(0, 1024).replace(/(\/blobs\/uploads\/[0-9a-f]{8})[0-9a-f]+$/, '$1…');
}

/** Bytes that have left this process: one answer of a connection is written at a time. */
function sentBy({ bytesWritten, writableLength }: Socket): number {
  return bytesWritten - writableLength;
}
