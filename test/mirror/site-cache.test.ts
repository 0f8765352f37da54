import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sweepRecords } from '../../src/mirror/sweep.ts';
import { DataDirectory } from '../../src/server/store/data-directory.ts';
import { noise, OCI_MANIFEST, sha256, startRegistry } from '../server/running-registry.ts';
import { requestsOf, startCache } from './running-cache.ts';

const IMAGE = 'team/macos';

describe('pulling through a site cache', () => {
  it('gives manifests and blobs byte for byte, and the second time from the disk', async () => {
    const upstream = await startRegistry();
    const digest = await upstream.pushImage(IMAGE, 'latest');
    const blob = noise(300_000);
    await upstream.pushBlob(IMAGE, blob);
    const cache = await startCache([`127.0.0.1:${upstream.port}`]);
    const name = `127.0.0.1_${upstream.port}/${IMAGE}`;
    upstream.events.length = 0;
    for (let turn = 0; turn < 2; turn += 1) {
      const manifest = await cache.send('GET', `/v2/${name}/manifests/latest`);
      expect([manifest.status, manifest.headers['docker-content-digest']]).toEqual([200, digest]);
      expect(sha256(manifest.body)).toBe(digest);
      const got = await cache.send('GET', `/v2/${name}/blobs/${sha256(blob)}`);
      expect([got.status, got.body.equals(blob)]).toEqual([200, true]);
      const part = await cache.send('GET', `/v2/${name}/blobs/${sha256(blob)}`, { headers: { Range: 'bytes=7-9' } });
      expect([part.status, part.body.equals(blob.subarray(7, 10))]).toEqual([206, true]);
    }
    expect(requestsOf(upstream.events)).toEqual([
      `HEAD /v2/${IMAGE}/manifests/latest`,
      `GET /v2/${IMAGE}/manifests/${digest}`,
      `HEAD /v2/${IMAGE}/blobs/${sha256(blob)}`,
      `GET /v2/${IMAGE}/blobs/${sha256(blob)}`,
    ]);
  });

  it('is asked by path, by ns with the same content, and as the mirror of one registry', async () => {
    const upstream = await startRegistry();
    const digest = await upstream.pushImage(IMAGE, 'latest');
    const host = `127.0.0.1:${upstream.port}`;
    const cache = await startCache([host]);
    const mirror = await startCache({ mirrorOf: host });
    const answers = [
      await cache.send('GET', `/v2/${host}/${IMAGE}/manifests/latest`),
      await cache.send('GET', `/v2/${host.replace(':', '%3A')}/${IMAGE}/manifests/${digest}`),
      await cache.send('HEAD', `/v2/${IMAGE}/manifests/latest?ns=${host}`),
      await mirror.send('GET', `/v2/${IMAGE}/manifests/latest`),
      await mirror.send('GET', `/v2/${IMAGE}/manifests/latest?ns=${host}`),
    ];
    expect(answers.map(({ status, headers }) => [status, headers['docker-content-digest']])).toEqual(
      Array.from({ length: 5 }, () => [200, digest]),
    );
  });

  it('passes on lists of tags in pages, and what refers to a manifest', async () => {
    const upstream = await startRegistry();
    const digest = await upstream.pushImage(IMAGE, 'c');
    for (const tag of ['a', 'b']) await upstream.pushImage(IMAGE, tag);
    const subject = { mediaType: OCI_MANIFEST, digest, size: 1 };
    const referrer = await upstream.pushImage(IMAGE, undefined, { subject, artifactType: 'text/x-note' });
    const cache = await startCache([`127.0.0.1:${upstream.port}`]);
    const name = `127.0.0.1_${upstream.port}/${IMAGE}`;
    const page = await cache.send('GET', `/v2/${name}/tags/list?n=2`);
    expect(JSON.parse(page.body.toString())).toEqual({ name, tags: ['a', 'b'] });
    expect(page.headers['link']).toBe(`</v2/${name}/tags/list?n=2&last=b>; rel="next"`);
    const rest = await cache.send('GET', `/v2/${name}/tags/list?n=2&last=b`);
    expect(JSON.parse(rest.body.toString())).toEqual({ name, tags: ['c'] });
    const list = await cache.send('GET', `/v2/${name}/referrers/${digest}`);
    expect(JSON.parse(list.body.toString())).toMatchObject({ manifests: [{ digest: referrer }] });
    const none = await cache.send('GET', `/v2/${name}/referrers/${sha256('none')}`);
    expect(JSON.parse(none.body.toString())).toMatchObject({ manifests: [] });
    expect((await cache.send('GET', `/v2/${name}x/tags/list`)).status).toBe(404);
  });

  it('fetches a blob that two registries have once from each, and not again after a restart', async () => {
    const [first, second] = [await startRegistry(), await startRegistry()];
    const blob = noise(100_000);
    const [one, other] = [first, second].map(({ port }) => `127.0.0.1:${port}`);
    for (const registry of [first, second]) await registry.pushBlob(IMAGE, blob);
    const target = `/v2/${IMAGE}/blobs/${sha256(blob)}`;
    const hosts = [one ?? '', other ?? ''];
    const cache = await startCache(hosts);
    for (const ns of [...hosts, ...hosts]) {
      expect((await cache.send('GET', `${target}?ns=${ns}`)).body.equals(blob)).toBe(true);
    }
    await cache.cache.close();
    const again = await startCache(hosts, { dataDirectory: cache.directory });
    for (const ns of hosts) expect((await again.send('GET', `${target}?ns=${ns}`)).body.equals(blob)).toBe(true);
    const gets = [first, second].map(({ events }) => requestsOf(events).filter((each) => each === `GET ${target}`));
    expect(gets.map(({ length }) => length)).toEqual([1, 1]);
  });

  it('answers HEAD of a blob without fetching it', async () => {
    const upstream = await startRegistry();
    const blob = noise(100_000);
    await upstream.pushBlob(IMAGE, blob);
    const cache = await startCache({ mirrorOf: `127.0.0.1:${upstream.port}` });
    const { status, headers } = await cache.send('HEAD', `/v2/${IMAGE}/blobs/${sha256(blob)}`);
    expect([status, headers['content-length']]).toEqual([200, '100000']);
    const empty = sha256('');
    expect((await cache.send('GET', `/v2/${IMAGE}/blobs/${empty}`)).status).toBe(404);
    await upstream.pushBlob(IMAGE, '');
    expect((await cache.send('GET', `/v2/${IMAGE}/blobs/${empty}`)).headers['content-length']).toBe('0');
    expect(requestsOf(upstream.events)).not.toContain(`GET /v2/${IMAGE}/blobs/${sha256(blob)}`);
  });

  it('keeps the records of upstreams within bounds, and asks again for what had to go', async () => {
    const upstream = await startRegistry();
    const cache = await startCache({ mirrorOf: `127.0.0.1:${upstream.port}` });
    for (let each = 0; each < 20; each += 1) {
      await upstream.pushImage(`${IMAGE}${each}`, 'latest');
      expect((await cache.send('GET', `/v2/${IMAGE}${each}/manifests/latest`)).status).toBe(200);
    }
    const directory = new DataDirectory(cache.directory);
    const files = (): number => readdirSync(directory.repositories, { recursive: true }).length;
    const before = files();
    await sweepRecords(directory, Date.now(), { bytes: 1_000_000, files: 40 });
    expect(files()).toBeLessThan(before);
    for (let each = 0; each < 20; each += 1) {
      expect((await cache.send('GET', `/v2/${IMAGE}${each}/manifests/latest`)).status).toBe(200);
    }
  });
});
