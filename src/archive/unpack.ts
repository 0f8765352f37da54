import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { EarlyFsync, WORTH_EARLY_FSYNC_BYTES } from '../fs/disk/early-fsync.ts';
import { createFile } from '../fs/entry.ts';
import { freeBytes } from '../fs/space.ts';
import { VmFile } from '../home/vm-directory.ts';
import { humanBytes } from '../names/byte-count.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import { type DiskChunk, type TartImage, transferBytes } from '../oci/tart-image.ts';
import { BlobVerifier } from '../registry/blobs/blob-verifier.ts';
import type { UnpackJob } from '../chunks/chunk-job.ts';
import { readWindow } from '../chunks/disk-window.ts';
import { runLocally } from '../transfer/local-jobs.ts';
import type { Session } from '../session/session.ts';
import { DEFAULT_CONCURRENCY } from '../session/concurrency.ts';
import type { FileExtent } from '../chunks/file-blob.ts';
import type { OciLayout } from './oci-layout.ts';

/**
 * Writes the disk and the NVRAM of a flat image into a directory, verified: each blob against its descriptor, each
 * chunk of the disk against its content digest. Zeros become holes. Whether all blobs are there is known before the
 * first is read.
 *
 * @throws TartletError `ARCHIVE_INVALID`, `SIZE_MISMATCH`, `DIGEST_MISMATCH`, `CHUNK_CORRUPT`, `DISK_*`
 */
export async function unpackImage(
  session: Session,
  layout: OciLayout,
  image: TartImage,
  directory: string,
): Promise<void> {
  const nvram = await layout.blob(image.nvram, 'NVRAM');
  const blobs = await findChunks(layout, image.base.chunks);
  // Tart never reads it; it is checked all the same, so that every digest of the image was verified.
  await layout.smallBlob(image.manifest.config, 'OCI config', MAX_MANIFEST_BYTES);
  await requireSpace(layout.archive, image, directory);
  const subject = layout.archive;
  const onBytes = (count: number): void => session.emit({ kind: 'bytes', subject, count });
  session.emit({
    kind: 'started',
    subject,
    direction: 'import',
    bytesTotal: transferBytes(image) - image.config.size,
    diskBytes: image.base.size,
    chunks: image.base.chunks.length,
  });
  await copyVerified(nvram, image.nvram, `${directory}/${VmFile.nvram}`, session.signal);
  onBytes(image.nvram.size);
  const disk = `${directory}/${VmFile.disk}`;
  await onDisk('create', disk, async () => {
    const handle = await createFile(disk, 'refuse');
    try {
      await handle.truncate(image.base.size);
    } finally {
      await handle.close();
    }
  });
  const earlyFsync = image.base.size < WORTH_EARLY_FSYNC_BYTES ? undefined : await EarlyFsync.of(disk);
  try {
    await unpackChunks(session, blobs, { subject, disk, onBytes, check: () => earlyFsync?.check() });
  } finally {
    await earlyFsync?.end();
  }
}

interface DiskToFill {
  readonly subject: string;
  readonly disk: string;
  readonly onBytes: (count: number) => void;
  /** Throws when there is no point in going on. */
  readonly check: () => void;
}

/** Threads decode, each a blob of its own. */
async function unpackChunks(
  session: Session,
  blobs: readonly (readonly [ChunkGroup, FileExtent])[],
  { subject, disk, onBytes, check }: DiskToFill,
): Promise<void> {
  const jobs = new Map(blobs.map(([group, source]) => [unpackJob(group, source, disk), group]));
  await runLocally(session, {
    jobs: [...jobs.keys()],
    concurrency: Math.min(session.processors, DEFAULT_CONCURRENCY),
    onBytes,
    onMoved: (job, { bytes: done }) => {
      const [chunk] = jobs.get(job) ?? [];
      if (chunk === undefined) return;
      session.emit({ kind: 'chunk-under-way', subject, index: chunk.index, done, of: job.blob.size });
    },
    onDone: (job) => {
      check();
      for (const { index, size } of jobs.get(job) ?? []) {
        session.emit({ kind: 'chunk-done', subject, index, bytes: size });
      }
    },
    onFailure: () => undefined,
  });
}

function unpackJob(group: ChunkGroup, source: FileExtent, disk: string): UnpackJob {
  const [{ descriptor, contentDigest, size }] = group;
  return {
    kind: 'unpack',
    source,
    blob: { digest: descriptor.digest.toString(), size: descriptor.size },
    contentDigest: contentDigest.toString(),
    contentSize: size,
    disk,
    offsets: group.map((chunk) => chunk.offset),
    fresh: true,
  };
}

type ChunkGroup = readonly [DiskChunk, ...DiskChunk[]];

/** The chunks by the blob that they come from: one that occurs several times is decoded once (reliability C21). */
async function findChunks(layout: OciLayout, chunks: readonly DiskChunk[]): Promise<[ChunkGroup, FileExtent][]> {
  const groups = new Map<string, [DiskChunk, ...DiskChunk[]]>();
  for (const chunk of chunks) {
    const digest = chunk.descriptor.digest.toString();
    const group = groups.get(digest);
    if (group === undefined) groups.set(digest, [chunk]);
    else group.push(chunk);
  }
  const found: [ChunkGroup, FileExtent][] = [];
  for (const group of groups.values()) {
    found.push([group, await layout.blob(group[0].descriptor, `disk chunk ${group[0].index}`)]);
  }
  return found;
}

async function copyVerified(from: FileExtent, blob: Descriptor, to: string, signal: AbortSignal): Promise<void> {
  const verifier = new BlobVerifier(blob.digest, blob.size);
  const handle = await onDisk('create', to, async () => createFile(to, 'refuse'));
  try {
    for await (const piece of readWindow(from.path, from.offset, from.size, signal)) {
      verifier.update(piece);
      await onDisk('write', to, async () => {
        for (let done = 0; done < piece.length; ) done += (await handle.write(piece, done)).bytesWritten;
      });
    }
    verifier.verdict();
  } finally {
    await handle.close();
  }
}

/** What is encoded needs about as much again where it is decoded; more cannot be known before (zeros take nothing). */
async function requireSpace(archive: string, image: TartImage, directory: string): Promise<void> {
  const needed = transferBytes(image);
  const free = await freeBytes(directory);
  if (free >= needed) return;
  const [wanted, there] = [humanBytes(needed, 1), humanBytes(free, 1)];
  throw new TartletError('DISK_FULL', `${archive} needs at least ${wanted}, ${there} are free in ${directory}`, {
    subject: directory,
    kept: 'nothing was changed',
    expected: String(needed),
    found: String(free),
    next: { kind: 'make-room', before: 'import' },
  });
}
