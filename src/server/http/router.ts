import type { Digest } from '../../names/digest.ts';
import type { Repository } from '../../names/repository.ts';
import type { Reference } from '../contract/reference.ts';
import { Refusal } from '../contract/refusal.ts';
import { type PageFile, pageFile } from '../page/page-file.ts';
import type { PageView } from '../page/pages.ts';
import { parseDigest, parseRepository, parseTag, withColon } from './parse-name.ts';

/** Reads the name of a repository in an address. @throws Refusal `NAME_INVALID` for what is none. */
export type ReadName = (text: string) => Repository;

/** Every address of the API (distribution spec § endpoints) and those beside it, with their parts parsed. */
export type Route =
  /** Whether this process answers, or its content can be read. */
  | { readonly kind: 'health'; readonly asks: 'process' | 'content' }
  | { readonly kind: 'metrics' }
  /** Hosts that answer peers, where the content keeps a list of them. */
  | { readonly kind: 'peers' }
  | ({ readonly kind: 'page' } & PageView)
  | { readonly kind: 'page-file'; readonly file: PageFile }
  | { readonly kind: 'base' }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'tags'; readonly repository: Repository }
  | { readonly kind: 'manifest'; readonly repository: Repository; readonly reference: Reference }
  | { readonly kind: 'blob'; readonly repository: Repository; readonly digest: Digest }
  | { readonly kind: 'uploads'; readonly repository: Repository }
  | { readonly kind: 'upload'; readonly repository: Repository; readonly id: string }
  | { readonly kind: 'referrers'; readonly repository: Repository; readonly subject: Digest };

/** Longer than any legal address: 255 of name, 138 of digest, the words between. */
const MAX_PATH = 1024;
const UPLOAD_ID = /^[0-9a-f]{32}$/;

/**
 * Reads the raw request target by grammar, once. Nothing is decoded or normalised first, so `..`, `//`, `%2f` and an
 * absolute `http://…` target are just texts that do not fit (reliability S42). The one escape understood is `%3A` for
 * the colon of a digest, which careful URL builders write.
 *
 * @throws Refusal 404 for what is no address of the API, 400 with the fitting code for a malformed part.
 */
export function parseRoute(
  target: string,
  readName: ReadName = parseRepository,
): { readonly route: Route; readonly query: URLSearchParams } {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1));
  return { route: routeOf(path, readName), query };
}

function routeOf(path: string, readName: ReadName): Route {
  if (path.length > MAX_PATH) throw nothingHere();
  if (path === '/v2' || path === '/v2/') return { kind: 'base' };
  if (path === '/healthz') return { kind: 'health', asks: 'process' };
  if (path === '/readyz') return { kind: 'health', asks: 'content' };
  if (path === '/metrics') return { kind: 'metrics' };
  if (path === '/peers') return { kind: 'peers' };
  if (!path.startsWith('/v2/')) return pageRoute(path, readName);
  if (path === '/v2/_catalog') return { kind: 'catalog' };
  // Read from the end: a repository may itself be called a/tags or b/blobs/uploads.
  const parts = path.slice('/v2/'.length).split('/');
  const [third, second, last] = [parts.at(-3), parts.at(-2) ?? '', parts.at(-1) ?? ''];
  const before = (count: number): Repository => readName(parts.slice(0, -count).join('/'));
  if (second === 'tags' && last === 'list') return { kind: 'tags', repository: before(2) };
  if (second === 'manifests') return { kind: 'manifest', repository: before(2), reference: parseReference(last) };
  if (second === 'referrers') return { kind: 'referrers', repository: before(2), subject: parseDigest(last) };
  if (second === 'blobs' && last === 'uploads') return { kind: 'uploads', repository: before(2) };
  if (third === 'blobs' && second === 'uploads') {
    return last === '' ? { kind: 'uploads', repository: before(3) } : upload(before(3), last);
  }
  if (second === 'blobs') return { kind: 'blob', repository: before(2), digest: parseDigest(last) };
  throw nothingHere();
}

/** Pages for people, and the files that they are made with. */
function pageRoute(path: string, readName: ReadName): Route {
  if (path === '/') return { kind: 'page', view: 'repositories' };
  const [, place, rest = ''] = /^\/(page|repository|image)\/(.+)$/.exec(path) ?? [];
  const file = place === 'page' ? pageFile(rest) : undefined;
  if (file !== undefined) return { kind: 'page-file', file };
  if (place === 'repository') return { kind: 'page', view: 'tags', repository: readName(rest) };
  // A cache has ports in the names of its repositories, and no tag has a slash.
  const [, name, digest, tagged, tag] = /^(?:([^@]+)@(.+)|(.+):([^:/]+))$/.exec(place === 'image' ? rest : '') ?? [];
  const named = name ?? tagged;
  if (named === undefined) throw nothingHere();
  const repository = readName(named);
  if (digest !== undefined) {
    return { kind: 'page', view: 'image', repository, reference: { kind: 'digest', digest: parseDigest(digest) } };
  }
  if (tag === undefined) throw nothingHere();
  return { kind: 'page', view: 'image', repository, reference: { kind: 'tag', tag: parseTag(tag) } };
}

function upload(repository: Repository, id: string): Route {
  // The id is only ever looked up in a map; refusing other shapes early keeps the logs clean.
  if (!UPLOAD_ID.test(id)) throw new Refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'there is no such upload');
  return { kind: 'upload', repository, id };
}

function parseReference(text: string): Reference {
  const plain = withColon(text);
  return plain.includes(':') ? { kind: 'digest', digest: parseDigest(text) } : { kind: 'tag', tag: parseTag(plain) };
}

/** 404 for what is no address. */
export function nothingHere(): Refusal {
  return new Refusal(404, 'UNSUPPORTED', 'there is nothing at this address, the API begins at /v2/');
}
