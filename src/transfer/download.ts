import { open } from 'node:fs/promises';
import { isTartletError, TartletError } from '../errors.ts';
import { onDisk } from '../home/disk-error.ts';
import { writeNewFile } from '../home/folder.ts';
import { freeBytes } from '../home/space.ts';
import type { Staging } from '../home/staging.ts';
import { VmFile } from '../home/vm-folder.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { DiskChunk, TartImage } from '../oci/tart-image.ts';
import { BlobVerifier } from '../registry/blob-verifier.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { FetchJob, VerifyJob } from './chunk-job.ts';
import type { Session } from './session.ts';
import { WorkerPool } from './worker-pool.ts';

export interface Download {
  readonly name: RemoteName;
  readonly image: TartImage;
  readonly client: RegistryClient;
  readonly staging: Staging;
  readonly insecure: boolean;
  readonly concurrency: number;
}

/**
 * Fills a staging folder with a verified image: chunks by worker threads, what an earlier run verified is hashed and kept.
 *
 * @returns bytes that crossed the network.
 * @throws TartletError with `kept` saying how much the next try can use.
 */
export async function downloadImage(session: Session, download: Download): Promise<number> {
  const { image, staging, name } = download;
  const { chunks } = image.base;
  await writeNewFile(staging.pathOf(VmFile.manifest), image.manifest.bytes);
  const hinted = await staging.verifiedChunks();
  const disk = await staging.prepareDisk(image.base.size);
  const verified = new Set<number>();
  let fetched = 0;
  const count = (bytes: number): void => {
    fetched += bytes;
    session.emit({ kind: 'bytes', subject: name.toString(), count: bytes });
  };
  const pool = await startPool(session, download, count);
  try {
    await keepIntact(pool, chunks, hinted, disk.path, verified);
    const missing = chunks.filter((chunk) => !verified.has(chunk.index));
    await requireSpace(session, download, missing);
    announce(session, download, missing, verified);
    await fetchFile(session, download, image.config, VmFile.config, count);
    await fetchFile(session, download, image.nvram, VmFile.nvram, count);
    await pool.runAll(fetchJobs(missing, disk.path, disk.fresh), async (job) => {
      for (const chunk of missing.filter((each) => job.offsets.includes(each.offset))) {
        verified.add(chunk.index);
        await staging.recordVerified(chunk.index);
        session.emit({ kind: 'chunk-done', subject: name.toString(), index: chunk.index, bytes: chunk.size });
      }
    });
    return fetched;
  } catch (error) {
    throw explainKept(error, verified.size, chunks.length);
  } finally {
    await pool.close();
  }
}

async function startPool(
  session: Session,
  { client, insecure, concurrency, name }: Download,
  onBytes: (count: number) => void,
): Promise<WorkerPool> {
  return new WorkerPool({
    client,
    settings: {
      userAgent: session.userAgent,
      environment: session.environment,
      insecure,
      endpoint: await client.endpoint(),
    },
    concurrency,
    signal: session.signal,
    onBytes,
    onWait: (reason, waitMs) => session.emit({ kind: 'retrying', subject: name.toString(), reason, waitMs }),
  });
}

/** Chunks that the journal vouches for are believed only after hashing them again. */
async function keepIntact(
  pool: WorkerPool,
  chunks: readonly DiskChunk[],
  hinted: ReadonlySet<number>,
  disk: string,
  verified: Set<number>,
): Promise<void> {
  const byOffset = new Map(chunks.filter((chunk) => hinted.has(chunk.index)).map((chunk) => [chunk.offset, chunk]));
  const jobs = [...byOffset.values()].map(
    (chunk): VerifyJob => ({
      kind: 'verify',
      contentDigest: chunk.contentDigest.toString(),
      contentSize: chunk.size,
      disk,
      offset: chunk.offset,
    }),
  );
  await pool.runAll(jobs, (job, result) => {
    const chunk = byOffset.get(job.offset);
    if (result.intact && chunk !== undefined) verified.add(chunk.index);
  });
}

