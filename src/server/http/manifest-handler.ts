import { Digest } from '../../names/digest.ts';
import type { Exchange } from './exchange.ts';
import { refuseNeeded } from '../store/needed-by-tag.ts';
import type { DeletesAllowed } from '../settings/options.ts';
import { parsePushedManifest, type PushedManifest } from '../store/pushed-manifest.ts';
import { Refusal } from '../contract/refusal.ts';
import { sendFile } from './send-file.ts';
import type { Repository } from '../store/repository.ts';
import type { RepositoryName } from '../contract/repository-name.ts';
import type { Reference } from './router.ts';
import type { Storage } from '../store/storage.ts';
import { Tag } from '../contract/tag.ts';

/** More `tag` parameters than this in one push are refused. */
const MAX_TAGS = 100;

interface Addressed {
  readonly repository: RepositoryName;
  readonly reference: Reference;
}

/** `HEAD` and `GET` of a manifest, always in the type and the bytes it was pushed with (distribution spec § pulling manifests). */
export async function getManifest(
  exchange: Exchange,
  storage: Storage,
  { repository, reference }: Addressed,
): Promise<void> {
  const store = storage.repository(repository);
  const digest = reference.kind === 'digest' ? reference.digest : await store.resolve(reference.tag);
  const link = digest === undefined ? undefined : await store.manifest(digest);
  if (digest === undefined || link === undefined) throw unknownManifest(reference);
  // From the file, as blobs: in memory, manifests of 4 MiB would wait for every client that does not read.
  const file = await storage.blobs.open(digest);
  if (file === undefined) throw unknownManifest(reference);
  try {
    const { size } = await file.stat();
    exchange.response.writeHead(200, {
      'Content-Type': link.mediaType,
      'Content-Length': size,
      'Docker-Content-Digest': digest.toString(),
      ETag: `"${digest.toString()}"`,
    });
    if (exchange.request.method === 'HEAD') exchange.response.end();
    else await sendFile(exchange.response, file, 0, size);
  } finally {
    await file.close();
  }
}

/**
 * `PUT` of a manifest (distribution spec § pushing manifests). Everything it links to must be in the repository already, so a tag
 * never names an incomplete image (reliability I1, I11). By digest, `?tag=` may name tags to set as well, as in spec 1.2.
 */
export async function putManifest(
  exchange: Exchange,
  storage: Storage,
  { repository, reference, limit }: Addressed & { readonly limit: number },
): Promise<void> {
  const tags = tagsOf(exchange, reference);
  const bytes = await exchange.wholeBody(limit);
  const digest = Digest.of(bytes, reference.kind === 'digest' ? reference.digest.algorithm : 'sha256');
  if (reference.kind === 'digest' && !reference.digest.equals(digest)) {
    throw new Refusal(400, 'DIGEST_INVALID', 'the digest does not match the manifest', {
      detail: { digest: reference.digest.toString(), uploaded: digest.toString() },
    });
  }
  const manifest = parsePushedManifest(bytes, exchange.request.headers['content-type']);
  const store = storage.repository(repository);
  await storage.change(repository, async () => {
    await requireLinked(store, manifest);
    await storage.blobs.write(digest, bytes);
    await store.linkManifest(digest, { mediaType: manifest.mediaType, subject: manifest.subject });
    if (manifest.subject !== undefined) {
      const descriptor = { ...manifest.referrer, digest: digest.toString(), size: bytes.length };
      await store.addReferrer(manifest.subject, digest, descriptor);
    }
    // Last, so that a crash before leaves the old image under the tag.
    for (const tag of tags) await store.setTag(tag, digest);
  });
  exchange.respond(201, {
    Location: `/v2/${repository.text}/manifests/${digest.toString()}`,
    'Docker-Content-Digest': digest.toString(),
    ...(manifest.subject === undefined ? {} : { 'OCI-Subject': manifest.subject.toString() }),
    ...(reference.kind === 'digest' && tags.length > 0 ? { 'OCI-Tag': tags.join(', ') } : {}),
  });
}

/**
 * `DELETE`: by tag only the tag goes, by digest the manifest with all tags that name it.
 * @param addressed `deletes`: whether a manifest may go that the index of a tag needs.
 * @throws Refusal 409 when it may not.
 */
export async function deleteManifest(
  exchange: Exchange,
  storage: Storage,
  { repository, reference, deletes }: Addressed & { readonly deletes: DeletesAllowed },
): Promise<void> {
  const store = storage.repository(repository);
  await storage.change(repository, async () => {
    if (reference.kind === 'digest' && deletes === 'unneeded') await refuseNeeded(storage, store, reference.digest);
    const found =
      reference.kind === 'tag' ? await store.removeTag(reference.tag) : await removeManifest(store, reference.digest);
    if (!found) throw unknownManifest(reference);
  });
  exchange.respond(202, {});
}

async function removeManifest(store: Repository, digest: Digest): Promise<boolean> {
  const link = await store.manifest(digest);
  if (link === undefined) return false;
  // The tags first: killed in between, a tag without its manifest would be worse than a manifest without tags.
  for (const tag of await store.tags()) {
    if ((await store.resolve(tag))?.equals(digest) === true) await store.removeTag(tag);
  }
  if (link.subject !== undefined) await store.removeReferrer(link.subject, digest);
  return store.unlinkManifest(digest);
}

async function requireLinked(store: Repository, manifest: PushedManifest): Promise<void> {
  const missing: Digest[] = [];
  for (const blob of manifest.blobs) {
    if (!(await store.hasBlob(blob))) missing.push(blob);
  }
  for (const child of manifest.children) {
    // Build caches put plain blobs into an index.
    if ((await store.manifest(child)) === undefined && !(await store.hasBlob(child))) missing.push(child);
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

function tagsOf(exchange: Exchange, reference: Reference): readonly Tag[] {
  if (reference.kind === 'tag') return [reference.tag];
  const tags = exchange.query.getAll('tag');
  if (tags.length > MAX_TAGS) throw new Refusal(414, 'UNSUPPORTED', `at most ${MAX_TAGS} tags at a time`);
  return tags.map((text) => Tag.parse(text));
}

function unknownManifest(reference: Reference): Refusal {
  const text = reference.kind === 'tag' ? reference.tag.text : reference.digest.toString();
  return new Refusal(404, 'MANIFEST_UNKNOWN', 'the repository has no such manifest', { detail: { reference: text } });
}
