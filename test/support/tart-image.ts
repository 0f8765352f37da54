import { createHash } from 'node:crypto';

/**
 * Small Tart images for tests. Nothing here comes from `src`: media types, annotations and streams are written out,
 * so that a test against these fixtures is a test against the format (tart-formats §4, §5).
 */

export type JsonObject = Record<string, unknown>;

/** `fakeDigest('1')` is `sha256:` and 64 times `1`: a digest that no bytes have. */
export function fakeDigest(hexDigit: string): string {
  return `sha256:${hexDigit.repeat(64)}`;
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A descriptor of the VM config layer, with Tart's empty annotations. */
export function configLayer(overrides: JsonObject = {}): JsonObject {
  return {
    mediaType: 'application/vnd.cirruslabs.tart.config.v1',
    digest: fakeDigest('1'),
    size: 471,
    annotations: {},
    ...overrides,
  };
}

export function nvramLayer(overrides: JsonObject = {}): JsonObject {
  return {
    mediaType: 'application/vnd.cirruslabs.tart.nvram.v1',
    digest: fakeDigest('6'),
    size: 33554432,
    annotations: {},
    ...overrides,
  };
}

/**
 * A descriptor of a chunk of 4096 bytes; `annotations` are added to the two that every chunk has, undefined takes one
 * away.
 */
export function diskLayer(overrides: JsonObject = {}, annotations: JsonObject = {}): JsonObject {
  return {
    mediaType: 'application/vnd.cirruslabs.tart.disk.v2',
    digest: fakeDigest('2'),
    size: 1024,
    annotations: {
      'org.cirruslabs.tart.uncompressed-size': '4096',
      'org.cirruslabs.tart.uncompressed-content-digest': fakeDigest('3'),
      ...annotations,
    },
    ...overrides,
  };
}

/**
 * A descriptor of an overlay chunk; the first one of a group says how many there are and what the whole file hashes to.
 */
export function overlayLayer(overrides: JsonObject = {}, groupOf?: number, annotations: JsonObject = {}): JsonObject {
  const first =
    groupOf === undefined
      ? {}
      : {
          'org.cirruslabs.tart.disk-file-content-digest': fakeDigest('9'),
          'org.cirruslabs.tart.disk-file-chunk-count': String(groupOf),
        };
  return diskLayer(
    {
      mediaType: 'application/vnd.cirruslabs.tart.disk.asif.overlay.v1',
      digest: fakeDigest('7'),
      ...overrides,
    },
    { 'org.cirruslabs.tart.uncompressed-content-digest': fakeDigest('8'), ...first, ...annotations },
  );
}

/** A manifest as an object: config, one chunk of 4096 bytes, NVRAM. An override of undefined takes a key away. */
export function tinyDocument(overrides: JsonObject = {}): JsonObject {
  return {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: fakeDigest('f'), size: 100 },
    layers: [configLayer(), diskLayer(), nvramLayer()],
    annotations: { 'org.cirruslabs.tart.uncompressed-disk-size': '4096' },
    ...overrides,
  };
}

/** The bytes of {@link tinyDocument}: valid, but not in Tart's canonical form. */
export function tinyManifest(overrides: JsonObject = {}): Uint8Array {
  return json(tinyDocument(overrides));
}

/** {@link tinyManifest} with these layers and no claim about the size of the disk. */
export function manifestOf(layers: readonly unknown[], overrides: JsonObject = {}): Uint8Array {
  return tinyManifest({ layers, annotations: {}, ...overrides });
}

/** An index as `docker buildx` makes them: two platforms, and an entry that names none. */
export function tinyIndex(overrides: JsonObject = {}): Uint8Array {
  return json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      indexEntry('1', { os: 'linux', architecture: 'amd64' }),
      indexEntry('2', { os: 'darwin', architecture: 'arm64' }),
      indexEntry('3'),
    ],
    ...overrides,
  });
}

export function indexEntry(hexDigit: string, platform?: unknown): JsonObject {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  return { mediaType, digest: fakeDigest(hexDigit), size: 7, platform };
}

