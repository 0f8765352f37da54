import { Agent, request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import * as v from 'valibot';
import { parseRecord } from '../json/record.ts';
import type { RateLimit } from '../registry/request/rate-limit.ts';
import { askingChannel } from './channel.ts';
import { CONTENT_STREAM } from './content-stream.ts';
import type { FleetKey } from './fleet-key.ts';
import { watchPace } from './pace.ts';
import type { PeerAddress } from './peer-address.ts';
import { asFailure, PeerFailure } from './peer-failure.ts';

/** In which a peer must have said what it has, in milliseconds: a host of the same network takes a few. */
const QUESTION_MS = 1_500;

/** Contents in one question. A disk of 128 GiB in chunks of 16 MiB has as many. */
export const MOST_CONTENTS = 8_192;

/** Bytes of an answer to a question: a number and a comma for each content. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** Places in the question, in any order. */
const answer = v.object({ have: v.array(v.pipe(v.number(), v.integer(), v.minValue(0))) });

/** Which part of a content is asked for. */
export interface ContentPart {
  /** Digest of the content, as text. */
  readonly content: string;
  /** Bytes of the content. */
  readonly size: number;
  /** The byte to begin at. */
  readonly from: number;
}

/** What is told while a content comes. */
export interface ContentWatch {
  readonly signal: AbortSignal;
  /** So much of the content was taken so far, in bytes, asked for after each piece. */
  readonly delivered: () => number;
  /** Waited for before each piece is handed out; it is not the peer that is slow meanwhile. Default: never. */
  readonly pass?: (() => Promise<void>) | undefined;
}

/** A request to a peer. */
interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly signal: AbortSignal;
  readonly body?: string;
  /** Told that the peer is still at work, before it answers (102, RFC 2518 §10.1). */
  readonly onWait?: () => void;
  readonly isLastTry?: boolean;
}

/** Asks one peer. Speaks to nothing that has not the key of the fleet, and through no proxy. */
export class PeerClient {
  readonly #address: PeerAddress;
  readonly #limit: RateLimit | undefined;
  readonly #agent: Agent;

  constructor(address: PeerAddress, key: FleetKey, limit?: RateLimit) {
    this.#address = address;
    this.#limit = limit;
    // Sessions are not kept: each connection proves the key again.
    this.#agent = new Agent({ keepAlive: true, maxCachedSessions: 0, ...askingChannel(key) });
  }

  /**
   * Asks which of these contents the peer has.
   * @param contents digests as texts, at most {@link MOST_CONTENTS}.
   * @returns those that it says to have, which proves nothing.
   * @throws PeerFailure
   */
  async ask(contents: readonly string[], signal: AbortSignal): Promise<string[]> {
    const late = AbortSignal.timeout(QUESTION_MS);
    const both = AbortSignal.any([signal, late]);
    try {
      const body = JSON.stringify({ contents });
      const response = await this.#send({ method: 'POST', path: '/content', body, signal: both });
      const text = await readAll(response);
      const found = parseRecord(answer, text);
      if (found === undefined) throw new PeerFailure('not-understood');
      return found.have.flatMap((place) => contents[place] ?? []);
    } catch (error) {
      signal.throwIfAborted();
      throw late.aborted ? new PeerFailure('stalled') : asFailure(error);
    }
  }

  /**
   * The stream of a content, as it comes; see `content-stream.ts`. Ends where the peer ends it.
   * @throws PeerFailure, also when the peer is too slow, and the reason of the signal.
   */
  async *content(
    part: ContentPart,
    { signal, delivered, pass }: ContentWatch,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const tooSlow = new AbortController();
    const limit = this.#limit;
    const onSlow = (why: 'stalled' | 'slow'): void => tooSlow.abort(new PeerFailure(why));
    const pace = watchPace(part.size - part.from, limit?.bytesPerSecond, onSlow);
    try {
      const path = `/content/${part.content}${part.from === 0 ? '' : `?from=${part.from}`}`;
      const either = AbortSignal.any([signal, tooSlow.signal]);
      const response = await this.#send({ method: 'GET', path, signal: either, onWait: () => pace.came() });
      try {
        if (response.headers['content-type'] !== CONTENT_STREAM) throw new PeerFailure('not-understood');
        for await (const piece of response as AsyncIterable<Uint8Array>) {
          pace.came();
          await pace.notCounting(async () => {
            await limit?.take('in', piece.length, signal);
            await pass?.();
          });
          yield piece;
          pace.reached(delivered());
        }
      } finally {
        response.destroy();
      }
    } catch (error) {
      signal.throwIfAborted();
      throw tooSlow.signal.aborted ? tooSlow.signal.reason : asFailure(error);
    } finally {
      pace.end();
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  /** @returns an answer that the question was understood; its body is still to come. */
  async #send(question: Question): Promise<IncomingMessage> {
    const response = (await this.#trySend(question)) ?? (await this.#trySend({ ...question, isLastTry: true }));
    if (response?.statusCode === 200) return response;
    response?.destroy();
    throw new PeerFailure(faultOf(response?.statusCode));
  }

  /** @returns undefined when the peer had closed a kept connection at that moment, which says nothing about it. */
  async #trySend(question: Question): Promise<IncomingMessage | undefined> {
    const { method, path, signal, body, onWait, isLastTry = false } = question;
    const { host, port } = this.#address;
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    return new Promise((resolve, reject) => {
      // A connection of its own, or it might be another kept one.
      const agent = isLastTry ? new Agent({ ...this.#agent.options, keepAlive: false }) : this.#agent;
      const sent = request({ agent, host, port, method, path, headers, signal }, resolve);
      sent.on('error', (error) => {
        if (sent.reusedSocket && !isLastTry && !signal.aborted) resolve(undefined);
        else reject(error);
      });
      sent.on('information', () => onWait?.());
      sent.end(body);
    });
  }
}

function faultOf(status: number | undefined): 'absent' | 'busy' | 'not-understood' {
  if (status === 404 || status === 416) return 'absent';
  return status === 503 ? 'busy' : 'not-understood';
}

async function readAll(response: IncomingMessage): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of response as AsyncIterable<Uint8Array>) {
    bytes += piece.length;
    if (bytes > MAX_ANSWER_BYTES) throw new PeerFailure('not-understood');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}
