import { describe, expect, it } from 'vitest';
import type { SiteCacheOptions } from '../../src/mirror/site-cache.ts';
import { noise, sha256 } from '../server/running-registry.ts';
import { type PolicedUpstream, startUpstream } from './policed-upstream.ts';
import { type RunningCache, startCache } from './running-cache.ts';

const IMAGE = 'team/macos';
const BLOB = noise(200_000, 3);
const HOUR = 3_600_000;

interface Site {
  readonly upstream: PolicedUpstream;
  readonly cache: RunningCache;
  readonly digest: string;
  get(what: string): ReturnType<RunningCache['send']>;
  wait(milliseconds: number): void;
}

/** An image that was pulled once, by a clock that stands still unless it is told to go on. */
async function pulled(options: Partial<SiteCacheOptions> = {}): Promise<Site> {
  let now = Date.now();
  const upstream = await startUpstream();
  const digest = await upstream.pusher.pushImage(IMAGE, 'latest');
  await upstream.pusher.pushBlob(IMAGE, BLOB);
  const cache = await startCache([upstream.host], { now: () => now, ...options });
  const get: Site['get'] = async (what) => cache.send('GET', `/v2/${upstream.text}/${IMAGE}/${what}`);
  expect((await get('manifests/latest')).status).toBe(200);
  expect((await get(`blobs/${sha256(BLOB)}`)).status).toBe(200);
  upstream.requests.length = 0;
  return {
    upstream,
    cache,
    digest,
    get,
    wait: (milliseconds) => {
      now += milliseconds;
    },
  };
}

describe('tags in a site cache', () => {
  it('are believed for a minute, then asked for by HEAD, and fetched only when they have moved', async () => {
    const { upstream, get, wait } = await pulled();
    await get('manifests/latest');
    expect(upstream.said()).toEqual([]);
    wait(61_000);
    await get('manifests/latest');
    expect(upstream.said()).toEqual([`HEAD /v2/${IMAGE}/manifests/latest`]);
    upstream.requests.length = 0;
    const moved = await upstream.pusher.pushImage(IMAGE, 'latest', { annotations: { moved: 'yes' } });
    wait(61_000);
    const { headers } = await get('manifests/latest');
    expect([headers['docker-content-digest'], headers.warning]).toEqual([moved, undefined]);
    expect(upstream.said()).toEqual([`HEAD /v2/${IMAGE}/manifests/latest`, `GET /v2/${IMAGE}/manifests/${moved}`]);
  });

  it('cost one question and one manifest, however many clients ask at once', async () => {
    const upstream = await startUpstream();
    const digest = await upstream.pusher.pushImage(IMAGE, 'latest');
    const cache = await startCache([upstream.host]);
    const target = `/v2/${upstream.text}/${IMAGE}/manifests/latest`;
    const answers = await Promise.all(Array.from({ length: 20 }, async () => cache.send('GET', target)));
    expect(answers.map(({ body }) => sha256(body))).toEqual(Array.from({ length: 20 }, () => digest));
    expect(upstream.said()).toEqual([`HEAD /v2/${IMAGE}/manifests/latest`, `GET /v2/${IMAGE}/manifests/${digest}`]);
  });

  it('that are gone upstream are gone here, and come back with it', async () => {
    const { upstream, get, wait } = await pulled();
    upstream.policy = () => ({ status: 404 });
    wait(61_000);
    expect((await get('manifests/latest')).status).toBe(404);
    upstream.policy = () => 'drop';
    expect((await get('manifests/latest')).status).toBe(502);
    upstream.policy = () => undefined;
    expect((await get('manifests/latest')).status).toBe(200);
  });
});

describe('when its upstream does not answer, a site cache (N68)', () => {
  it.each([
    ['is away', () => 'drop' as const],
    ['fails', () => ({ status: 503 })],
    ['says 500', () => ({ status: 500 })],
    ['wants to be left alone', () => ({ status: 429, headers: { 'Retry-After': '3600' } })],
  ])('that %s, gives tags with a warning within a day, and then says why not', async (_, policy) => {
    const { upstream, get, wait, digest } = await pulled();
    upstream.policy = policy;
    wait(2 * HOUR);
    const old = await get('manifests/latest');
    expect([old.status, old.headers['docker-content-digest']]).toEqual([200, digest]);
    expect(old.headers.warning).toBe(
      `110 - "Response is Stale", 111 - "Revalidation Failed: ${upstream.host} did not answer"`,
    );
    expect((await get(`blobs/${sha256(BLOB)}`)).body.equals(BLOB)).toBe(true);
    wait(23 * HOUR);
    const late = await get('manifests/latest');
    expect([429, 502]).toContain(late.status);
    expect(late.body.toString()).toContain(`${upstream.host} refused or did not answer`);
  });

  it('gives a digest without a warning, also after it was started again', async () => {
    const { upstream, cache, digest } = await pulled();
    await cache.cache.close();
    upstream.policy = () => 'drop';
    const again = await startCache([upstream.host], { dataDirectory: cache.directory });
    const manifest = await again.send('GET', `/v2/${upstream.text}/${IMAGE}/manifests/${digest}`);
    expect([manifest.status, sha256(manifest.body), manifest.headers.warning]).toEqual([200, digest, undefined]);
    const blob = await again.send('GET', `/v2/${upstream.text}/${IMAGE}/blobs/${sha256(BLOB)}`);
    expect([blob.status, blob.body.equals(BLOB)]).toEqual([200, true]);
  });

  it('passes on how long to wait, and other refusals as they are', async () => {
    const upstream = await startUpstream();
    const cache = await startCache([upstream.host]);
    const target = `/v2/${upstream.text}/${IMAGE}/manifests/latest`;
    upstream.policy = () => ({ status: 429, headers: { 'Retry-After': '120' } });
    const limited = await cache.send('GET', target);
    expect([limited.status, limited.headers['retry-after'], limited.codes]).toEqual([429, '120', ['TOOMANYREQUESTS']]);
    const statuses: Record<number, number> = {};
    for (const status of [401, 403, 404, 500, 418]) {
      upstream.policy = () => ({ status });
      // Each by a name of its own: a no is remembered for a moment.
      statuses[status] = (await cache.send('GET', `/v2/${upstream.text}/a${status}/manifests/latest`)).status;
    }
    expect(statuses).toEqual({ 401: 401, 403: 403, 404: 404, 500: 502, 418: 502 });
  });

  it('logs which upstream and why', async () => {
    const { upstream, cache, get, wait } = await pulled();
    upstream.policy = () => ({ status: 500 });
    wait(2 * HOUR);
    await get('manifests/latest');
    const failed = cache.events.filter((event) => event.kind === 'upstream-failed');
    expect(failed).toMatchObject([{ upstream: upstream.host, what: IMAGE }]);
    expect(cache.cache.facts().repositories).toMatchObject([
      { upstream: upstream.host, repository: IMAGE, isPublic: true, stale: 2, failures: 1, misses: 2 },
    ]);
  });
});
