import { onTestFinished } from 'vitest';
import { createSiteCache, type SiteCache, type SiteCacheOptions } from '../../src/mirror/site-cache.ts';
import type { RegistryEvent } from '../../src/server/settings/event.ts';
import { type ProtocolClient, protocolClient } from '../server/running-registry.ts';
import { temporaryDirectory } from '../support/directory.ts';

/** A site cache on a free loopback port, gone with the test, and a client of it. */
export interface RunningCache extends ProtocolClient {
  readonly cache: SiteCache;
  readonly directory: string;
  readonly events: RegistryEvent[];
}

export async function startCache(
  upstreams: readonly string[] | { readonly mirrorOf: string },
  options: Partial<SiteCacheOptions> = {},
): Promise<RunningCache> {
  const directory = options.dataDirectory ?? temporaryDirectory();
  const events: RegistryEvent[] = [];
  const cache = createSiteCache({
    log: (event) => events.push(event),
    freeBytes: 0,
    ...options,
    upstreams: 'mirrorOf' in upstreams ? upstreams : { allowed: upstreams },
    dataDirectory: directory,
  });
  const { port } = await cache.listen();
  onTestFinished(async () => cache.close());
  return { ...protocolClient(port), cache, directory, events };
}

/** Requests that a registry was asked, as `GET /v2/…`. */
export function requestsOf(events: readonly RegistryEvent[]): string[] {
  return events.flatMap((event) => (event.kind === 'request' ? [`${event.method} ${event.path}`] : []));
}

export function basic(name: string, password: string): { readonly authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` };
}
