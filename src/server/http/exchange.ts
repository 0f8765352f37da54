import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Access } from '../access/access.ts';
import type { HeldDocuments } from './document-memory.ts';
import { Refusal } from '../contract/refusal.ts';
import type { RequestBody } from '../contract/request-body.ts';
import { IncomingBody } from './incoming-body.ts';

/** Whether a client waits for `100 Continue` before it sends its body. */
export interface Expectation {
  pending: boolean;
}

/** Unread bodies up to this many bytes are read by Node to keep the connection; larger ones cost it. */
const SMALL_BODY = 64 * 1024;

/**
 * Whether so much of a body is still to come, or may be, that the connection has to be given up rather than read on.
 */
export function hasUnreadBody(request: IncomingMessage, expectation: Expectation): boolean {
  if (request.complete) return false;
  const length = request.headers['content-length'];
  if (length === undefined) return request.headers['transfer-encoding'] !== undefined;
  return Number(length) > (expectation.pending ? 0 : SMALL_BODY);
}

/** What a handler works with: one request whose sender may do it, and the answer to be written. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly access: Access;
  /** What is kept in memory for this request counts here. */
  readonly documents: HeldDocuments;
  /** Bytes of the body that were read. */
  receivedBytes = 0;
  readonly #expectation: Expectation;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    facts: {
      readonly query: URLSearchParams;
      readonly access: Access;
      readonly expectation: Expectation;
      readonly documents: HeldDocuments;
    },
  ) {
    this.request = request;
    this.response = response;
    this.query = facts.query;
    this.access = facts.access;
    this.documents = facts.documents;
    this.#expectation = facts.expectation;
  }

  /** Announced length of the body in bytes; undefined when it is chunked. */
  get contentLength(): number | undefined {
    const text = this.request.headers['content-length'];
    // Node's parser has refused everything but digits.
    if (text !== undefined) return Number(text);
    return this.request.headers['transfer-encoding'] === undefined ? 0 : undefined;
  }

  /** The body. A client that waits for `100 Continue` hears it when this is read, so refuse before. */
  body(): RequestBody {
    return new IncomingBody(this.request, {
      ask: () => {
        if (this.#expectation.pending) this.response.writeContinue();
        this.#expectation.pending = false;
      },
      count: (bytes) => {
        this.receivedBytes += bytes;
      },
    });
  }

  /**
   * A whole body of at most `limit` bytes. @throws Refusal 413 before it is read when that is already known, 429
   * without memory for it.
   */
  async wholeBody(limit: number): Promise<Buffer> {
    const tooLarge = new Refusal(413, 'SIZE_INVALID', `the body is larger than ${limit} bytes`);
    if ((this.contentLength ?? 0) > limit) throw tooLarge;
    const pieces: Buffer[] = [];
    let length = 0;
    await this.body().consume(async (batch) => {
      const more = batch.reduce((sum, piece) => sum + piece.length, 0);
      length += more;
      if (length > limit) throw tooLarge;
      this.documents.take(more);
      pieces.push(...batch);
    });
    return Buffer.concat(pieces);
  }

  /** Answers, with a short body or none. */
  respond(status: number, headers: Readonly<Record<string, string>>, body = ''): void {
    if (hasUnreadBody(this.request, this.#expectation)) this.response.setHeader('Connection', 'close');
    const length = status === 204 ? {} : { 'Content-Length': Buffer.byteLength(body) };
    this.response.writeHead(status, { ...headers, ...length });
    this.response.end(body);
  }

  respondJson(value: unknown, headers: Readonly<Record<string, string>> = {}): void {
    this.respond(200, { 'Content-Type': 'application/json', ...headers }, JSON.stringify(value));
  }
}
