import { describe, expect, it } from 'vitest';
import { noise, sha256, startRegistry } from '../server/running-registry.ts';
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
});