/** One job per different blob: a blob that occurs several times is fetched once and written everywhere (reliability C21). */
function fetchJobs(chunks: readonly DiskChunk[], disk: string, fresh: boolean): FetchJob[] {
  const groups = new Map<string, DiskChunk[]>();
  for (const chunk of chunks) {
    const key = `${chunk.descriptor.digest.toString()} ${chunk.size} ${chunk.contentDigest.toString()}`;
    groups.set(key, [...(groups.get(key) ?? []), chunk]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    return {
      kind: 'fetch',
      blob: { digest: first.descriptor.digest.toString(), size: first.descriptor.size },
      contentDigest: first.contentDigest.toString(),
      contentSize: first.size,
      disk,
      offsets: group.map((chunk) => chunk.offset),
      fresh,
    };
  });
}

function encodedBytes(chunks: readonly DiskChunk[]): number {
  return [
    ...new Map(chunks.map((chunk) => [chunk.descriptor.digest.toString(), chunk.descriptor.size])).values(),
  ].reduce((sum, size) => sum + size, 0);
}

/**
 * Fails before the first byte when it cannot fit. Encoded data is never smaller than what it occupies as a sparse file by more
 * than LZ4 saves, so the encoded size is what is certainly needed; the disk's full size would refuse pulls that do fit.
 */
async function requireSpace(session: Session, { image, name }: Download, missing: readonly DiskChunk[]): Promise<void> {
  const needed = encodedBytes(missing) + image.nvram.size + image.config.size;
  const free = await freeBytes(session.home.cacheFolder);
  if (free >= needed) return;
  throw new TartletError(
    'DISK_FULL',
    `${name.toString()} needs at least ${needed} bytes, ${free} are free in ${session.home.cacheFolder}`,
    {
      subject: session.home.cacheFolder,
      expected: String(needed),
      found: String(free),
      next: 'delete images or VMs you no longer need (tartlet list, tartlet delete) and pull again',
    },
  );
}

function announce(
  session: Session,
  { image, name }: Download,
  missing: readonly DiskChunk[],
  verified: ReadonlySet<number>,
): void {
  const subject = name.toString();
  session.emit({
    kind: 'started',
    subject,
    direction: 'pull',
    bytesTotal: encodedBytes(missing) + image.config.size + image.nvram.size,
    diskBytes: image.base.size,
    chunks: image.base.chunks.length,
  });
  for (const chunk of image.base.chunks) {
    if (verified.has(chunk.index))
      session.emit({ kind: 'chunk-reused', subject, index: chunk.index, bytes: chunk.size });
  }
}

/** Fetches a blob that is a file by itself. One that arrives damaged is fetched once more. */
async function fetchFile(
  session: Session,
  download: Download,
  blob: Descriptor,
  file: string,
  onBytes: (count: number) => void,
): Promise<void> {
  const path = download.staging.pathOf(file);
  try {
    await fetchFileOnce(session, download.client, blob, path, onBytes);
  } catch (error) {
    if (!isTartletError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH')) throw error;
    onBytes(-blob.size);
    await fetchFileOnce(session, download.client, blob, path, onBytes);
  }
}

async function fetchFileOnce(
  session: Session,
  client: RegistryClient,
  blob: Descriptor,
  path: string,
  onBytes: (count: number) => void,
): Promise<void> {
  const verifier = new BlobVerifier(blob.digest, blob.size);
  const handle = await onDisk('create', path, async () => open(path, 'w', 0o600));
  try {
    let at = 0;
    for await (const piece of client.blob(blob, { signal: session.signal, onBytes })) {
      verifier.update(piece);
      for (let done = 0; done < piece.length; ) {
        const { bytesWritten } = await onDisk('write', path, async () =>
          handle.write(piece, done, piece.length - done, at + done),
        );
        done += bytesWritten;
      }
      at += piece.length;
    }
    verifier.verdict();
  } finally {
    await handle.close();
  }
}

function explainKept(error: unknown, verified: number, total: number): unknown {
  if (!(error instanceof TartletError) || verified === 0) return error;
  return error.with({
    kept: `${verified} of ${total} chunks are verified and kept; the same command continues with the rest`,
  });
}
