import type { Digest } from '../../names/digest.ts';
import { Tag } from '../../names/tag.ts';
import type { ContentStore } from './content-store.ts';
import { linksOfStored } from './pushed-manifest.ts';
import { Refusal } from '../contract/refusal.ts';
import type { RepositoryDirectory } from './repository-directory.ts';
import type { Storage } from './storage.ts';
import type { TagIndex } from './tag-index.ts';

interface Needed {
  readonly tag: string;
  /** What links to it: the manifest of the tag, or one that this leads to. */
  readonly manifest: Digest;
}

/**
 * Refuses to delete what a tag leads to: a layer or config of its image, a child of its index, at any depth. Without it
 * the tag would name a broken image (issue 14, item 14). The manifest that a tag names itself is another matter: it is
 * deleted with its tags.
 * @throws Refusal 409 with the tag and the manifest that need it.
 */
export async function refuseNeeded(storage: Storage, repository: RepositoryDirectory, digest: Digest): Promise<void> {
  const needed = await findNeed(storage, repository, digest);
  if (needed === undefined) return;
  const { tag, manifest } = needed;
  throw new Refusal(
    409,
    'DENIED',
    `the tag ${tag} needs it, by the manifest ${manifest.toString()}: delete that first`,
    {
      detail: { digest: digest.toString(), tag, manifest: manifest.toString() },
    },
  );
}

/** The tags that name a manifest, sorted, as the disk has them now. Only while no other change is at work. */
export async function tagsOf(index: TagIndex, repository: RepositoryDirectory, manifest: Digest): Promise<Tag[]> {
  const tags: Tag[] = [];
  for (const text of [...(await index.tagsOf(manifest.toString(), repository))].sort()) {
    const tag = Tag.tryParseBySpec(text);
    if (tag !== undefined && (await repository.resolve(tag))?.equals(manifest) === true) tags.push(tag);
  }
  return tags;
}

/** Upwards from what is to be deleted: to the manifests that link to it, and by the indexes above these to a tag. */
async function findNeed(
  { indexes, blobs }: Storage,
  repository: RepositoryDirectory,
  wanted: Digest,
): Promise<Needed | undefined> {
  const links = await indexes.manifests(repository);
  const tags = await indexes.tags(repository);
  for (const { digest: manifest } of links.linkingTo(wanted)) {
    const left = [manifest];
    const seen = new Set([manifest.toString()]);
    for (let below = left.pop(); below !== undefined; below = left.pop()) {
      const [tag] = await tagsOf(tags, repository, below);
      if (tag !== undefined && (await linksTo(blobs, manifest, wanted))) return { tag: tag.text, manifest };
      for (const { digest, isIndex } of links.linkingTo(below)) {
        if (!isIndex || seen.has(digest.toString()) || !(await linksTo(blobs, digest, below))) continue;
        seen.add(digest.toString());
        left.push(digest);
      }
    }
  }
  return undefined;
}

/** What the bytes say. Most that do not even name it need not be parsed. */
async function linksTo(blobs: ContentStore, manifest: Digest, wanted: Digest): Promise<boolean> {
  const bytes = await blobs.read(manifest);
  return bytes !== undefined && namedIn(wanted)(bytes) && linksOfStored(bytes).has(wanted.toString());
}

/**
 * Whether the text of a digest stands anywhere in a JSON document: the bytes are searched and not parsed, which would
 * stop every other answer for as long as tens of thousands of layers take (reliability S72). Never a wrong no: each
 * letter may also be written as an escape.
 */
function namedIn(digest: Digest): (bytes: Buffer) => boolean {
  const text = digest.toString();
  const letters = Array.from(text, (letter) => `(?:${letter}|\\\\u00${letter.charCodeAt(0).toString(16)})`);
  const escaped = new RegExp(letters.join(''), 'i');
  return (bytes) => bytes.includes(text) || (bytes.includes('\\u00') && escaped.test(bytes.toString('latin1')));
}
