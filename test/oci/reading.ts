import { parseManifest, requireImage } from '../../src/oci/manifest.ts';
import type { DiskFile } from '../../src/oci/disk-file.ts';
import { parseTartImage, type TartImage } from '../../src/oci/tart-image.ts';
import { diskLayer, fakeDigest } from '../support/tart-image.ts';
import { type Refusal, refusal } from './refusal.ts';

export const SIZE = 'org.cirruslabs.tart.uncompressed-size';
export const CONTENT = 'org.cirruslabs.tart.uncompressed-content-digest';
export const FILE = 'org.cirruslabs.tart.disk-file-content-digest';
export const COUNT = 'org.cirruslabs.tart.disk-file-chunk-count';
export const DISK_SIZE = 'org.cirruslabs.tart.uncompressed-disk-size';
export const BLOCK_SIZE = 'org.cirruslabs.tart.disk.block-size';

const NAME = 'ghcr.io/org/img:1';

/** The manifest as the Tart image `ghcr.io/org/img:1`. */
export function read(manifest: Uint8Array): TartImage {
  return parseTartImage(requireImage(parseManifest(manifest), NAME), NAME);
}

/** Why {@link read} refuses it. */
export function why(manifest: Uint8Array): Refusal {
  return refusal(() => read(manifest));
}

/** Index, offset and size of every chunk. */
export function places(file: DiskFile | undefined): number[][] | undefined {
  return file?.chunks.map((each) => [each.index, each.offset, each.size]);
}

/** A chunk of `size` decoded bytes with a blob and a content of its own. */
export function chunk(hexDigit: string, size: number): Record<string, unknown> {
  const digest = fakeDigest(hexDigit);
  return diskLayer({ digest, size }, { [SIZE]: String(size), [CONTENT]: digest });
}
