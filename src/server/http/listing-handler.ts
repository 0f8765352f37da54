import { parseJson, textOf } from '../../json/foreign.ts';
import type { Digest } from '../../names/digest.ts';
import { MediaType } from '../../oci/media-type.ts';
import type { Exchange } from './exchange.ts';
import { Refusal } from '../contract/refusal.ts';
import type { RepositoryName } from '../contract/repository-name.ts';
import type { Storage } from '../store/storage.ts';

/** Entries of one answer, whatever `n` asks for (CVE-2023-2253, reliability S43); also without `n`. */
const MAX_PAGE = 1_000;
/** Where an answer with descriptors ends: below the 4 MiB that clients are asked to take (image spec § manifest size). */
const MAX_PAGE_CHARACTERS = 3 * 1024 * 1024;

interface Page {
  readonly entries: readonly string[];
  /** `Link` header when there is more. */
  readonly headers: Readonly<Record<string, string>>;
}

/** `GET …/tags/list` (distribution spec § listing tags). */
export async function listTags(exchange: Exchange, storage: Storage, repository: RepositoryName): Promise<void> {
  const store = storage.repository(repository);
  if (!(await store.exists())) {
    throw new Refusal(404, 'NAME_UNKNOWN', 'there is no such repository', { detail: { name: repository.text } });
  }
  const tags = (await store.tags()).map((tag) => tag.text);
  const { entries, headers } = cut(tags, exchange.query, `/v2/${repository.text}/tags/list`);
  exchange.respondJson({ name: repository.text, tags: entries }, headers);
}

/** `GET /v2/_catalog`, which the spec reserves and every registry has. */
export async function listRepositories(exchange: Exchange, storage: Storage): Promise<void> {
  const names: string[] = [];
  for await (const repository of storage.repositories()) names.push(repository.name.text);
  const { entries, headers } = cut(names.sort(), exchange.query, '/v2/_catalog');
  exchange.respondJson({ repositories: entries }, headers);
}

/** `GET …/referrers/<digest>` (distribution spec § listing referrers): an index, empty when nobody refers to the subject. */
export async function listReferrers(
  exchange: Exchange,
  storage: Storage,
  { repository, subject }: { readonly repository: RepositoryName; readonly subject: Digest },
): Promise<void> {
  const store = storage.repository(repository);
  const artifactType = exchange.query.get('artifactType');
  const last = exchange.query.get('last') ?? '';
  const manifests: unknown[] = [];
  let characters = 0;
  let shown = '';
  let more = false;
  for (const referrer of await store.referrers(subject)) {
    const name = referrer.toString();
    if (name <= last) continue;
    const size = await store.referrerSize(subject, referrer);
    exchange.documents.take(size);
    const text = await store.referrer(subject, referrer);
    const descriptor: unknown = text === undefined ? undefined : parseJson(text);
    if (text === undefined || (artifactType !== null && textOf(descriptor, 'artifactType') !== artifactType)) {
      exchange.documents.giveBack(size);
      continue;
    }
    more = manifests.length >= MAX_PAGE || (manifests.length > 0 && characters + text.length > MAX_PAGE_CHARACTERS);
    if (more) break;
    manifests.push(descriptor);
    characters += text.length;
    shown = name;
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

/** One page of a sorted list: at most `n` entries after `last`, which need not be in the list. */
function cut(all: readonly string[], query: URLSearchParams, path: string): Page {
  const asked = query.get('n');
  if (asked !== null && !/^\d{1,20}$/.test(asked)) {
    throw new Refusal(400, 'UNSUPPORTED', 'n must be a number', { detail: { n: asked.slice(0, 40) } });
  }
  const size = Math.min(asked === null ? MAX_PAGE : Number(asked), MAX_PAGE);
  const last = query.get('last');
  const rest = last === null ? all : all.filter((entry) => entry > last);
  const entries = rest.slice(0, size);
  const end = entries.at(-1);
  if (end === undefined || entries.length === rest.length) return { entries, headers: {} };
  return { entries, headers: { Link: `<${path}?n=${size}&last=${encodeURIComponent(end)}>; rel="next"` } };
}
