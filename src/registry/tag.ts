import { isTartletError, TartletError } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { fieldOf, parseJson } from '../json/foreign.ts';
import { requestDocument } from './response/document.ts';
import { hostAndPort } from './request/network-error.ts';
import { shownAddress } from './request/redact.ts';
import { refused } from './response/refusal.ts';
import type { RepositoryContext } from './request/repository.ts';
import type { Access, ResponseStart } from './request/request.ts';
import { byKnownName } from './request/same-place.ts';
import type { RegistryContext } from './ping.ts';
import { type ListSubject, TagProgress } from './tag-progress.ts';

/** Which part of a list is asked for. */
export interface ListOptions {
  /** Begin after this name, in the registry's own order. */
  readonly last?: string | undefined;
  /** How many a page should have; registries may send fewer, or all. Default: the registry's own choice. */
  readonly pageSize?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The tags of a repository, page by page; the promises are those of `RegistryClient.tags`. */
export async function* listTags(
  context: RepositoryContext,
  options: ListOptions = {},
): AsyncGenerator<string, void, undefined> {
  const of = `${context.registry}/${context.repository}`;
  const url = await context.url('tags/list');
  const access = { repository: context.repository, action: 'pull' } as const;
  yield* listNames(context, { one: 'tag', many: 'tags', of, url, access }, options);
}

/** The repositories of a registry, page by page; the promises are those of `RegistryClient.catalog`. */
export async function* listRepositories(
  context: RegistryContext,
  options: ListOptions = {},
): AsyncGenerator<string, void, undefined> {
  const of = context.registry.toString();
  const url = new URL('/v2/_catalog', await context.base.find());
  const access = { catalog: true, action: 'pull' } as const;
  const next = { kind: 'list-elsewhere', registry: of } as const;
  try {
    yield* listNames(context, { one: 'repository', many: 'repositories', of, url, access, next }, options);
  } catch (cause) {
    // A login does not help where no user may list: say so beside what the registry said.
    if (!isTartletError(cause, 'AUTH_REQUIRED', 'AUTH_DENIED')) throw cause;
    throw new TartletError(cause.code, `${of} does not list its repositories: ${cause.message}`, {
      ...cause.facts,
      next,
      cause,
    });
  }
}

interface NameList extends ListSubject {
  /** The first page. */
  readonly url: URL;
  readonly access: Access;
  /** What helps where there is no such list. */
  readonly next?: Hint;
}

/**
 * The next page must be of the same origin and a new one (reliability Q20, S13); how long the list may go on,
 * {@link TagProgress} says.
 */
async function* listNames(
  { send, timing }: Pick<RepositoryContext, 'send' | 'timing'>,
  list: NameList,
  { last, pageSize, signal }: ListOptions,
): AsyncGenerator<string, void, undefined> {
  const progress = new TagProgress(list, timing);
  const first = new URL(list.url);
  if (pageSize !== undefined) first.searchParams.set('n', String(pageSize));
  if (last !== undefined) first.searchParams.set('last', last);
  let url: URL | undefined = first;
  while (url !== undefined) {
    const page = url;
    const { response, bytes } = await progress.fetch(page, async () =>
      requestDocument(
        send,
        { method: 'GET', url: page, headers: { accept: 'application/json' }, access: list.access, idempotent: true },
        { limit: timing.limits.tagPageBytes, timing: progress.timing, signal },
      ),
    );
    if (response.status !== 200) {
      throw await refused(response, {
        what: `cannot list the ${list.many} of ${list.of}`,
        subject: list.of,
        next: list.next,
      });
    }
    const names = namesIn(bytes, list);
    progress.brought(names);
    yield* names;
    url = nextPage(response, page);
    if (url !== undefined) progress.goesOn();
  }
}

function namesIn(bytes: Uint8Array | undefined, { many, of }: ListSubject): string[] {
  const names = fieldOf(parseJson(new TextDecoder().decode(bytes)), many);
  // Registries that are written in Go send null for an empty list.
  if (names === null) return [];
  if (!Array.isArray(names)) {
    throw new TartletError('NET_PROTOCOL', `the registry sent no list of ${many} for ${of}`, { subject: of });
  }
  return names.filter((name): name is string => typeof name === 'string');
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
