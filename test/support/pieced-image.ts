import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { encodeChunk } from '../../src/chunks/chunk-encode.ts';
import { Digest } from '../../src/names/digest.ts';
import { parseManifest, requireImage } from '../../src/oci/manifest.ts';
import { ChunkPieces, formatPieceIndex } from '../../src/oci/piece-index.ts';
import { type FlatImage, parseTartImage } from '../../src/oci/tart-image.ts';
import { sha256, type TinyImage, tinyImage } from './tart-image.ts';

/** An image whose layers were encoded in pieces, as `push --pieces` makes them. */
export interface PiecedImage extends TinyImage {
  /** Digests of the blobs of the layers, in their order. */
  readonly layers: readonly string[];
  /** What the index says of each. */
  readonly pieces: readonly ChunkPieces[];
  readonly index: Uint8Array;
  /** Bytes of all layers, as the registry has them. */
  readonly encodedBytes: number;
}

/** @param change makes another index of the right one; the manifest names what comes out. */
export async function piecedImage(
  chunks: readonly Buffer[],
  change: (index: Uint8Array) => Uint8Array = (index) => index,
): Promise<PiecedImage> {
  // Also outside of tests.
  const directory = mkdtempSync(`${tmpdir()}/tartlet-pieces-`);
  const [disk, spool] = [`${directory}/disk`, `${directory}/spool`];
  const encoded = new Map<Buffer, Uint8Array>();
  const pieces: ChunkPieces[] = [];
  for (const content of chunks) {
    writeFileSync(disk, content);
    const extent = { disk, offset: 0, contentSize: content.length, pieces: true };
    const { blob, pieces: entries } = await encodeChunk(extent, spool, new AbortController().signal);
    encoded.set(content, readFileSync(spool));
    if (entries === undefined) throw new Error('no pieces');
    const size = { digest: Digest.parse(blob.digest), size: blob.size, contentSize: content.length };
    pieces.push(new ChunkPieces({ ...size, entries }));
  }
  rmSync(directory, { recursive: true });
  const index = change(formatPieceIndex(pieces));
  const image = tinyImage({
    chunks,
    encode: (content) => encoded.get(content as Buffer) ?? new Uint8Array(),
    manifest: {
      annotations: { 'org.tartlet.pieces.digest': sha256(index), 'org.tartlet.pieces.size': String(index.length) },
    },
  });
  const blobs = new Map([...image.blobs, [sha256(index), index]]);
  const encodedBytes = [...encoded.values()].reduce((sum, { length }) => sum + length, 0);
  const layers = pieces.map(({ digest }) => digest.toString());
  return { ...image, blobs, layers, pieces, index, encodedBytes };
}

export function understood(image: TinyImage): FlatImage {
  const parsed = parseTartImage(requireImage(parseManifest(image.manifest), 'the image'), 'the image');
  if (parsed.layout !== 'flat') throw new Error('stacked');
  return parsed;
}
