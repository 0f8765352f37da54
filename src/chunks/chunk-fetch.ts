import { createHash, type Hash } from 'node:crypto';
import { AppleLz4Decoder } from '../codec/apple-lz4-decoder.ts';
import { HISTORY_BYTES } from '../codec/apple-lz4-format.ts';
import type { ResumePoint, StreamPosition } from '../codec/chunk-decoder.ts';
import type { DecoderWorkspace } from '../codec/lz4-backend.ts';
import { isTartletError, TartletError } from '../errors.ts';
import { noteBoundaries } from '../home/chunk-journal.ts';
import { Digest } from '../names/digest.ts';
import { BlobVerifier } from '../registry/blobs/blob-verifier.ts';
import { untilVerified } from '../registry/verified-read.ts';
import type { BlobFetcher, BlobPusher } from '../registry/contract.ts';
import type { FetchJob, FetchResult, UnpackJob, UnpackResult, VerifyJob, VerifyResult } from './chunk-job.ts';
import { type FetchRoute, keepingBlob } from './blob-file.ts';
import { clientOfFile } from './file-blob.ts';
import { withDecoder } from './lz4-backend.ts';
import { Stopwatch } from './time-spent.ts';
import { DiskWindow, readWindow } from './disk-window.ts';
import { fetchFromPeers, type PeerContext } from './peer-fetch.ts';

/** How far a chunk is, is noted after so many decoded bytes: what a kill costs at most, beside the block it hits. */
const NOTE_EVERY_BYTES = 256 * 1024;

/** What the work on a chunk needs beside its job. */
export interface FetchContext extends FetchRoute {
  /** Counts what the work costs, where the caller asks for it. */
  readonly stopwatch?: Stopwatch;
  /** Told of the work on the disk as it is done, in bytes of it; negative when it was for nothing. */
  readonly onWork?: (diskBytes: number) => void;
  /** Who is asked before the registry. Default: none is. */
  readonly fromPeers?: Pick<PeerContext, 'peers' | 'onPeerBytes' | 'pause'> | undefined;
}

export interface ChunkContext extends FetchContext {
  readonly client: BlobFetcher & BlobPusher;
}

/**
 * Brings one chunk from where its blob is to its places on the disk: hashed as received, decoded, hashed as decoded,
 * written, all while it streams. A blob that arrived damaged is fetched once more, and elsewhere as long as there is
 * another place; one that the publisher made wrong is not (reliability C1, C9).
 *
 * A chunk that an earlier run had begun is continued between two blocks, with what lies on the disk hashed again. The
 * blob cannot be hashed as a whole then: the digest of the content decides, and if that is wrong, the chunk begins
 * anew.
 *
 * A chunk that is neither continued nor kept comes from peers, where they have it; then it is the digest of the content
 * as well that decides.
 *
 * @throws TartletError `DIGEST_MISMATCH`, `SIZE_MISMATCH`, `CHUNK_CORRUPT`, `DISK_*`, and whatever the registry client
 * throws.
 */
export async function fetchChunk(job: FetchJob, from: FetchContext): Promise<FetchResult> {
  const { resume, keep } = job;
  const context = keep === undefined ? from : { ...from, client: keepingBlob(from.client, keep) };
  if (resume !== undefined && isWithin(resume, job)) {
    try {
      await withDecoder(async (workspace) => fetchRest(job, resume, context, workspace));
      return { kind: 'fetch', verified: false };
    } catch (error) {
      if (!isTartletError(error, 'CHUNK_CORRUPT', 'SIZE_MISMATCH')) throw error;
      context.onBytes(resume.encoded - job.blob.size);
    }
  }
  const fromPeers = resume === undefined && keep === undefined ? await askPeers(job, context) : 'untouched';
  if (fromPeers === 'whole') return { kind: 'fetch', verified: false };
  let fresh = job.fresh && fromPeers === 'untouched';
  const blob = { digest: Digest.parse(job.blob.digest), size: job.blob.size };
  await untilVerified(
    context.client,
    blob,
    async () => withDecoder(async (workspace) => fetchOnce(job, fresh, context, workspace)),
    () => {
      context.onBytes(-job.blob.size);
      fresh = false;
    },
  );
  return { kind: 'fetch', verified: true };
}

async function askPeers(
  job: FetchJob,
  { fromPeers, signal, stopwatch }: FetchContext,
): Promise<'whole' | 'touched' | 'untouched'> {
  return fromPeers === undefined ? 'untouched' : fetchFromPeers(job, { ...fromPeers, signal, stopwatch });
}

/** As {@link fetchChunk}, from a file on this machine. */
export async function unpackChunk(job: UnpackJob, context: Omit<FetchContext, 'client'>): Promise<UnpackResult> {
  await fetchChunk({ ...job, kind: 'fetch' }, { ...context, client: clientOfFile(job.source) });
  return { kind: 'unpack' };
}

/** A journal may say anything. */
function isWithin({ encoded, decoded }: StreamPosition, job: FetchJob): boolean {
  return encoded > 0 && encoded < job.blob.size && decoded > 0 && decoded <= job.contentSize;
}

