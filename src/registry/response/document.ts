import { pipeline } from 'node:stream';
import { describeError, isTartletError, systemCode, TartletError } from '../../errors.ts';
import { Backoff, type Timing } from '../request/backoff.ts';
import { hostAndPort } from '../request/network-error.ts';
import { classifyFailure } from '../request/retry-policy.ts';
import type { RegistryRequest, RegistryResponse, Transport } from '../request/request.ts';

/** The coding that a server put on a body although we asked for none; undefined for plain bytes. */
export function contentCoding({ headers }: RegistryResponse): string | undefined {
  const coding = headers.get('content-encoding')?.trim().toLowerCase() ?? '';
  return coding === '' || coding === 'identity' ? undefined : coding;
}

/** What a server calls its coding, unless it is our login. */
function shownCoding(coding: string, { repeatsSecret }: RegistryResponse): string {
  return repeatsSecret?.(coding) === true ? 'something that repeats our login' : `"${coding.slice(0, 40)}"`;
}

/**
 * The content of a coded body, decoded once (reliability N50, S21). The caller bounds how much it takes.
 * @throws TartletError `NET_PROTOCOL` for other codings than gzip, deflate and br, and when the coded bytes are cut
 * short or damaged.
 */
export async function* decodedBody(response: RegistryResponse, coding: string): AsyncGenerator<Uint8Array> {
  const decoder = await decoderFor(coding);
  if (decoder === undefined) {
    response.body.destroy();
    throw new TartletError(
      'NET_PROTOCOL',
      `${hostAndPort(response.url)} compressed its answer as ${shownCoding(coding, response)}`,
      {
        subject: hostAndPort(response.url),
      },
    );
  }
  let broken: unknown;
  pipeline(response.body, decoder, (error) => {
    broken = error;
  });
  try {
    for await (const piece of decoder) yield piece as Uint8Array;
  } catch (error) {
    const cause = broken ?? error;
    // Decoders give codes to what is wrong with their bytes. Without one it is an exception of our own.
    if (isTartletError(cause) || systemCode(cause) === undefined) throw cause;
    throw new TartletError(
      'NET_PROTOCOL',
      `the compressed answer of ${hostAndPort(response.url)} is damaged: ${describeError(cause)}`,
      {
        subject: hostAndPort(response.url),
        retryable: true,
        cause,
      },
    );
  } finally {
    response.body.destroy();
  }
}

async function decoderFor(coding: string) {
  const { createBrotliDecompress, createGunzip, createInflate } = await import('node:zlib');
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    default:
      return undefined;
  }
}

/** Reads at most `limit` bytes and lets go of the rest. `complete` tells whether that was all. */
export async function readAtMost(
  body: AsyncIterable<Uint8Array>,
  limit: number,
): Promise<{ readonly bytes: Uint8Array; readonly complete: boolean }> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body) {
    // A copy: a piece may be a view of memory that is used again.
    pieces.push(Uint8Array.from(piece));
    length += piece.length;
    if (length > limit) return { bytes: Buffer.concat(pieces).subarray(0, limit), complete: false };
  }
  return { bytes: Buffer.concat(pieces), complete: true };
}

/** A whole answer in memory; `bytes` is undefined when it was longer than allowed. */
export interface Document {
  readonly response: RegistryResponse;
  readonly bytes: Uint8Array | undefined;
}

/**
 * Sends a request and reads the whole body of a 200 into memory, again from the beginning when the connection breaks.
 * Any other answer is returned with its body unread.
 */
export async function requestDocument(
  send: Transport,
  request: RegistryRequest,
  options: { readonly limit: number; readonly timing: Timing; readonly signal?: AbortSignal | undefined },
): Promise<Document | { readonly response: RegistryResponse; readonly bytes?: never }> {
  const backoff = new Backoff(options.timing);
  for (;;) {
    const response = await send({ ...request, backoff }, options.signal);
    if (response.status !== 200) return { response };
    if (Number(response.headers.get('content-length') ?? 0) > options.limit) {
      response.body.destroy();
      return { response, bytes: undefined };
    }
    try {
      const coding = contentCoding(response);
      const body = coding === undefined ? response.body : decodedBody(response, coding);
      const { bytes, complete } = await readAtMost(body, options.limit);
      return { response, bytes: complete ? bytes : undefined };
    } catch (error) {
      const failureKind = classifyFailure(error, request.url);
      if (failureKind === undefined || !backoff.shouldRetry(failureKind)) throw error;
      await backoff.pause(describeError(error), options.signal);
    }
  }
}
