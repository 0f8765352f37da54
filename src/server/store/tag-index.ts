import { Tag } from '../../names/tag.ts';
import { firstBehind } from '../contract/page.ts';
import type { RepositoryDirectory } from './repository-directory.ts';

/** So many small files are read at once: more do not make it faster. */
const READ_AT_ONCE = 16;

/** Both ways between tags and the digests that they name. */
interface TagDigests {
  readonly ofTag: Map<string, string>;
  readonly tagsOf: Map<string, string[]>;
}

/** The tags of one repository, sorted, and which of them name a manifest; see `RepositoryIndexes`. */
export class TagIndex {
  /** When the directory last changed, as its file system says: it has other names than these when that has moved. */
  stamp: string;
  readonly #sorted: string[];
  /** Undefined until a manifest is to be deleted, because each is a file to read. */
  #digests: TagDigests | undefined;

  private constructor(stamp: string, sorted: string[]) {
    this.stamp = stamp;
    this.#sorted = sorted;
  }

  /** Reads the names. The caller keeps changes off meanwhile. */
  static async read(directory: RepositoryDirectory): Promise<TagIndex> {
    const stamp = await directory.stamp('_tags');
    return new TagIndex(stamp, (await directory.tags()).map(String));
  }

  /** Sorted by bytes. */
  get names(): readonly string[] {
    return this.#sorted;
  }

  /** Memory that it takes, in bytes, roughly. */
  get bytes(): number {
    return this.#sorted.length * 64 + (this.#digests?.ofTag.size ?? 0) * 350;
  }

  /** The tags that name a manifest, in no particular order. The caller keeps changes off meanwhile. */
  async tagsOf(digest: string, directory: RepositoryDirectory): Promise<readonly string[]> {
    this.#digests ??= await readDigests(this.#sorted, directory);
    return this.#digests.tagsOf.get(digest) ?? [];
  }

  /** A tag was made, or moved. */
  set(tag: string, digest: string): void {
    const place = firstBehind(this.#sorted, tag);
    if (this.#sorted[place - 1] !== tag) this.#sorted.splice(place, 0, tag);
    if (this.#digests === undefined) return;
    forget(this.#digests, [tag]);
    enter(this.#digests, tag, digest);
  }

  /** Tags were removed. */
  remove(tags: readonly string[]): void {
    for (const tag of tags) {
      const place = firstBehind(this.#sorted, tag) - 1;
      if (this.#sorted[place] === tag) this.#sorted.splice(place, 1);
    }
    if (this.#digests !== undefined) forget(this.#digests, tags);
  }
}

async function readDigests(tags: readonly string[], directory: RepositoryDirectory): Promise<TagDigests> {
  const read: TagDigests = { ofTag: new Map(), tagsOf: new Map() };
  for (let at = 0; at < tags.length; at += READ_AT_ONCE) {
    const some = tags.slice(at, at + READ_AT_ONCE).flatMap((text) => Tag.tryParseBySpec(text) ?? []);
    const digests = await Promise.all(some.map(async (tag) => directory.resolve(tag)));
    for (const [each, tag] of some.entries()) enter(read, tag.text, digests[each]?.toString());
  }
  return read;
}

function forget({ ofTag, tagsOf }: TagDigests, tags: readonly string[]): void {
  const gone = new Set(tags);
  const digests = new Set(tags.flatMap((tag) => ofTag.get(tag) ?? []));
  for (const tag of tags) ofTag.delete(tag);
  for (const digest of digests) {
    const left = tagsOf.get(digest)?.filter((tag) => !gone.has(tag)) ?? [];
    if (left.length === 0) tagsOf.delete(digest);
    else tagsOf.set(digest, left);
  }
}

function enter({ ofTag, tagsOf }: TagDigests, tag: string, digest: string | undefined): void {
  if (digest === undefined) return;
  const others = tagsOf.get(digest);
  if (others === undefined) tagsOf.set(digest, [tag]);
  else others.push(tag);
  ofTag.set(tag, digest);
}