/** What a chunk begins with: nothing, or what an earlier run wrote. */
interface Beginning extends ResumePoint {
  /** Of the decoded bytes before. */
  readonly content: Hash;
}

async function fetchOnce(
  job: FetchJob,
  fresh: boolean,
  context: FetchContext,
  workspace: DecoderWorkspace,
): Promise<void> {
  const content = createHash(Digest.parse(job.contentDigest).algorithm);
  const verifier = new BlobVerifier(Digest.parse(job.blob.digest), job.blob.size);
  const beginning = { encoded: 0, decoded: 0, history: new Uint8Array(0), content };
  await stream({ ...job, fresh }, beginning, context, workspace, verifier);
}

async function fetchRest(
  job: FetchJob,
  { encoded, decoded }: StreamPosition,
  context: FetchContext,
  workspace: DecoderWorkspace,
): Promise<void> {
  const [offset = 0] = job.offsets;
  const content = createHash(Digest.parse(job.contentDigest).algorithm);
  for await (const piece of readWindow(job.disk, offset, decoded, context.signal)) content.update(piece);
  const before = Math.min(decoded, HISTORY_BYTES);
  const history: Uint8Array[] = [];
  for await (const piece of readWindow(job.disk, offset + decoded - before, before, context.signal)) {
    history.push(Buffer.from(piece));
  }
  const beginning = { encoded, decoded, history: Buffer.concat(history), content };
  await stream({ ...job, fresh: false }, beginning, context, workspace, undefined);
}

/** @param verifier undefined when only a part of the blob comes: then its length is all that is known of it. */
async function stream(
  job: FetchJob,
  { content, ...resume }: Beginning,
  context: FetchContext,
  workspace: DecoderWorkspace,
  verifier: BlobVerifier | undefined,
): Promise<void> {
  const blob = { digest: Digest.parse(job.blob.digest), size: job.blob.size };
  const window = new DiskWindow(job.disk, job.offsets, job.contentSize, job.fresh, resume.decoded);
  const mark = job.mark === undefined ? undefined : noteBoundaries(job.mark);
  let noted = resume.decoded;
  const { signal, onBytes, stopwatch = new Stopwatch() } = context;
  let broken: unknown;
  try {
    const decoder = new AppleLz4Decoder({
      workspace,
      expectedBytes: job.contentSize,
      resume,
      onOutput: (bytes, zero) => {
        content.update(bytes);
        stopwatch.onDisk(() => window.write(bytes, zero));
      },
    });
    for await (const piece of context.client.blob(blob, {
      from: resume.encoded,
      signal,
      onBytes,
      transientChunks: true,
    })) {
      stopwatch.onProcessor(() => {
        verifier?.update(piece);
        if (broken === undefined) broken = caught(() => decoder.push(piece));
      });
      // A full disk ends it at once; a stream that cannot be decoded is read to its end, to learn whose fault it is.
      if (broken !== undefined && !isTartletError(broken, 'CHUNK_CORRUPT', 'SIZE_MISMATCH')) throw broken as unknown;
      if (decoder.boundary.decoded - noted >= NOTE_EVERY_BYTES) {
        mark?.note(decoder.boundary);
        noted = decoder.boundary.decoded;
      }
    }
    verifier?.verdict();
    broken ??= stopwatch.onProcessor(() => caught(() => decoder.finish()));
  } finally {
    mark?.close();
    window.close();
  }
  if (broken !== undefined) throw publisherError(job, broken);
  const found = content.digest('hex');
  if (job.contentDigest.endsWith(`:${found}`)) return;
  throw new TartletError(
    'CHUNK_CORRUPT',
    `blob ${job.blob.digest} is what its manifest says, but it decodes to other bytes than promised`,
    {
      subject: job.blob.digest,
      expected: job.contentDigest,
      found,
      next: { kind: 'push-again-unbroken' },
    },
  );
}

function caught(work: () => void): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** The bytes are the ones the manifest names, and yet they cannot be decoded: fetching again would not help. */
function publisherError(job: FetchJob, cause: unknown): TartletError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TartletError(
    'CHUNK_CORRUPT',
    `blob ${job.blob.digest} is what its manifest says, but it cannot be decoded: ${why}`,
    {
      subject: job.blob.digest,
      next: { kind: 'push-again-unbroken' },
      cause,
    },
  );
}

/** Whether an extent of the disk still is what an earlier run verified. */
export async function verifyChunk(
  job: VerifyJob,
  signal: AbortSignal,
  stopwatch = new Stopwatch(),
): Promise<VerifyResult> {
  const digest = Digest.parse(job.contentDigest);
  const hash = createHash(digest.algorithm);
  for await (const piece of readWindow(job.disk, job.offset, job.contentSize, signal, stopwatch)) {
    stopwatch.onProcessor(() => hash.update(piece));
  }
  return { kind: 'verify', intact: hash.digest('hex') === digest.hex };
}
