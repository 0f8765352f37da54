/** Keys of Tart's annotations (tart-formats §4.2), and two of ours. All values are strings, numbers decimal. */
export const Annotation = {
  /** Manifest: bytes of `disk.img` as a file. */
  diskSize: 'org.cirruslabs.tart.uncompressed-disk-size',
  /** Manifest: when it was pushed, ISO 8601 in whole seconds, UTC. */
  uploadTime: 'org.cirruslabs.tart.upload-time',
  /** Manifest, stacked images only: bytes per block. */
  blockSize: 'org.cirruslabs.tart.disk.block-size',
  /** Chunk: bytes after decoding. */
  uncompressedSize: 'org.cirruslabs.tart.uncompressed-size',
  /** Chunk: digest of the decoded bytes. */
  contentDigest: 'org.cirruslabs.tart.uncompressed-content-digest',
  /** First chunk of a group: digest of the whole reconstructed file. */
  fileDigest: 'org.cirruslabs.tart.disk-file-content-digest',
  /** First chunk of an overlay group: how many chunks the group has. */
  chunkCount: 'org.cirruslabs.tart.disk-file-chunk-count',
  /** Ours. Manifest: digest of the blob that says where the pieces of the disk are (`oci/piece-index.ts`). */
  piecesDigest: 'org.tartlet.pieces.digest',
  /** Ours. Manifest: bytes of that blob. */
  piecesSize: 'org.tartlet.pieces.size',
} as const;

/** Label in the stub config: `raw` or `asif`. Always set by a push, whatever the user's labels say. */
export const DISK_FORMAT_LABEL = 'org.cirruslabs.tart.disk.format';

/**
 * A number as Tart reads it from an annotation: decimal digits, a leading `+` and leading zeros allowed (tart-formats
 * §4.2); undefined for everything else, so that `1e3`, `0x10`, ` 12 ` and numbers beyond 2^53 are no numbers
 * (reliability C10).
 */
export function parseAnnotationNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\+?[0-9]{1,32}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}
