import type { Digest } from '../../names/digest.ts';
import { isIndexType } from '../../oci/media-type.ts';
import type { ContentStore } from './content-store.ts';
import { LinkTable } from './link-table.ts';
import { linksOfStored } from './pushed-manifest.ts';
import type { ManifestLink, RepositoryDirectory } from './repository-directory.ts';

/** A manifest that may link to what was asked for. */
export interface LinkingManifest {
  readonly digest: Digest;
  /** Only what an index links to is a manifest that leads further. */
  readonly isIndex: boolean;
}

/** What the manifests of one repository link to, asked backwards; see `RepositoryIndexes`. */
export class ManifestIndex {
  /** When the directories of manifests last changed, as their file system says. */
  stamp: string;
  /** By their numbers in the table; undefined for those that were deleted. */
  #manifests: (LinkingManifest | undefined)[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #links = new LinkTable();

  private constructor(stamp: string) {
    this.stamp = stamp;
  }

  /** Reads every manifest. The caller keeps changes off meanwhile. */
  static async read(directory: RepositoryDirectory, blobs: ContentStore): Promise<ManifestIndex> {
    const index = new ManifestIndex(await directory.stamp('_manifests'));
    for (const digest of await directory.manifests()) {
      // One by one: each of them may be 4 MiB, and other requests are answered between two.
      const link = await directory.manifest(digest);
      const bytes = link === undefined ? undefined : await blobs.read(digest);
      if (link !== undefined && bytes !== undefined) index.add(digest, link, linksOfStored(bytes));
    }
    return index;
  }

  /** Memory that it takes, in bytes, roughly. */
  get bytes(): number {
    return this.#links.size * 24 + this.#manifests.length * 300;
  }

  /** Whether so many of those that it remembers were deleted that it is better read again. */
  get isWorn(): boolean {
    return this.#manifests.length > 1_000 && this.#manifests.length > 2 * this.#numbers.size;
  }

  /** A manifest was stored, or stored again. @param links digests as texts, each once. */
  add(digest: Digest, { mediaType }: Pick<ManifestLink, 'mediaType'>, links: Iterable<string>): void {
    const isIndex = isIndexType(mediaType);
    const known = this.#numbers.get(digest.toString());
    // The same bytes link to the same. Only their type may have been pushed as another.
    if (known !== undefined) {
      this.#manifests[known] = { digest, isIndex };
      return;
    }
    const number = this.#manifests.push({ digest, isIndex }) - 1;
    this.#numbers.set(digest.toString(), number);
    this.#links.add(number, links);
  }

  /** A manifest was deleted. */
  remove(digest: Digest): void {
    const number = this.#numbers.get(digest.toString());
    if (number === undefined) return;
    this.#numbers.delete(digest.toString());
    this.#manifests[number] = undefined;
  }

  /** All that link to it, and perhaps some that do not: their bytes decide. */
  *linkingTo(digest: Digest): Generator<LinkingManifest> {
    for (const number of this.#links.candidates(digest)) {
      const manifest = this.#manifests[number];
      if (manifest !== undefined) yield manifest;
    }
  }
}
