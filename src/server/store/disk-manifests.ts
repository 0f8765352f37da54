import { Digest } from '../../names/digest.ts';
import type { Repository } from '../../names/repository.ts';
import type {
  ArrivedManifest,
  ManifestStore,
  Referrer,
  StoredManifest,
  TakenManifest,
} from '../contract/manifest-store.ts';
import { Refusal } from '../contract/refusal.ts';
import type { DeletesAllowed } from '../settings/options.ts';
import { refuseNeeded, tagsOf } from './needed-by-tag.ts';
import { parsePushedManifest, type PushedManifest } from './pushed-manifest.ts';
import type { RepositoryDirectory } from './repository-directory.ts';
import type { Storage } from './storage.ts';

/** The manifests of the data directory. */
export class DiskManifests implements ManifestStore {
  readonly #storage: Storage;
  readonly #deletes: DeletesAllowed;

  /** @param deletes whether a manifest may be deleted that the index of a tag needs. */
  constructor(storage: Storage, deletes: DeletesAllowed) {
    this.#storage = storage;
    this.#deletes = deletes;
  }

  async open(repository: Repository, digest: Digest): Promise<StoredManifest | undefined> {
    const link = await this.#storage.repository(repository).manifest(digest);
    const content = link === undefined ? undefined : await this.#storage.blobs.open(digest);
    return link === undefined || content === undefined ? undefined : { mediaType: link.mediaType, content };
  }

  async put(repository: Repository, arrived: ArrivedManifest): Promise<TakenManifest> {
    const { bytes, expected, tags } = arrived;
    const digest = Digest.of(bytes, expected?.algorithm);
    if (expected?.equals(digest) === false) {
      throw new Refusal(400, 'DIGEST_INVALID', 'the digest does not match the manifest', {
        detail: { digest: expected.toString(), uploaded: digest.toString() },
      });
    }
    const { mediaType, subject, referrer, ...links } = parsePushedManifest(bytes, arrived.contentType);
    const directory = this.#storage.repository(repository);
    await this.#storage.change(repository, async () => {
      await requireLinked(directory, links);
      await this.#storage.blobs.write(digest, bytes);
      const linked = new Set([...links.blobs, ...links.children].map(String));
      await directory.linkManifest(digest, { mediaType, subject }, linked);
      if (subject !== undefined) {
        await directory.addReferrer(subject, digest, { ...referrer, digest: digest.toString(), size: bytes.length });
      }
      // Last, so that a crash before leaves the old image under the tag.
      for (const tag of tags) await directory.setTag(tag, digest);
    });
    return { digest, subject };
  }

  async delete(repository: Repository, digest: Digest): Promise<boolean> {
    const directory = this.#storage.repository(repository);
    return this.#storage.change(repository, async () => {
      const link = await directory.manifest(digest);
      if (link === undefined) return false;
      if (this.#deletes === 'unneeded') await refuseNeeded(this.#storage, directory, digest);
      // The tags first: killed in between, a tag without its manifest would be worse than a manifest without tags.
      const tags = await this.#storage.indexes.tags(directory);
      await directory.removeTags(await tagsOf(tags, directory, digest));
      if (link.subject !== undefined) await directory.removeReferrer(link.subject, digest);
      return directory.unlinkManifest(digest);
    });
  }

  async *referrers(repository: Repository, subject: Digest, after: string): AsyncGenerator<Referrer> {
    const directory = this.#storage.repository(repository);
    for (const digest of await directory.referrers(subject)) {
      if (digest.toString() <= after) continue;
      const size = await directory.referrerSize(subject, digest);
      yield { digest, size, read: async () => directory.referrer(subject, digest) };
    }
  }
}

async function requireLinked(
  directory: RepositoryDirectory,
  { blobs, children }: Pick<PushedManifest, 'blobs' | 'children'>,
): Promise<void> {
  const missing: Digest[] = [];
  for (const blob of blobs) {
    if (!(await directory.hasBlob(blob))) missing.push(blob);
  }
  for (const child of children) {
    // Build caches put plain blobs into an index.
    if ((await directory.manifest(child)) === undefined && !(await directory.hasBlob(child))) missing.push(child);
  }
  const [first] = missing;
  if (first === undefined) return;
  const others = missing.length === 1 ? '' : ` and ${missing.length - 1} more`;
  throw new Refusal(
    404,
    'MANIFEST_BLOB_UNKNOWN',
    `the manifest links to ${first.toString()}${others}, not in the repository`,
    {
      detail: { digests: missing.slice(0, 20).map(String) },
    },
  );
}
