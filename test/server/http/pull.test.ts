import http from 'node:http';
import { describe, expect, it } from 'vitest';
import { noise, sha256, startRegistry } from '../running-registry.ts';

const REPOSITORY = 'team/macos';
const CONTENT = noise(1_000_000);
const SIZE = CONTENT.length;

describe('pulling a blob', () => {
  it.each([
    ['bytes=0-0', 0, 1],
    ['bytes=500-1499', 500, 1500],
    ['bytes=999000-', 999_000, SIZE],
    ['bytes=-500', SIZE - 500, SIZE],
    ['bytes=-5000000', 0, SIZE],
    ['bytes=999999-5000000', SIZE - 1, SIZE],
    ['bytes=300000-800000', 300_000, 800_001],
  ])('answers %s with that part', async (range, start, end) => {
    const { send, pushBlob } = await startRegistry();
    const digest = await pushBlob(REPOSITORY, CONTENT);
    const { status, headers, body } = await send('GET', `/v2/${REPOSITORY}/blobs/${digest}`, {
      headers: { Range: range },
    });
    expect(status).toBe(206);
    expect(headers['content-range']).toBe(`bytes ${start}-${end - 1}/${SIZE}`);
    expect(headers['content-length']).toBe(String(end - start));
    expect(body.equals(CONTENT.subarray(start, end))).toBe(true);
  });

  it.each(['bytes=1000000-', 'bytes=1000000-2000000', 'bytes=9-3', 'bytes=-0'])(
    'answers %s with 416 and the size',
    async (range) => {
      const { send, pushBlob } = await startRegistry();
      const digest = await pushBlob(REPOSITORY, CONTENT);
      const { status, headers } = await send('GET', `/v2/${REPOSITORY}/blobs/${digest}`, { headers: { Range: range } });
      expect([status, headers['content-range']]).toEqual([416, `bytes */${SIZE}`]);
    },
  );

  it.each(['bytes=0-1,5-6', `bytes=${'0-0,'.repeat(1000)}1-1`, 'bytes=', 'bytes=-', 'lines=1-2', 'bytes=a-b'])(
    'answers %s with the whole blob',
    async (range) => {
      const { send, pushBlob } = await startRegistry();
      const digest = await pushBlob(REPOSITORY, 'the whole blob');
      const { status, body } = await send('GET', `/v2/${REPOSITORY}/blobs/${digest}`, { headers: { Range: range } });
      expect([status, body.toString()]).toEqual([200, 'the whole blob']);
    },
  );

  it('answers a range of something else with the whole blob', async () => {
    const { send, pushBlob } = await startRegistry();
    const digest = await pushBlob(REPOSITORY, 'the whole blob');
    const target = `/v2/${REPOSITORY}/blobs/${digest}`;
    const asked = async (condition: string): Promise<number> =>
      (await send('GET', target, { headers: { Range: 'bytes=0-2', 'If-Range': condition } })).status;
    expect(await asked('"sha256:other"')).toBe(200);
    expect(await asked((await send('HEAD', target)).headers.etag ?? '')).toBe(206);
  });

  it('tells size and digest to HEAD, and that there are ranges', async () => {
    const { send, pushBlob } = await startRegistry();
    const digest = await pushBlob(REPOSITORY, CONTENT);
    const { status, headers, body } = await send('HEAD', `/v2/${REPOSITORY}/blobs/${digest}`);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-length': String(SIZE),
      'docker-content-digest': digest,
      'accept-ranges': 'bytes',
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
    });
    expect(body).toHaveLength(0);
  });

  it('takes the colon of a digest also as an escape', async () => {
    const { send, pushBlob } = await startRegistry();
    const digest = await pushBlob(REPOSITORY, 'x');
    expect((await send('GET', `/v2/${REPOSITORY}/blobs/${digest.replace(':', '%3A')}`)).status).toBe(200);
  });

  it('shows a blob only in repositories that have it (S44)', async () => {
    const { send, pushBlob } = await startRegistry();
    const digest = await pushBlob(REPOSITORY, 'private');
    await pushBlob('team/other', 'something');
    for (const method of ['HEAD', 'GET', 'DELETE']) {
      expect((await send(method, `/v2/team/other/blobs/${digest}`)).status).toBe(404);
    }
    const { codes } = await send('GET', `/v2/team/other/blobs/${digest}`, { headers: { Range: 'bytes=0-1' } });
    expect(codes).toEqual(['BLOB_UNKNOWN']);
  });

  it('sends a deleted blob to its end to a client that had begun (S52)', async () => {
    const { port, registry, send, pushBlob } = await startRegistry();
    const large = noise(16 * 1024 * 1024);
    const digest = await pushBlob(REPOSITORY, large);
    const target = `/v2/${REPOSITORY}/blobs/${digest}`;
    const response = await new Promise<http.IncomingMessage>((resolve) => {
      http.get({ host: '127.0.0.1', port, path: target }, resolve);
    });
    expect((await send('DELETE', target)).status).toBe(202);
    expect((await registry.collectGarbage(0)).blobs).toBe(1);
    const pieces: Buffer[] = [];
    for await (const piece of response) pieces.push(piece as Buffer);
    expect(sha256(Buffer.concat(pieces))).toBe(digest);
    expect((await send('GET', target)).status).toBe(404);
  });
});
