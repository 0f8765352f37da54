import { stat } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { readSmallFile } from '../fs/small-file.ts';
import { Scratch } from '../home/scratch.ts';
import { VmFile } from '../home/vm-directory.ts';
import { Digest } from '../names/digest.ts';
import type { BlobIdentity, Descriptor } from '../oci/descriptor.ts';
import { type EncodedChunk, flatManifest, type FlatManifestParts, stubConfig } from '../oci/flat-manifest.ts';
import type { ImageManifest } from '../oci/manifest.ts';
import { MediaType } from '../oci/media-type.ts';
import { readWindow } from '../chunks/disk-window.ts';
import { tellMemoryStays } from '../vm/memory-stays.ts';
import type { Session } from '../session/session.ts';
import { diskChanged, stateOfDisk } from '../chunks/still-disk.ts';
import { type ArchiveSink, streamSink, withArchiveFile } from './archive-sink.ts';
import { LayoutWriter } from './layout-writer.ts';
import { type DiskToPack, packDisk } from './pack-disk.ts';
import { parseVmConfig } from '../vm/config-file.ts';
import { type ExportSource, openExportSource } from './export-source.ts';

/** Where an archive goes: a file, or a stream, which is left open. */
export type ExportTarget =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'stream'; readonly stream: Writable; readonly name: string };

/** How an archive is written. */
export interface ExportOptions {
  /** Leave the upload time out, so that the same VM always gives the same archive. */
  readonly reproducible?: boolean;
  /** Bytes of disk per chunk, for what has no chunks yet. Default: Tart's 512 MiB. */
  readonly diskChunkBytes?: number;
}

/** What was written. */
export interface ExportOutcome {
  /** Digest of the manifest in the archive. */
  readonly digest: Digest;
  /** Bytes of the archive. */
  readonly archiveBytes: number;
}

/**
 * Writes a local VM or a cached image into one tar file with an OCI image layout, which skopeo, oras and others read as
 * an image. A VM counts as running meanwhile, so that no other process starts it; a running one is refused. A file
 * appears complete or not at all.
 *
 * A cached image keeps its chunks, and thus their content digests; they are compressed anew, because the cache holds
 * only what they decode to. Where that gives the blobs that the image had, it keeps its manifest and its digest too.
 *
 * @throws TartletError `VM_NOT_FOUND`, `BUSY`, `NEEDS_MACOS` for stacked disks, `STORE_DAMAGED` when a cached disk is
 * not what its manifest says, `CHUNK_CORRUPT` when the disk changes meanwhile, `DISK_*`.
 */
export async function exportVm(
  session: Session,
  sourceText: string,
  target: ExportTarget,
  options: ExportOptions = {},
): Promise<ExportOutcome> {
  const source = await openExportSource(session, sourceText);
  try {
    const write = async (sink: ArchiveSink): Promise<ExportOutcome> => writeArchive(session, source, sink, options);
    const outcome = await source.whileThere(async () =>
      target.kind === 'path'
        ? withArchiveFile(target.path, session, write)
        : write(streamSink(target.stream, target.name, session.signal)),
    );
    session.emit({ kind: 'finished', subject: source.name });
    return outcome;
  } finally {
    await source.release();
  }
}

async function writeArchive(
  session: Session,
  source: ExportSource,
  sink: ArchiveSink,
  options: ExportOptions,
): Promise<ExportOutcome> {
  const { directory, name } = source;
  const disk = `${directory}/${VmFile.disk}`;
  const before = await stateOfDisk(disk, 'export');
  // The very bytes of the file, unknown keys included: what is imported is then the same to the last byte.
  const config = await readSmallFile(`${directory}/${VmFile.config}`);
  const stub = stubConfig(parseVmConfig(config, name), new Map());
  if (source.suspended) tellMemoryStays(session, source.name, 'exported');
  const writer = new LayoutWriter(countingSink(session, name, sink));
  await writer.begin();
  const parts = {
    stubConfig: await writer.bytes(stub),
    config: await writer.bytes(config),
    chunks: await packChunks(session, writer, source, {
      disk,
      size: before.sizeBytes,
      chunkBytes: options.diskChunkBytes,
    }),
    nvram: await packFile(writer, `${directory}/${VmFile.nvram}`, session.signal),
  };
  if ((await stateOfDisk(disk, 'export')).written !== before.written)
    throw diskChanged(disk, 'export', 'nothing was written');
  requireSame(source, VmFile.config, source.manifest?.image.config, parts.config);
  requireSame(source, VmFile.nvram, source.manifest?.image.nvram, parts.nvram);
  const original = originalManifest(source, parts);
  const uploadTime = options.reproducible === true ? undefined : (source.manifest?.uploadTime ?? session.now());
  const manifest = await writer.bytes(original?.bytes ?? flatManifest({ ...parts, uploadTime }));
  const mediaType = original?.mediaType ?? MediaType.ociManifest;
  const archiveBytes = await writer.end({ ...manifest, mediaType, refName: source.refName });
  return { digest: manifest.digest, archiveBytes };
}

async function packChunks(
  session: Session,
  writer: LayoutWriter,
  source: ExportSource,
  disk: Pick<DiskToPack, 'disk' | 'size' | 'chunkBytes'>,
): Promise<EncodedChunk[]> {
  const scratch = await Scratch.createSpool(session);
  try {
    return await packDisk(session, writer, {
      ...disk,
      subject: source.name,
      original: source.manifest?.image.base.chunks,
      spool: scratch.directory,
    });
  } finally {
    await scratch.dispose();
  }
}

/** The manifest of a cached image, when the archive has every blob that it names: we encode as its pusher did. */
function originalManifest(
  source: ExportSource,
  parts: Omit<FlatManifestParts, 'uploadTime'>,
): ImageManifest | undefined {
  if (source.manifest?.isOriginal !== true) return undefined;
  const { manifest } = source.manifest.image;
  const ours = new Set(
    [parts.stubConfig, parts.config, ...parts.chunks, parts.nvram].map(({ digest }) => digest.toString()),
  );
  const hasAll = [manifest.config, ...manifest.layers].every(({ digest }) => ours.has(digest.toString()));
  return hasAll ? manifest : undefined;
}

/** What is exported of a cached image is what was pulled; only the disk is checked piece by piece. */
function requireSame(source: ExportSource, file: string, expected: Descriptor | undefined, found: BlobIdentity): void {
  if (expected === undefined || expected.digest.algorithm !== 'sha256' || expected.digest.equals(found.digest)) return;
  throw new TartletError(
    'STORE_DAMAGED',
    `${source.name} is damaged in the cache: its ${file} is not what was pulled`,
    {
      subject: `${source.directory}/${file}`,
      kept: 'nothing was exported',
      expected: expected.digest.toString(),
      found: found.digest.toString(),
      next: { kind: 'pull-anew', image: source.name, meant: 'subject' },
    },
  );
}

async function packFile(writer: LayoutWriter, path: string, signal: AbortSignal): Promise<BlobIdentity> {
  const { size } = await onDisk('look at', path, async () => stat(path));
  const blob = { ...(await Digest.ofPieces(readWindow(path, 0, size, signal))), size };
  await writer.blob(blob, () => readWindow(path, 0, size, signal));
  return blob;
}

function countingSink(session: Session, subject: string, sink: ArchiveSink): ArchiveSink {
  return {
    write: async (bytes) => {
      session.signal.throwIfAborted();
      await sink.write(bytes);
      session.emit({ kind: 'bytes', subject, count: bytes.length });
    },
  };
}
