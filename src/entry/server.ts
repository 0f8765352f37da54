/**
 * The registry that `tartlet serve` runs, in a process of yours.
 *
 * @packageDocumentation
 */
export { type ErrorCode, type ErrorFacts, isTartletError, TartletError } from '../errors.ts';
export { createRegistry, type ListeningAddress, type Registry } from '../server/server.ts';
export type { MetricsReaders } from '../server/settings/beside-api.ts';
export type { RegistryEvent, RouteKind } from '../server/settings/event.ts';
export { type Htpasswd, parseHtpasswd } from '../server/settings/htpasswd.ts';
export type { AuthOptions, DeletesAllowed, Limits, RegistryOptions, Timeouts } from '../server/settings/options.ts';
export type { GarbageReport } from '../server/store/garbage.ts';
