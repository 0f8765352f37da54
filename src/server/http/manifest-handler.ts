import type { Repository } from '../../names/repository.ts';
import type { Tag } from '../../names/tag.ts';
import { Refusal } from '../contract/refusal.ts';
import type { Stores } from '../contract/stores.ts';
import type { ResolvedTag } from '../contract/tag-store.ts';
import type { Exchange } from './exchange.ts';
import { parseTag } from './parse-name.ts';
import type { Reference } from '../contract/reference.ts';
import { sendContent } from './send-content.ts';

/** More `tag` parameters than this in one push are refused. */
const MAX_TAGS = 100;

interface Addressed {
  readonly repository: Repository;
  readonly reference: Reference;
}

/**
 * `HEAD` and `GET` of a manifest, always in the type and the bytes it was pushed with (distribution spec § pulling
 * manifests).
 */
export async function getManifest(
  exchange: Exchange,
  { manifests, tags }: Stores,
  { repository, reference }: Addressed,
): Promise<void> {
  const resolved: ResolvedTag | undefined =
    reference.kind === 'digest' ? reference : await tags.resolve(repository, reference.tag);
  const manifest = resolved === undefined ? undefined : await manifests.open(repository, resolved.digest);
  if (resolved === undefined || manifest === undefined) throw unknownManifest(reference);
  const { mediaType, content } = manifest;
  try {
    const digest = resolved.digest.toString();
    exchange.response.writeHead(200, {
      'Content-Type': mediaType,
      ...(content.size === undefined ? {} : { 'Content-Length': content.size }),
      'Docker-Content-Digest': digest,
      ETag: `"${digest}"`,
      ...(resolved.warning === undefined ? {} : { Warning: resolved.warning }),
    });
    // Piece by piece, as blobs: in memory, manifests of 4 MiB would wait for every client that does not read.
    if (exchange.request.method === 'HEAD') exchange.response.end();
    else await sendContent(exchange.response, content, { start: 0, end: content.size });
  } finally {
    await content.close();
  }
}

/**
 * `PUT` of a manifest (distribution spec § pushing manifests). By digest, `?tag=` may name tags to set as well, as in
 * spec 1.2.
 * @param addressed `limit`: the largest manifest taken, in bytes.
 */
export async function putManifest(
  exchange: Exchange,
  { manifests }: Stores,
  { repository, reference, limit }: Addressed & { readonly limit: number },
): Promise<void> {
  const tags = tagsOf(exchange, reference);
  const { digest, subject } = await manifests.put(repository, {
    bytes: await exchange.wholeBody(limit),
    contentType: exchange.request.headers['content-type'],
    expected: reference.kind === 'digest' ? reference.digest : undefined,
    tags,
  });
  exchange.respond(201, {
    Location: `/v2/${repository.text}/manifests/${digest.toString()}`,
    'Docker-Content-Digest': digest.toString(),
    ...(subject === undefined ? {} : { 'OCI-Subject': subject.toString() }),
    ...(reference.kind === 'digest' && tags.length > 0 ? { 'OCI-Tag': tags.join(', ') } : {}),
  });
}

/** `DELETE`: by tag only the tag goes, by digest the manifest with all tags that name it. */
export async function deleteManifest(
  exchange: Exchange,
  { manifests, tags }: Stores,
  { repository, reference }: Addressed,
): Promise<void> {
  const found =
    reference.kind === 'tag'
      ? await tags.delete(repository, reference.tag)
      : await manifests.delete(repository, reference.digest);
  if (!found) throw unknownManifest(reference);
  exchange.respond(202, {});
}

function tagsOf(exchange: Exchange, reference: Reference): readonly Tag[] {
  if (reference.kind === 'tag') return [reference.tag];
  const tags = exchange.query.getAll('tag');
  if (tags.length > MAX_TAGS) throw new Refusal(414, 'UNSUPPORTED', `at most ${MAX_TAGS} tags at a time`);
  return tags.map(parseTag);
}

function unknownManifest(reference: Reference): Refusal {
  const text = reference.kind === 'tag' ? reference.tag.text : reference.digest.toString();
  return new Refusal(404, 'MANIFEST_UNKNOWN', 'the repository has no such manifest', { detail: { reference: text } });
}
