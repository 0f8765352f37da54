import type { Digest } from '../../names/digest.ts';
import { parsePushedManifest } from './pushed-manifest.ts';
import { Refusal } from '../contract/refusal.ts';
import type { Repository } from './repository.ts';
import type { Storage } from './storage.ts';

interface Needed {
  readonly tag: string;
  /** What links to it: the manifest of the tag, or one that this leads to. */
  readonly manifest: Digest;
}

/**
 * Refuses to delete what a tag leads to: a layer or config of its image, a child of its index, at any depth. Without it the tag would
 * name a broken image (issue 14, item 14). The manifest that a tag names itself is another matter: it is deleted with its tags.
 * @throws Refusal 409 with the tag and the manifest that need it.
 */
export async function refuseNeeded(storage: Storage, repository: Repository, digest: Digest): Promise<void> {
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

async function findNeed(storage: Storage, repository: Repository, wanted: Digest): Promise<Needed | undefined> {
  const seen = new Set<string>();
  for (const tag of await repository.tags()) {
    const root = await repository.resolve(tag);
    const left = root === undefined ? [] : [root];
    for (let manifest = left.pop(); manifest !== undefined; manifest = left.pop()) {
      if (seen.has(manifest.toString())) continue;
      seen.add(manifest.toString());
      const { blobs, children } = await linksOf(storage, repository, manifest);
      if ([...blobs, ...children].some((each) => each.equals(wanted))) return { tag: tag.text, manifest };
      left.push(...children);
    }
  }
  return undefined;
}

/** What cannot be read leads nowhere: whatever is deleted, it is broken already. */
async function linksOf(
  storage: Storage,
  repository: Repository,
  digest: Digest,
): Promise<{ readonly blobs: readonly Digest[]; readonly children: readonly Digest[] }> {
  const link = await repository.manifest(digest);
  const bytes = link === undefined ? undefined : await storage.blobs.read(digest);
  if (link === undefined || bytes === undefined) return { blobs: [], children: [] };
  try {
    return parsePushedManifest(bytes, link.mediaType);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { blobs: [], children: [] };
  }
}
