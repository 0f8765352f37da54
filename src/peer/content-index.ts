import { lstatIfThereSync } from '../fs/stats.ts';
import { walkImages } from '../home/image-walk.ts';
import { imageManifest } from '../home/images/known-manifest.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { Digest } from '../names/digest.ts';
import type { DiskFile } from '../oci/disk-file.ts';
import { stackedFiles, type TartImage } from '../oci/tart-image.ts';
import type { Session } from '../session/session.ts';

/** The cache is looked at so often at most, in milliseconds. */
const LOOK_EVERY_MS = 1_000;

/** Contents that are offered: what a thousand images of a hundred gigabytes have. */
const MOST_CONTENTS = 200_000;

/** Where a content of a cached image should be. */
export interface ContentPlace {
  /** Digest of the image, by which it is locked. */
  readonly image: Digest;
  /** Of the image. */
  readonly directory: string;
  readonly file: string;
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

interface IndexedImage {
  /** Differs when the manifest was changed. */
  readonly version: string;
  readonly contents: readonly (readonly [content: string, place: ContentPlace])[];
}

/**
 * Which contents the cached images of a home have, by their digests, in memory. Only images that are whole are in
 * there: no VMs, which have secrets of their own, and nothing that is being pulled.
 */
export class ContentIndex {
  readonly #session: Pick<Session, 'home' | 'contents'>;
  readonly #monotonic: () => number;
  readonly #images = new Map<string, IndexedImage>();
  #places = new Map<string, ContentPlace>();
  #lookedAt = -Infinity;

  /** @param monotonic milliseconds that never jump. */
  constructor(session: Pick<Session, 'home' | 'contents'>, monotonic: () => number) {
    this.#session = session;
    this.#monotonic = monotonic;
  }

  /** @param content digest as text. */
  find(content: string): ContentPlace | undefined {
    this.#look();
    return this.#places.get(content);
  }

  #look(): void {
    if (this.#monotonic() - this.#lookedAt < LOOK_EVERY_MS) return;
    const { home } = this.#session;
    const seen = new Set<string>();
    let isChanged = false;
    for (const { kind, name, path } of walkImages(home).entries) {
      if (kind !== 'digest' || name.digest === undefined) continue;
      const version = home.unreadable.passOver(path, () => versionOf(`${path}/${VmFile.manifest}`));
      if (version === undefined) continue;
      seen.add(path);
      if (this.#images.get(path)?.version === version) continue;
      this.#images.set(path, { version, contents: this.#contentsOf(name.digest, path) });
      isChanged = true;
    }
    for (const path of this.#images.keys()) if (!seen.has(path)) isChanged = this.#images.delete(path);
    if (isChanged) this.#places = placesOf(this.#images.values());
    this.#lookedAt = this.#monotonic();
  }

  #contentsOf(digest: Digest, directory: string): IndexedImage['contents'] {
    const image = imageManifest(directory);
    if (image === undefined) return [];
    return this.#filesOf(image, directory).flatMap(({ chunks }, index, files) =>
      chunks.map((chunk) => {
        const file = files[index]?.path ?? '';
        const place = { image: digest, directory, file, offset: chunk.offset, size: chunk.size };
        return [chunk.contentDigest.toString(), place] as const;
      }),
    );
  }

  #filesOf(image: TartImage, directory: string): (Pick<DiskFile, 'chunks'> & { path: string })[] {
    if (image.layout === 'flat') return [{ chunks: image.base.chunks, path: `${directory}/${VmFile.disk}` }];
    return stackedFiles(image)
      .filter(({ fileDigest }) => fileDigest.algorithm === 'sha256')
      .map(({ chunks, fileDigest }) => ({ chunks, path: this.#session.contents.pathOf(fileDigest) }));
  }
}

function placesOf(images: Iterable<IndexedImage>): Map<string, ContentPlace> {
  const places = new Map<string, ContentPlace>();
  for (const { contents } of images) {
    if (places.size + contents.length > MOST_CONTENTS) break;
    for (const [content, place] of contents) if (!places.has(content)) places.set(content, place);
  }
  return places;
}

function versionOf(manifest: string): string | undefined {
  const stats = lstatIfThereSync(manifest);
  return stats?.isFile() === true ? `${stats.ino} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}` : undefined;
}
