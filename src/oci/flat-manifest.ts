import type { Digest } from '../names/digest.ts';
import { Annotation, DISK_FORMAT_LABEL } from './annotation.ts';
import { canonicalJson } from './canonical-json.ts';
import type { BlobIdentity } from './descriptor.ts';
import { MediaType } from './media-type.ts';

/** A disk chunk that is ready to be named in a manifest. */
export interface EncodedChunk extends BlobIdentity {
  /** Bytes after decoding. */
  readonly contentSize: number;
  readonly contentDigest: Digest;
  /** Of the piece index, when it is known where the pieces of the blob are. */
  readonly entries?: Uint8Array | undefined;
}

export interface FlatManifestParts {
  readonly stubConfig: BlobIdentity;
  readonly config: BlobIdentity;
  readonly chunks: readonly EncodedChunk[];
  readonly nvram: BlobIdentity;
  /** The piece index of the disk. */
  readonly pieces?: BlobIdentity | undefined;
  /** Absent for reproducible manifests. */
  readonly uploadTime: Date | undefined;
}

/** The manifest of a flat image, in Tart's own order, annotations and bytes (tart-formats §4.3, §10.2). */
export function flatManifest(parts: FlatManifestParts): Uint8Array {
  const diskSize = parts.chunks.reduce((sum, chunk) => sum + chunk.contentSize, 0);
  return canonicalJson({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: { mediaType: MediaType.ociConfig, ...blob(parts.stubConfig) },
    layers: [
      { mediaType: MediaType.tartConfig, ...blob(parts.config), annotations: {} },
      ...parts.chunks.map((chunk) => ({
        mediaType: MediaType.tartDisk,
        ...blob(chunk),
        annotations: {
          [Annotation.uncompressedSize]: String(chunk.contentSize),
          [Annotation.contentDigest]: chunk.contentDigest.toString(),
        },
      })),
      { mediaType: MediaType.tartNvram, ...blob(parts.nvram), annotations: {} },
    ],
    annotations: {
      [Annotation.diskSize]: String(diskSize),
      [Annotation.uploadTime]: parts.uploadTime === undefined ? undefined : isoSeconds(parts.uploadTime),
      [Annotation.piecesDigest]: parts.pieces?.digest.toString(),
      [Annotation.piecesSize]: parts.pieces === undefined ? undefined : String(parts.pieces.size),
    },
  });
}

/**
 * The stub OCI config that Docker Hub insists on; Tart never reads it (tart-formats §4.5).
 * @param labels the user's; the disk format label is set over them.
 */
export function stubConfig(
  vm: { arch: string; os: string; diskFormat: string },
  labels: ReadonlyMap<string, string>,
): Uint8Array {
  return canonicalJson({
    architecture: vm.arch,
    os: vm.os,
    config: { Labels: new Map([...labels, [DISK_FORMAT_LABEL, vm.diskFormat]]) },
  });
}

function blob(identity: BlobIdentity): { digest: string; size: number } {
  return { digest: identity.digest.toString(), size: identity.size };
}

/** `2024-05-21T15:21:28Z`: whole seconds, as Tart's date style prints them. */
function isoSeconds(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