export function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** An Apple LZ4 stream of stored blocks only: valid for every decoder, made without an encoder (tart-formats §5.1). */
export function storedStream(content: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += 65536) {
    const block = content.subarray(at, at + 65536);
    const header = Buffer.from('bv4-\0\0\0\0', 'latin1');
    header.writeUInt32LE(block.length, 4);
    parts.push(header, block);
  }
  return Buffer.concat([...parts, Buffer.from('bv4$', 'latin1')]);
}

/**
 * An Apple LZ4 stream of zeros, as small as encoders make them: per block one zero, one long match, five zeros
 * (tart-formats §5.1).
 */
export function zeroStream(length: number): Uint8Array {
  const parts: Buffer[] = [];
  for (let at = 0; at < length; at += 65536) {
    const size = Math.min(65536, length - at);
    const beyond = size - 1 - 5 - 4 - 15;
    const lengths = Buffer.alloc(Math.floor(beyond / 255) + 1, 255);
    lengths[lengths.length - 1] = beyond % 255;
    const block = Buffer.concat([Buffer.from([0x1f, 0, 1, 0]), lengths, Buffer.from([0x50, 0, 0, 0, 0, 0])]);
    const header = Buffer.from('bv41\0\0\0\0\0\0\0\0', 'latin1');
    header.writeUInt32LE(size, 4);
    header.writeUInt32LE(block.length, 8);
    parts.push(header, block);
  }
  return Buffer.concat([...parts, Buffer.from('bv4$', 'latin1')]);
}

/** A whole image: what a registry would hold of it, and what a pull must produce. */
export interface TinyImage {
  readonly manifest: Uint8Array;
  /** Of the manifest. */
  readonly digest: string;
  /** Every blob by its digest, the stub config included. */
  readonly blobs: ReadonlyMap<string, Uint8Array>;
  /** `config.json`, as the image has it. */
  readonly config: Uint8Array;
  readonly nvram: Uint8Array;
  /** The content of `disk.img`. */
  readonly disk: Uint8Array;
}

export interface TinyImageOptions {
  /** The content of each chunk of the disk. */
  readonly chunks?: readonly Uint8Array[];
  readonly config?: Uint8Array;
  readonly nvram?: Uint8Array;
  /** How a chunk is stored. */
  readonly encode?: (content: Uint8Array) => Uint8Array;
  /** Changes the manifest before its digest is taken. */
  readonly manifest?: JsonObject;
}

/**
 * A flat image with real blobs and true digests; by default a Linux VM with a disk of two chunks, 8192 and 4096 bytes.
 */
export function tinyImage(options: TinyImageOptions = {}): TinyImage {
  const chunks = options.chunks ?? [Buffer.alloc(8192, 'tartlet'), Buffer.alloc(4096, 'chunk two ')];
  const config =
    options.config ?? json({ version: 1, os: 'linux', arch: 'arm64', cpuCount: 4, memorySize: 4294967296 });
  const nvram = options.nvram ?? Buffer.alloc(4096, 'nvram');
  const stub = json({ architecture: 'arm64', config: {}, os: 'linux' });
  const encoded = chunks.map(options.encode ?? storedStream);
  const disk = Buffer.concat(chunks);
  const manifest = tinyManifest({
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(stub), size: stub.length },
    layers: [
      configLayer({ digest: sha256(config), size: config.length }),
      ...chunks.map((content, index) => chunkLayer(content, encoded[index] ?? new Uint8Array())),
      nvramLayer({ digest: sha256(nvram), size: nvram.length }),
    ],
    annotations: { 'org.cirruslabs.tart.uncompressed-disk-size': String(disk.length) },
    ...options.manifest,
  });
  const blobs = new Map([stub, config, nvram, ...encoded].map((blob) => [sha256(blob), blob]));
  return { manifest, digest: sha256(manifest), blobs, config, nvram, disk };
}

function chunkLayer(content: Uint8Array, stored: Uint8Array): JsonObject {
  return diskLayer(
    { digest: sha256(stored), size: stored.length },
    {
      'org.cirruslabs.tart.uncompressed-size': String(content.length),
      'org.cirruslabs.tart.uncompressed-content-digest': sha256(content),
    },
  );
}
