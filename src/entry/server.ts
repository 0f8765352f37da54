/**
 * The registry and the site cache that `tartlet serve` runs, in a process of yours.
 *
 * @packageDocumentation
 */
export { type ErrorCode, type ErrorFacts, isTartletError, TartletError } from '../errors.ts';
export {
  createSiteCache,
  type SiteCache,
  type SiteCacheOptions,
  type UpstreamChoice,
} from '../mirror/site-cache.ts';
export type { CachedRepository, CacheFacts } from '../server/contract/cache-facts.ts';
export { createRegistry, type ListeningAddress, type Registry } from '../server/server.ts';
export type { MetricsReaders, PageOptions, PullCommand } from '../server/settings/beside-api.ts';
export type { RegistryEvent, RouteKind } from '../server/settings/event.ts';
export { type Htpasswd, parseHtpasswd } from '../server/settings/htpasswd.ts';
export type { AuthOptions, DeletesAllowed, Limits, RegistryOptions, Timeouts } from '../server/settings/options.ts';
export type { GarbageReport } from '../server/store/garbage.ts';
