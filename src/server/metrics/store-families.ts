import type { CacheFacts } from '../contract/cache-facts.ts';
import type { StoreFacts } from '../contract/store-status.ts';
import type { MetricFamily, Sample } from './exposition.ts';

/** Connections of a server that are open, and what they have moved since it began. */
export interface ConnectionFacts {
  readonly open: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** Metrics of the connections of a server. */
export function connectionFamilies({ open, receivedBytes, sentBytes }: ConnectionFacts): MetricFamily[] {
  return [
    one('gauge', 'tartlet_connections', 'Connections that are open.', open),
    one(
      'counter',
      'tartlet_network_received_bytes_total',
      'Bytes that came in on all connections, also of requests under way.',
      receivedBytes,
    ),
    one(
      'counter',
      'tartlet_network_sent_bytes_total',
      'Bytes that went out on all connections, also of answers under way.',
      sentBytes,
    ),
  ];
}

/** Metrics of a store: what it holds, and what it has removed. */
export function storeFamilies({ stored, openUploads, collected }: StoreFacts): MetricFamily[] {
  const measured = (value: number | undefined): readonly Sample[] => (value === undefined ? [] : [{ value }]);
  return [
    {
      kind: 'gauge',
      name: 'tartlet_stored_bytes',
      help: 'Bytes of content, each stored once; missing until they were counted for the first time.',
      samples: measured(stored?.bytes),
    },
    { kind: 'gauge', name: 'tartlet_stored_blobs', help: 'Blobs and manifests.', samples: measured(stored?.blobs) },
    one('gauge', 'tartlet_uploads', 'Uploads that were begun and are not finished.', openUploads),
    one('counter', 'tartlet_garbage_collections_total', 'Collections of what no image needs.', collected.runs),
    one('counter', 'tartlet_garbage_removed_blobs_total', 'Blobs that collections have removed.', collected.blobs),
    one('counter', 'tartlet_garbage_removed_bytes_total', 'Bytes that collections have removed.', collected.bytes),
  ];
}

/** Metrics of a cache: no name of an upstream, because clients may choose it. */
export function cacheFamilies(facts: CacheFacts): MetricFamily[] {
  const { blobHits, blobMisses, fetchedBlobBytes, servedBlobBytes, storedBlobs, flights, evictedBlobs } = facts;
  return [
    one('counter', 'tartlet_cache_hits_total', 'Blobs that were here when they were asked for.', blobHits),
    one('counter', 'tartlet_cache_misses_total', 'Blobs that were not here when they were asked for.', blobMisses),
    one('counter', 'tartlet_cache_fetched_bytes_total', 'Bytes of blobs from upstreams.', fetchedBlobBytes),
    one('counter', 'tartlet_cache_served_bytes_total', 'Bytes of blobs for clients.', servedBlobBytes),
    one('gauge', 'tartlet_cache_blobs', 'Blobs of upstreams that are here, whole and verified.', storedBlobs),
    one('gauge', 'tartlet_cache_flights', 'Blobs that are arriving just now.', flights),
    one('counter', 'tartlet_cache_evicted_blobs_total', 'Blobs that gave way to others.', evictedBlobs),
  ];
}

function one(kind: 'counter' | 'gauge', name: string, help: string, value: number): MetricFamily {
  return { kind, name, help, samples: [{ value }] };
}
