import { isTartletError, TartletError } from '../../errors.ts';
import { Backoff } from '../request/backoff.ts';
import type { BlobIdentity } from '../../oci/descriptor.ts';
import { BlobOpening } from './blob-opening.ts';
import { BlobVerifier } from './blob-verifier.ts';
import { classifyFailure } from '../request/retry-policy.ts';
import type { RepositoryContext } from '../request/repository.ts';

/** Which part of a blob is read, and how. */
export interface BlobReadOptions {
  /** First byte wanted, default 0. */
  readonly from?: number | undefined;
  /** The byte after the last one wanted, default the blob's size. */
  readonly to?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * The reader is done with each piece before it asks for the next: then much memory, and much time, can be saved.
   * Default: false.
   */
  readonly transientChunks?: boolean | undefined;
  /** Told the length of every piece that came over the wire for this blob, also of those that are skipped. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * The bytes `[from, to)` of a blob; the promises are those of `RegistryClient.blob`. A body that breaks or ends early
 * is continued at the byte where it stopped (reliability N13–N20); more bytes than there should be are an error, never
 * cut off (N18).
 */
export async function* readBlob(
  context: RepositoryContext,
  blob: BlobIdentity,
  options: BlobReadOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const { from = 0, to = blob.size, signal, onBytes, transientChunks = false } = options;
  if (!(from >= 0 && from <= to && to <= blob.size)) {
    throw new TartletError('INTERNAL', `bytes ${from} to ${to} are not within a blob of ${blob.size} bytes`);
  }
  const { progressBytes } = context.timing.limits;
  const backoff = new Backoff(context.timing);
  const opening = new BlobOpening(context, blob, backoff, transientChunks);
  let offset = from;
  let forgiven = from;
  while (offset < to) {
    const opened = await opening.open(offset, to, signal);
    let position = opened.start;
    let failure: TartletError | undefined;
    try {
      for await (const piece of opened.body) {
        onBytes?.(piece.length);
        const wanted = wantedPart(piece, position, offset, to);
        position += piece.length;
        if (position > opened.end) throw surplus(blob, opened.end);
        if (wanted !== undefined) {
          offset += wanted.length;
          yield wanted;
        }
        if (offset - forgiven >= progressBytes) {
          forgiven = offset;
          backoff.reset();
        }
        // Within the blob the rest is left alone; at its end the body must end, too.
        if (offset >= to && to < opened.end) return;
      }
    } catch (error) {
      if (!isTartletError(error) || classifyFailure(error, opened.url) === undefined) throw error;
      failure = error;
    }
    if (offset >= to) return; // If the connection broke after the last byte, the digest decides.
    if (failure === undefined && offset >= opened.end) continue; // An honest part that was shorter than asked (N42).
    failure ??= endedEarly(blob, offset, opened.end);
    if (!backoff.shouldRetry(classifyFailure(failure, opened.url) ?? 'broken')) throw failure;
    await backoff.pause(failure.message, signal);
  }
}

/** What a piece that begins at `position` has of the bytes `[from, to)`. */
function wantedPart(piece: Uint8Array, position: number, from: number, to: number): Uint8Array | undefined {
  const first = Math.max(from - position, 0);
  const last = Math.min(to - position, piece.length);
  if (first === 0 && last === piece.length) return piece;
  return first < last ? piece.subarray(first, last) : undefined;
}

/** A small blob in memory; the promises are those of `RegistryClient.fetchBlob`. */
export async function fetchBlob(
  context: RepositoryContext,
  blob: BlobIdentity,
  limit: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  if (blob.size > limit) {
    throw new TartletError(
      'SIZE_MISMATCH',
      `blob ${blob.digest.toString()} has ${blob.size} bytes, at most ${limit} make sense here`,
      {
        subject: blob.digest.toString(),
        found: String(blob.size),
      },
    );
  }
  const verifier = new BlobVerifier(blob.digest, blob.size);
  const pieces: Uint8Array[] = [];
  for await (const piece of readBlob(context, blob, { signal })) {
    verifier.update(piece);
    pieces.push(piece);
  }
  verifier.verdict();
  return Buffer.concat(pieces);
}

/** The failure of a blob of which more came than there is: never cut off (N18). */
export function surplus(blob: BlobIdentity, end: number): TartletError {
  const digest = blob.digest.toString();
  return new TartletError('SIZE_MISMATCH', `the registry sends more than the ${end} bytes of blob ${digest}`, {
    subject: digest,
    expected: String(end),
    retryable: false,
  });
}

/** The failure of a blob that ended in peace at `offset`, before its end: a repeat may bring the rest (N19). */
export function endedEarly(blob: BlobIdentity, offset: number, end: number): TartletError {
  const digest = blob.digest.toString();
  return new TartletError('SIZE_MISMATCH', `blob ${digest} ended after ${offset} of ${end} bytes`, {
    subject: digest,
    expected: String(end),
    found: String(offset),
    retryable: true,
  });
}
