import { TartletError } from '../errors.ts';
import { requestDocument } from './document.ts';
import { hostAndPort } from './network-error.ts';
import { shownAddress } from './redact.ts';
import { refused } from './refusal.ts';
import type { RepositoryContext } from './repository.ts';
import type { ResponseStart } from './request.ts';
import { byKnownName } from './same-place.ts';

/**
 * The tags of a repository, page by page; the promises are those of `RegistryClient.tags`. The next page must be of the same origin
 * and a new one, and there are at most 1000 (reliability Q20, S13).
 */
export async function* listTags(
  context: RepositoryContext,
  options: { readonly last?: string; readonly signal?: AbortSignal } = {},
): AsyncGenerator<string, void, undefined> {
  const { limits } = context.timing;
  const name = `${context.registry}/${context.repository}`;
  const seen = new Set<string>();
  const after = options.last === undefined ? '' : `?last=${encodeURIComponent(options.last)}`;
  let url: URL | undefined = await context.url(`tags/list${after}`);
  while (url !== undefined) {
    if (seen.has(url.href) || seen.size >= limits.tagPages) throw endless(name);
    seen.add(url.href);
    const { response, bytes } = await requestDocument(
      context.send,
      {
        method: 'GET',
        url,
        headers: { accept: 'application/json' },
        access: { repository: context.repository, action: 'pull' },
        repeat: 'always',
      },
      { limit: limits.tagPageBytes, timing: context.timing, signal: options.signal },
    );
    if (response.status !== 200)
      throw await refused(response, { what: `cannot list the tags of ${name}`, subject: name });
    yield* tagsOf(bytes, name);
    url = nextPage(response, url);
  }
}

function tagsOf(bytes: Uint8Array | undefined, name: string): string[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    parsed = undefined;
  }
  const tags = typeof parsed === 'object' && parsed !== null && 'tags' in parsed ? parsed.tags : undefined;
  // Registries that are written in Go send null for an empty list.
  if (tags === null) return [];
  if (!Array.isArray(tags)) {
    throw new TartletError('NET_PROTOCOL', `the registry sent no list of tags for ${name}`, { subject: name });
  }
  return tags.filter((tag): tag is string => typeof tag === 'string');
}

/** The target of `Link: <…>; rel="next"` (RFC 8288), undefined on the last page. */
function nextPage(response: ResponseStart, current: URL): URL | undefined {
  for (const [, target = '', parameters = ''] of (response.headers.get('link') ?? '').matchAll(
    /<([^>]{1,8192})>([^<]{0,1024})/g,
  )) {
    if (!/;\s*rel\s*=\s*"?next"?/i.test(parameters)) continue;
    if (!URL.canParse(target, current.href)) return undefined;
    const next = byKnownName(new URL(target, current), current);
    if (next.origin === current.origin) return next;
    throw new TartletError(
      'NET_PROTOCOL',
      `${hostAndPort(current)} continues its list of tags at ${shownAddress(next, response)}: not followed`,
      {
        subject: hostAndPort(current),
      },
    );
  }
  return undefined;
}

/** The address of the page is the registry's own text, and could repeat a secret. */
function endless(name: string): TartletError {
  return new TartletError(
    'NET_PROTOCOL',
    `the list of tags of ${name} does not end: a page comes again, or there are too many`,
    {
      subject: name,
    },
  );
}
