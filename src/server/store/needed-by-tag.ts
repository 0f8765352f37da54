import { Digest } from '../../names/digest.ts';
import { isIndexType } from '../../oci/media-type.ts';
import { linksOfStored } from './pushed-manifest.ts';
import { Refusal } from '../contract/refusal.ts';
import type { RepositoryDirectory } from './repository-directory.ts';
import type { Storage } from './storage.ts';

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

async function findNeed(
  storage: Storage,
  repository: RepositoryDirectory,
  wanted: Digest,
): Promise<Needed | undefined> {
  const namesWanted = namedIn(wanted);
  const seen = new Set<string>();
  for (const tag of await repository.tags()) {
    const root = await repository.resolve(tag);
    const left = root === undefined ? [] : [root];
    for (let manifest = left.pop(); manifest !== undefined; manifest = left.pop()) {
      if (seen.has(manifest.toString())) continue;
      seen.add(manifest.toString());
      const link = await repository.manifest(manifest);
      const bytes = link === undefined ? undefined : await storage.blobs.read(manifest);
      if (link === undefined || bytes === undefined) continue;
      const isIndex = isIndexType(link.mediaType);
      // Only an index leads further. Of the others most do not even name it, and those need not be parsed.
      if (!isIndex && !namesWanted(bytes)) continue;
      const links = linksOfStored(bytes);
      if (links.has(wanted.toString())) return { tag: tag.text, manifest };
      if (isIndex) left.push(...Array.from(links).flatMap((text) => Digest.tryParse(text) ?? []));
    }
  }
  return undefined;
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
