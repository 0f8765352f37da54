import { parseJson, textOf } from '../../json/foreign.ts';
import type { Digest } from '../../names/digest.ts';
import type { Repository } from '../../names/repository.ts';
import { MediaType } from '../../oci/media-type.ts';
import type { ManifestStore } from '../contract/manifest-store.ts';
import type { Page, PageRequest } from '../contract/page.ts';
import { Refusal } from '../contract/refusal.ts';
import type { Catalog } from '../contract/stores.ts';
import type { TagStore } from '../contract/tag-store.ts';
import type { Exchange } from './exchange.ts';

/** Entries of one answer, whatever `n` asks for (CVE-2023-2253, reliability S43); also without `n`. */
const MAX_PAGE = 1_000;
/**
 * Where an answer with descriptors ends: below the 4 MiB that clients are asked to take (image spec § manifest size).
 */
const MAX_PAGE_CHARACTERS = 3 * 1024 * 1024;

/** `GET …/tags/list` (distribution spec § listing tags). */
export async function listTags(exchange: Exchange, tags: TagStore, repository: Repository): Promise<void> {
  const asked = pageOf(exchange.query);
  const page = await tags.list(repository, asked);
  if (page === undefined) {
    throw new Refusal(404, 'NAME_UNKNOWN', 'there is no such repository', { detail: { name: repository.text } });
  }
  const body = { name: repository.text, tags: page.entries };
  exchange.respondJson(body, linkToNext(page, asked, `/v2/${repository.text}/tags/list`));
}

/** `GET /v2/_catalog`, which the spec reserves and every registry has. */
export async function listRepositories(exchange: Exchange, catalog: Catalog): Promise<void> {
  const asked = pageOf(exchange.query);
  const page = await catalog.list(asked);
  exchange.respondJson({ repositories: page.entries }, linkToNext(page, asked, '/v2/_catalog'));
}

/**
 * `GET …/referrers/<digest>` (distribution spec § listing referrers): an index, empty when nothing refers to the
 * subject.
 */
export async function listReferrers(
  exchange: Exchange,
  store: ManifestStore,
  { repository, subject }: { readonly repository: Repository; readonly subject: Digest },
): Promise<void> {
  const artifactType = exchange.query.get('artifactType');
  const last = exchange.query.get('last') ?? '';
  const manifests: unknown[] = [];
  let characters = 0;
  let shown = '';
  let more = false;
  for await (const referrer of store.referrers(repository, subject, last)) {
    exchange.documents.take(referrer.size);
    const text = await referrer.read();
    const descriptor: unknown = text === undefined ? undefined : parseJson(text);
    if (text === undefined || (artifactType !== null && textOf(descriptor, 'artifactType') !== artifactType)) {
      exchange.documents.giveBack(referrer.size);
      continue;
    }
    more = manifests.length >= MAX_PAGE || (manifests.length > 0 && characters + text.length > MAX_PAGE_CHARACTERS);
    if (more) break;
    manifests.push(descriptor);
    characters += text.length;
    shown = referrer.digest.toString();
  }
  const filter = artifactType === null ? '' : `artifactType=${encodeURIComponent(artifactType)}&`;
  const next = `/v2/${repository.text}/referrers/${subject.toString()}?${filter}last=${encodeURIComponent(shown)}`;
  exchange.respondJson(
    { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests },
    {
      'Content-Type': MediaType.ociIndex,
      ...(artifactType === null ? {} : { 'OCI-Filters-Applied': 'artifactType' }),
      ...(more ? { Link: `<${next}>; rel="next"` } : {}),
    },
  );
}

/** @throws Refusal 400 when `n` is no number. */
function pageOf(query: URLSearchParams): PageRequest {
  const asked = query.get('n');
  if (asked !== null && !/^\d{1,20}$/.test(asked)) {
    throw new Refusal(400, 'UNSUPPORTED', 'n must be a number', { detail: { n: asked.slice(0, 40) } });
  }
  const size = Math.min(asked === null ? MAX_PAGE : Number(asked), MAX_PAGE);
  return { size, after: query.get('last') ?? undefined };
}

/** `Link` header when there is more. */
function linkToNext({ entries, more }: Page, { size }: PageRequest, path: string): Readonly<Record<string, string>> {
  const end = entries.at(-1);
  if (end === undefined || !more) return {};
  return { Link: `<${path}?n=${size}&last=${encodeURIComponent(end)}>; rel="next"` };
}
