import { expect, it } from 'vitest';
import type { CacheFacts } from '../../../src/server/contract/cache-facts.ts';
import type { LocalContent } from '../../../src/server/contract/local-content.ts';
import { parsePrometheusText } from '../../support/prometheus-text.ts';
import { MemoryStores } from '../memory-stores.ts';
import { serveContent } from '../serve-content.ts';
import { readable } from './readable.ts';

const NOW = Date.now();
const HTML = { headers: { Accept: 'text/html' } };

it('shows of a cache what it did for public repositories, and of others how many there are', async () => {
  const repository = { isPublic: true, hits: 30, misses: 10, stale: 0, failures: 0, lastUse: NOW - 3_600_000 };
  const bytes = { servedBytes: 40_000_000_000, fetchedBytes: 10_000_000_000 };
  const facts: CacheFacts = {
    upstreams: ['ghcr.io', 'registry.example:8221'],
    repositories: [
      { ...repository, ...bytes, upstream: 'ghcr.io', repository: 'cirruslabs/macos' },
      { ...repository, ...bytes, upstream: 'ghcr.io', repository: 'team/secret', isPublic: false },
    ],
    blobHits: 30,
    blobMisses: 10,
    fetchedBlobBytes: bytes.fetchedBytes,
    servedBlobBytes: bytes.servedBytes,
    storedBlobs: 1_200,
    flights: 2,
    evictedBlobs: 0,
  };
  const registry = await serveContent(
    { storesFor: () => new MemoryStores(), facts: () => facts },
    { page: {}, metrics: 'all' },
  );
  const page = readable((await registry.send('GET', '/', HTML)).body);
  expect(page).toContain('Site cache In front of ghcr.io, registry.example:8221. 1,200 blobs are here; 2 arriving.');
  expect(page).toContain('ghcr.io/cirruslabs/macos 75 % 10.0 GB 40.0 GB');
  expect(page).toContain('Not shown: what is not public, 1 in all.');
  expect(page).not.toContain('secret');
  expect((await registry.send('GET', '/repository/ghcr.io/cirruslabs/macos', HTML)).status).toBe(404);
  const metrics = parsePrometheusText((await registry.send('GET', '/metrics')).body.toString('utf8'));
  expect(metrics.get('tartlet_cache_fetched_bytes_total')?.samples).toEqual([
    { name: 'tartlet_cache_fetched_bytes_total', labels: {}, value: 10_000_000_000 },
  ]);
  expect(metrics.get('tartlet_stored_bytes')).toBeUndefined();
});

it('reads no more of a store for one page than it shows and compares, however much there is', async () => {
  const stores = new MemoryStores();
  const registry = await serveContent({ storesFor: () => stores, local: () => counted }, { page: {} });
  const read: string[] = [];
  const counted: LocalContent = {
    catalog: stores.catalog,
    tags: stores.tags,
    blobs: stores.blobs,
    manifests: {
      open: async (repository, digest) => {
        read.push(digest.toString());
        return stores.manifests.open(repository, digest);
      },
    },
  };
  for (let at = 0; at < 400; at += 1) await registry.pushImage('team/many', `tag-${at}`);
  expect((await registry.send('GET', '/repository/team/many', HTML)).status).toBe(200);
  // 50 rows, and as many beside them to compare with.
  expect(read).toHaveLength(100);
  read.splice(0);
  const last = await registry.send('GET', '/image/team/many:tag-99', HTML);
  expect(last.status).toBe(200);
  // Only itself: manifests do not change.
  expect(read).toEqual([/sha256:[0-9a-f]{64}/.exec(last.body.toString('utf8'))?.[0]]);
});
