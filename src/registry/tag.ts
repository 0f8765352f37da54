import { TartletError } from '../errors.ts';
import { fieldOf, parseJson } from '../json/foreign.ts';
import type { Timing } from './request/backoff.ts';
import { requestDocument } from './response/document.ts';
import { hostAndPort } from './request/network-error.ts';
import { shownAddress } from './request/redact.ts';
import { refused } from './response/refusal.ts';
import type { RepositoryContext } from './request/repository.ts';
import type { ResponseStart } from './request/request.ts';
import { byKnownName } from './request/same-place.ts';
import { TagProgress } from './tag-progress.ts';

/**
 * The tags of a repository, page by page; the promises are those of `RegistryClient.tags`. The next page must be of the
 * same origin and a new one (reliability Q20, S13); how long the list may go on, {@link TagProgress} says.
 */
export async function* listTags(
  context: RepositoryContext,
  options: { readonly last?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<string, void, undefined> {
  const name = `${context.registry}/${context.repository}`;
  const progress = new TagProgress(name, context.timing);
  const after = options.last === undefined ? '' : `?last=${encodeURIComponent(options.last)}`;
  let url: URL | undefined = await context.url(`tags/list${after}`);
  while (url !== undefined) {
    const page = url;
    const { response, bytes } = await progress.fetch(page, async () =>
      requestPage(context, page, progress.timing, options.signal),
    );
    if (response.status !== 200)
      throw await refused(response, { what: `cannot list the tags of ${name}`, subject: name });
    const tags = tagsOf(bytes, name);
    progress.brought(tags);
    yield* tags;
    url = nextPage(response, page);
    if (url !== undefined) progress.goesOn();
  }
}

async function requestPage(context: RepositoryContext, url: URL, timing: Timing, signal: AbortSignal | undefined) {
  return requestDocument(
    context.send,
    {
      method: 'GET',
      url,
      headers: { accept: 'application/json' },
      access: { repository: context.repository, action: 'pull' },
      idempotent: true,
    },
    { limit: timing.limits.tagPageBytes, timing, signal },
  );
}

function tagsOf(bytes: Uint8Array | undefined, name: string): string[] {
  const tags = fieldOf(parseJson(new TextDecoder().decode(bytes)), 'tags');
  // Registries that are written in Go send null for an empty list.
  if (tags === null) return [];
  if (!Array.isArray(tags)) {
    throw new TartletError('NET_PROTOCOL', `the registry sent no list of tags for ${name}`, { subject: name });
  }
  return tags.filter((tag): tag is string => typeof tag === 'string');
}

/** The target of `Link: <…>; rel="next"` (RFC 8288), undefined on the last page. */
export function nextPage(response: ResponseStart, current: URL): URL | undefined {
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
