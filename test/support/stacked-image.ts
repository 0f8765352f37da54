import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { referencePath } from '../../src/home/layout.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { Session } from '../../src/session/session.ts';
import { plantVm } from './home.ts';
import {
  sha256,
  configLayer,
  diskLayer,
  json,
  nvramLayer,
  overlayLayer,
  storedStream,
  tinyManifest,
} from './tart-image.ts';
import type { JsonObject, TinyImage } from './tart-image.ts';

/** A stacked image: its disk is the files of `levels`, and nothing of it is called `disk`. */
export interface TinyStackedImage extends TinyImage {
  /** The content of base and overlays, bottom to top. */
  readonly levels: readonly Uint8Array[];
}

export interface TinyStackedOptions {
  /** The chunks of each file, base first. An overlay may be any bytes: only macOS looks into them. */
  readonly levels: readonly (readonly Uint8Array[])[];
  /** What the manifest says that each file hashes to, where that is not the truth. */
  readonly fileDigests?: readonly string[];
  /** Bytes of the disk as the guest would see it. */
  readonly guestBytes?: number;
}

/** A stacked image with real blobs and true digests (tart-formats §4.3). */
export function tinyStackedImage(options: TinyStackedOptions): TinyStackedImage {
  const config = json({ version: 1, os: 'darwin', arch: 'arm64', cpuCount: 4, memorySize: 4294967296 });
  const nvram = Buffer.alloc(4096, 'nvram');
  const stub = json({ architecture: 'arm64', config: {}, os: 'darwin' });
  const levels = options.levels.map((chunks) => Buffer.concat(chunks));
  const layers = options.levels.flatMap((chunks, level) =>
    chunks.map((content, index) => {
      const fileDigest = options.fileDigests?.[level] ?? sha256(levels[level] ?? new Uint8Array());
      return level === 0
        ? diskLayer(blobOf(content), annotationsOf(content, index === 0 ? { [FILE]: fileDigest } : {}))
        : overlayLayer(
            blobOf(content),
            index === 0 ? chunks.length : undefined,
            annotationsOf(content, index === 0 ? { [FILE]: fileDigest } : {}),
          );
    }),
  );
  const manifest = tinyManifest({
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(stub), size: stub.length },
    layers: [
      configLayer({ digest: sha256(config), size: config.length }),
      ...layers,
      nvramLayer({ digest: sha256(nvram), size: nvram.length }),
    ],
    annotations: {
      'org.cirruslabs.tart.uncompressed-disk-size': String(options.guestBytes ?? 50_000_000_000),
      'org.cirruslabs.tart.disk.block-size': '512',
    },
  });
  const encoded = options.levels.flat().map(storedStream);
  const blobs = new Map([stub, config, nvram, ...encoded].map((blob) => [sha256(blob), blob]));
  return { manifest, digest: sha256(manifest), blobs, config, nvram, disk: new Uint8Array(), levels };
}

const FILE = 'org.cirruslabs.tart.disk-file-content-digest';

function blobOf(content: Uint8Array): JsonObject {
  const stored = storedStream(content);
  return { digest: sha256(stored), size: stored.length };
}

function annotationsOf(content: Uint8Array, first: JsonObject): JsonObject {
  return {
    'org.cirruslabs.tart.uncompressed-size': String(content.length),
    'org.cirruslabs.tart.uncompressed-content-digest': sha256(content),
    ...first,
  };
}

/** Bytes of which no two seeds have an extent in common. */
export function noise(length: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, at) => (Math.imul(at + 1, 2654435761 + seed) >>> 13) & 0xff));
}

/** Puts a stacked image into the cache as Tart does, with its files in the content store. @returns its directory. */
export function plantStackedImage(session: Session, repository: string, image: TinyStackedImage, tag: string): string {
  const name = RemoteName.parse(`${repository}@${image.digest}`);
  const directory = `${session.home.imagesDirectory}/${referencePath(name)}`;
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/config.json`, image.config);
  writeFileSync(`${directory}/nvram.bin`, image.nvram);
  writeFileSync(`${directory}/manifest.json`, image.manifest);
  symlinkSync(directory, `${path.dirname(directory)}/${tag}`);
  for (const level of image.levels) plantContent(session, level);
  return directory;
}

/** Puts a file into the content store. @returns its path. */
export function plantContent(session: Session, content: Uint8Array): string {
  const directory = `${session.home.root}/cache/content/sha256`;
  mkdirSync(directory, { recursive: true });
  const file = `${directory}/${sha256(content).slice('sha256:'.length)}`;
  writeFileSync(file, content);
  return file;
}

/**
 * Turns a directory into a stacked VM of an image, as Tart on macOS 27 makes it: manifest and overlay instead of a
 * disk.
 */
export function plantStackedVm(directory: string, image: TinyStackedImage, overlay = 'private overlay'): void {
  plantVm(directory);
  rmSync(`${directory}/disk.img`);
  writeFileSync(`${directory}/manifest.json`, image.manifest);
  writeFileSync(`${directory}/overlay.asif`, overlay);
}
