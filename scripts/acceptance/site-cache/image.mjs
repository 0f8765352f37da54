/**
 * An image of any size whose bytes need no disk: each blob is a part of one stream of random bytes, begun at another
 * place. So a registry can send it, and clients can compare what they get, as fast as memory is.
 */
import { createCipheriv, createHash } from 'node:crypto';

const SOURCE = 32 * 1024 * 1024;
/** Places in the source that are this far from each other begin blobs that share nothing. */
const STEP = 1_000_003;

/** @returns the blobs and the manifest of an image with `layers` layers of `layerBytes` bytes each. */
export function makeImage({ seed, layers, layerBytes }) {
  const key = createHash('sha256').update(String(seed)).digest();
  const source = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(SOURCE));
  const config = Buffer.from(JSON.stringify({ architecture: 'arm64', os: 'darwin', seed: String(seed) }));
  const blobs = new Map();
  for (let index = 0; index < layers; index += 1) {
    const blob = new Blob(source, index * STEP, layerBytes);
    blobs.set(blob.digest, blob);
  }
  const descriptors = [...blobs.values()].map(({ digest, size }) => ({
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    digest,
    size,
  }));
  const configBlob = new Blob(config, 0, config.length);
  blobs.set(configBlob.digest, configBlob);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: configBlob.digest,
        size: configBlob.size,
      },
      layers: descriptors,
    }),
  );
  const bytes = [...blobs.values()].reduce((sum, { size }) => sum + size, 0);
  return { blobs, manifest, manifestDigest: sha256(manifest), bytes };
}

class Blob {
  #source;
  #offset;

  constructor(source, offset, size) {
    this.#source = source;
    this.#offset = offset;
    this.size = size;
    const hash = createHash('sha256');
    for (let at = 0; at < size; ) {
      const piece = this.piece(at, size);
      hash.update(piece);
      at += piece.length;
    }
    this.digest = `sha256:${hash.digest('hex')}`;
  }

  /** Some of the bytes from `at` on, at least one, not beyond `end`. */
  piece(at, end) {
    const from = (this.#offset + at) % this.#source.length;
    return this.#source.subarray(from, Math.min(from + end - at, this.#source.length));
  }

  /** Whether these are the bytes at a position. */
  matches(bytes, position) {
    for (let at = 0; at < bytes.length; ) {
      const expected = this.piece(position + at, position + bytes.length);
      if (!expected.equals(bytes.subarray(at, at + expected.length))) return false;
      at += expected.length;
    }
    return true;
  }
}

function sha256(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
