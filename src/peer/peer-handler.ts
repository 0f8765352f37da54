import type { IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import * as v from 'valibot';
import { describeError } from '../errors.ts';
import { parseRecord } from '../json/record.ts';
import { Digest } from '../names/digest.ts';
import { CONTENT_STREAM } from '../peering/content-stream.ts';
import { MOST_CONTENTS } from '../peering/peer-client.ts';
import { leaving, type RateLimit } from '../registry/request/rate-limit.ts';
import { clientOf } from '../server/access/client-address.ts';
import type { ContentSource, HeldContent } from './content-source.ts';
import type { UploadSlots } from './upload-slots.ts';

/** Bytes of a question: 8,192 digests take 640 KiB. */
const MAX_QUESTION_BYTES = 1024 * 1024;

/** How often a client is told that its content is still being hashed, in milliseconds. */
const STILL_HERE_MS = 500;

const question = v.object({ contents: v.pipe(v.array(v.string()), v.maxLength(MOST_CONTENTS)) });

/** What a peer did with a request. */
export interface PeerRequest {
  /** Address of the client. */
  readonly remote: string;
  readonly method: string;
  /** Without its query; a path that is none of ours is left out. */
  readonly path: string;
  readonly status: number;
  /** Bytes of the answer's body. */
  readonly bytes: number;
  readonly durationMs: number;
  /** Why the answer has no end. */
  readonly failure?: string;
}

/** What requests are answered with. */
export interface PeerHandlerParts {
  readonly source: ContentSource;
  readonly slots: UploadSlots;
  /** That all answers share. */
  readonly limit: RateLimit | undefined;
  readonly monotonic: () => number;
  readonly onRequest: (request: PeerRequest) => void;
}

/** Answers requests of peers, who have proved by then that they have the key of the fleet. */
export class PeerHandler {
  readonly #parts: PeerHandlerParts;

  constructor(parts: PeerHandlerParts) {
    this.#parts = parts;
  }

  /** Answers a request. Never throws. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { monotonic, onRequest } = this.#parts;
    const began = monotonic();
    // Asked for now: when the client has gone, it has none any more.
    const remote = request.socket.remoteAddress ?? '';
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const exchange: Exchange = { request, response, remote, signal: gone.signal, sent: 0 };
    let failure: string | undefined;
    try {
      await this.#answer(exchange);
    } catch (error) {
      if (!gone.signal.aborted) failure = describeError(error);
      if (response.headersSent) response.destroy();
      else end(response, 500);
    }
    onRequest({
      remote,
      method: request.method ?? '',
      path: /^\/content(?:\/[a-z0-9]+:[0-9a-f]+)?(?=\?|$)/.exec(request.url ?? '')?.[0] ?? '-',
      status: response.headersSent ? response.statusCode : 0,
      bytes: exchange.sent,
      durationMs: monotonic() - began,
      ...(failure === undefined ? {} : { failure }),
    });
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { request, response } = exchange;
    const [, path = '', query = ''] = /^([^?]*)\??(.*)$/.exec(request.url ?? '') ?? [];
    if (path === '/content') return request.method === 'POST' ? this.#tell(exchange) : end(response, 405);
    const digest = path.startsWith('/content/') ? tryDigest(path.slice('/content/'.length)) : undefined;
    if (digest === undefined) return end(response, 404);
    const from = fromOf(query);
    if (from === undefined) return end(response, 400);
    if (request.method === 'HEAD') return end(response, this.#parts.source.has(digest) ? 200 : 404);
    return request.method === 'GET' ? this.#send(exchange, digest, from) : end(response, 405);
  }

  /** Which of many contents are here. */
  async #tell({ request, response }: Exchange): Promise<void> {
    const text = await readQuestion(request);
    const asked = parseRecord(question, text);
    if (asked === undefined) return end(response, text === undefined ? 413 : 400);
    const { source } = this.#parts;
    const have = asked.contents.flatMap((content, place) => (source.has(content) ? [place] : []));
    const body = JSON.stringify({ have });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    response.end(body);
  }

  async #send(exchange: Exchange, content: string, from: number): Promise<void> {
    const { response, remote, signal } = exchange;
    const { source, slots } = this.#parts;
    if (!source.has(content)) return end(response, 404);
    const release = await slots.take(clientOf(remote), signal);
    if (release === undefined) return signal.aborted ? undefined : end(response, 503, { 'retry-after': '1' });
    try {
      const held = await stillHere(response, source.hold(content, signal));
      if (held === undefined) return end(response, 404);
      try {
        if (from >= held.size) end(response, 416);
        else await this.#stream(exchange, held, from);
      } finally {
        await held.release();
      }
    } finally {
      release();
    }
  }

  async #stream(exchange: Exchange, held: HeldContent, from: number): Promise<void> {
    const { response, signal } = exchange;
    response.writeHead(200, { 'content-type': CONTENT_STREAM, 'cache-control': 'no-store' });
    const records = held.stream(from, signal);
    const { limit } = this.#parts;
    for await (const piece of limit === undefined ? records : leaving(records, limit, signal)) {
      signal.throwIfAborted();
      exchange.sent += piece.length;
      if (!response.write(piece)) await once(response, 'drain', { signal });
    }
    response.end();
  }
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Address of the client. */
  readonly remote: string;
  /** Ends when the client has gone. */
  readonly signal: AbortSignal;
  /** Bytes of the body. */
  sent: number;
}

/** Tells the client now and then that it is not forgotten (102, RFC 2518 §10.1). */
async function stillHere<T>(response: ServerResponse, work: Promise<T>): Promise<T> {
  const telling = setInterval(() => response.writeProcessing(), STILL_HERE_MS);
  try {
    return await work;
  } finally {
    clearInterval(telling);
  }
}

function end(response: ServerResponse, status: number, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { 'content-length': 0, ...headers });
  response.end();
}

function tryDigest(text: string): string | undefined {
  try {
    return Digest.parse(text).toString();
  } catch {
    return undefined;
  }
}

/** The byte that a stream begins at; undefined for a query that is not understood. */
function fromOf(query: string): number | undefined {
  if (query === '') return 0;
  const [, from] = /^from=([0-9]{1,15})$/.exec(query) ?? [];
  return from === undefined ? undefined : Number(from);
}

/** @returns undefined for one that is too long. */
async function readQuestion(request: IncomingMessage): Promise<string | undefined> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Uint8Array>) {
    bytes += piece.length;
    if (bytes > MAX_QUESTION_BYTES) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}
