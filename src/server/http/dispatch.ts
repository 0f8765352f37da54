import { unreachable } from '../../errors.ts';
import { clientOf } from '../access/client-address.ts';
import type { Asker, ServedContent } from '../contract/served-content.ts';
import type { UploadStore } from '../contract/upload-store.ts';
import type { Observations } from '../metrics/observations.ts';
import type { Settings } from '../settings/options.ts';
import { deleteBlob, getBlob } from './blob-handler.ts';
import { byMethod } from './by-method.ts';
import type { Exchange } from './exchange.ts';
import { getHealth, getMetrics } from './health-handler.ts';
import { listReferrers, listRepositories, listTags } from './listing-handler.ts';
import { deleteManifest, getManifest, putManifest } from './manifest-handler.ts';
import type { Pages, PageView } from '../page/pages.ts';
import { getPage, getPageFile } from './page-handler.ts';
import { getPeers, putPeer } from './peers-handler.ts';
import { nothingHere, type Route } from './router.ts';
import { UploadHandler } from './upload-handler.ts';

interface Serving {
  readonly content: Pick<ServedContent, 'storesFor' | 'greet' | 'local' | 'status' | 'facts' | 'peers'>;
  readonly settings: Settings;
  readonly observations: Observations;
  readonly pages: Pages;
  /** Told of a fault that the answer says no more of. */
  readonly onFailure: (error: unknown) => void;
}

/** Answers a request that its sender may make, by its address and its method. @throws Refusal */
export async function answerRoute(route: Route, exchange: Exchange, serving: Serving): Promise<void> {
  const { content, settings } = serving;
  const { limits } = settings;
  const asker = askerOf(exchange);
  const stores = content.storesFor(asker);
  switch (route.kind) {
    case 'base':
      return byMethod(exchange, { GET: async () => greet(exchange, content, asker) });
    case 'health':
      return byMethod(exchange, { GET: async () => getHealth(exchange, route.asks, serving) });
    case 'page':
      return byMethod(exchange, { GET: async () => showPage(exchange, route, serving) });
    case 'page-file':
      if (settings.page === undefined) throw nothingHere();
      return byMethod(exchange, { GET: async () => getPageFile(exchange, route.file) });
    case 'metrics':
      if (settings.metrics === 'none') throw nothingHere();
      return byMethod(exchange, { GET: async () => getMetrics(exchange, serving) });
    case 'peers':
      return byMethod(exchange, {
        GET: async () => getPeers(exchange, content.peers),
        PUT: async () => putPeer(exchange, content.peers),
      });
    case 'catalog':
      return byMethod(exchange, { GET: async () => listRepositories(exchange, stores.catalog) });
    case 'tags':
      return byMethod(exchange, { GET: async () => listTags(exchange, stores.tags, route.repository) });
    case 'referrers':
      return byMethod(exchange, { GET: async () => listReferrers(exchange, stores.manifests, route) });
    case 'manifest':
      return byMethod(exchange, {
        GET: async () => getManifest(exchange, stores, route),
        PUT: async () => putManifest(exchange, stores, { ...route, limit: limits.manifestBytes }),
        DELETE: async () => deleteManifest(exchange, stores, route),
      });
    case 'blob':
      return byMethod(exchange, {
        GET: async () => getBlob(exchange, stores.blobs, route),
        DELETE: async () => deleteBlob(exchange, stores.blobs, route),
      });
    case 'uploads':
    case 'upload':
      return answerUpload(route, exchange, stores.uploads, limits.chunkAdviceBytes);
    default:
      return unreachable(route);
  }
}

async function greet(exchange: Exchange, content: Serving['content'], asker: Asker): Promise<void> {
  await content.greet?.(asker);
  exchange.respondJson({});
}

async function showPage(exchange: Exchange, view: PageView, serving: Serving): Promise<void> {
  const { content, settings, observations, pages } = serving;
  if (settings.page === undefined) throw nothingHere();
  await getPage(exchange, view, {
    pages,
    content: content.local?.(askerOf(exchange)),
    facts: {
      uses: observations.uses,
      store: content.status?.().facts(),
      cache: content.facts?.(),
      pullCommand: settings.page.pullCommand,
    },
    now: new Date(settings.now()),
  });
}

async function answerUpload(
  route: Extract<Route, { kind: 'uploads' | 'upload' }>,
  exchange: Exchange,
  store: UploadStore,
  chunkAdviceBytes: number,
): Promise<void> {
  const uploads = new UploadHandler(store, chunkAdviceBytes);
  const { repository } = route;
  if (route.kind === 'uploads') return byMethod(exchange, { POST: async () => uploads.start(exchange, repository) });
  const { id } = route;
  return byMethod(exchange, {
    GET: async () => uploads.status(exchange, repository, id),
    PATCH: async () => uploads.append(exchange, repository, id),
    PUT: async () => uploads.finish(exchange, repository, id),
    DELETE: async () => uploads.cancel(exchange, repository, id),
  });
}

function askerOf({ request, access, query }: Exchange): Asker {
  const { authorization, via } = request.headers;
  return { user: access.user, client: clientOf(request.socket.remoteAddress), authorization, query, via };
}
