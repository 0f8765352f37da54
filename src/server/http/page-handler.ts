import type { IncomingMessage } from 'node:http';
import type { LocalContent } from '../contract/local-content.ts';
import type { Refusal } from '../contract/refusal.ts';
import type { PageFile } from '../page/page-file.ts';
import { PAGE_HEADERS, PAGE_TYPE } from '../page/page-headers.ts';
import type { PageFacts, Pages, PageView } from '../page/pages.ts';
import { refusalPage } from '../page/refusal-page.ts';
import type { Exchange } from './exchange.ts';

/** Nothing, where all that can be told are counts. */
const NO_CONTENT: LocalContent = {
  catalog: { list: async () => ({ entries: [], more: false }) },
  tags: { list: async () => undefined, resolve: async () => undefined },
  manifests: { open: async () => undefined },
  blobs: { open: async () => undefined },
};

/** What a page is made from. */
interface Shown {
  readonly pages: Pages;
  readonly content: LocalContent | undefined;
  readonly facts: PageFacts;
  readonly now: Date;
}

/** Answers with a web page. @throws Refusal 404, 429 */
export async function getPage(exchange: Exchange, view: PageView, shown: Shown): Promise<void> {
  const { request, access, query, documents: memory } = exchange;
  const viewer = {
    user: access.user,
    mayRead: (repository: string) => access.allows({ kind: 'repository', repository, actions: ['pull'] }),
    content: shown.content ?? NO_CONTENT,
    query,
    host: request.headers.host ?? '',
    isSecure: 'encrypted' in request.socket || request.headers['x-forwarded-proto'] === 'https',
    now: shown.now,
    memory,
  };
  const text = await shown.pages.text(view, viewer, shown.facts);
  exchange.respond(200, { ...PAGE_HEADERS, 'Content-Type': PAGE_TYPE }, text);
}

/** A file that pages are made with. */
export async function getPageFile(exchange: Exchange, { mediaType, text, etag }: PageFile): Promise<void> {
  const headers = { ...PAGE_HEADERS, 'Cache-Control': 'no-cache', 'Content-Type': mediaType, ETag: etag };
  if (exchange.request.headers['if-none-match'] === etag) exchange.respond(304, headers);
  else exchange.respond(200, headers, text);
}

/** A refusal as its client reads it: a page for a browser that asked for one, the error body of the API for others. */
export function refusalBody(
  request: IncomingMessage,
  refusal: Refusal,
): { readonly headers: Readonly<Record<string, string>>; readonly body: string } {
  const wantsPage = isBesideApi(request) && request.headers.accept?.includes('text/html') === true;
  return wantsPage
    ? { headers: { ...PAGE_HEADERS, 'Content-Type': PAGE_TYPE }, body: refusalPage(refusal) }
    : { headers: { 'Content-Type': 'application/json' }, body: refusal.body };
}

/** Whether an address is none of the API. */
export function isBesideApi({ url = '' }: IncomingMessage): boolean {
  return !/^\/v2(?:[/?]|$)/.test(url);
}
