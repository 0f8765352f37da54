import { createHash } from 'node:crypto';
import http from 'node:http';
import { describe, expect, it } from 'vitest';
import { eventually, noise, sha256, startRegistry } from '../running-registry.ts';

const REPOSITORY = 'team/macos';
const EMPTY = sha256('');

describe('pushing a blob', () => {
  it('opens an upload and takes the whole blob in one PUT', async () => {
    const { send, begin } = await startRegistry();
    const content = noise(300_000);
    const location = await begin(REPOSITORY);
    expect(location).toMatch(/^\/v2\/team\/macos\/blobs\/uploads\/[0-9a-f]{32}$/);
    const { status, headers } = await send('PUT', `${location}?digest=${sha256(content)}`, { body: content });
    expect(status).toBe(201);
    expect(headers.location).toBe(`/v2/team/macos/blobs/${sha256(content)}`);
    expect(headers['docker-content-digest']).toBe(sha256(content));
    expect(headers['docker-distribution-api-version']).toBe('registry/2.0');
    const pulled = await send('GET', headers.location ?? '');
    expect(pulled.body.equals(content)).toBe(true);
  });

  it('takes it in a single POST', async () => {
    const { send, staged } = await startRegistry();
    const target = `/v2/${REPOSITORY}/blobs/uploads/?digest=${sha256('one')}`;
    const { status, headers } = await send('POST', target, { body: 'one' });
    expect([status, headers.location]).toEqual([201, `/v2/team/macos/blobs/${sha256('one')}`]);
    expect(staged()).toEqual([]);
  });

  it('takes chunks in order, the last one in the PUT', async () => {
    const { send, begin } = await startRegistry();
    const location = await begin(REPOSITORY);
    const first = await send('PATCH', location, { headers: { 'Content-Range': '0-3' }, body: 'abcd' });
    expect([first.status, first.headers.range, first.headers.location]).toEqual([202, '0-3', location]);
    const second = await send('PATCH', location, { headers: { 'Content-Range': 'bytes 4-5/*' }, body: 'ef' });
    expect(second.headers.range).toBe('0-5');
    const status = await send('GET', location);
    expect([status.status, status.headers.range]).toEqual([204, '0-5']);
    const last = await send('PUT', `${location}?digest=${sha256('abcdefgh')}`, {
      headers: { 'Content-Range': '6-7' },
      body: 'gh',
    });
    expect(last.status).toBe(201);
  });

  it.each([
    ['a gap', '5-8', 416, '0-3'],
    ['a repetition', '0-3', 416, '0-3'],
    ['nonsense', 'all of it', 416, '0-3'],
    ['an end before the start', '4-2', 416, '0-3'],
  ])('answers %s with where the upload really is', async (_, range, status, reached) => {
    const { send, begin } = await startRegistry();
    const location = await begin(REPOSITORY);
    await send('PATCH', location, { headers: { 'Content-Range': '0-3' }, body: 'abcd' });
    const refused = await send('PATCH', location, { headers: { 'Content-Range': range }, body: 'efgh' });
    expect([refused.status, refused.headers.range, refused.headers.location]).toEqual([status, reached, location]);
    // Nothing of the refused chunk got in.
    const finished = await send('PUT', `${location}?digest=${sha256('abcdefgh')}`, { body: 'efgh' });
    expect(finished.status).toBe(201);
  });

  it('refuses a chunk whose range and length disagree', async () => {
    const { send, begin } = await startRegistry();
    const refused = await send('PATCH', await begin(REPOSITORY), { headers: { 'Content-Range': '0-9' }, body: 'abcd' });
    expect([refused.status, refused.codes]).toEqual([400, ['SIZE_INVALID']]);
  });

  it('takes a stream without length or range', async () => {
    const { send, begin } = await startRegistry();
    const location = await begin(REPOSITORY);
    const content = noise(700_001);
    const headers = { 'Transfer-Encoding': 'chunked' };
    expect((await send('PATCH', location, { headers, body: content })).headers.range).toBe('0-700000');
    expect((await send('PUT', `${location}?digest=${sha256(content)}`)).status).toBe(201);
  });

  it('takes an empty blob, and digests of sha512 that were not announced', async () => {
    const { send, begin, pushBlob } = await startRegistry();
    expect(await pushBlob(REPOSITORY, '')).toBe(EMPTY);
    const content = noise(600_000);
    const digest = `sha512:${createHash('sha512').update(content).digest('hex')}`;
    const location = await begin(REPOSITORY);
    await send('PATCH', location, { body: content });
    expect((await send('PUT', `${location}?digest=${digest}`)).status).toBe(201);
    const pulled = await send('GET', `/v2/${REPOSITORY}/blobs/${digest}`);
    expect(pulled.body.equals(content)).toBe(true);
  });

  it('forgets a cancelled upload', async () => {
    const { send, begin, staged } = await startRegistry();
    const location = await begin(REPOSITORY);
    await send('PATCH', location, { body: 'abcd' });
    expect(staged()).toHaveLength(1);
    expect((await send('DELETE', location)).status).toBe(204);
    expect(staged()).toEqual([]);
    expect((await send('GET', location)).codes).toEqual(['BLOB_UPLOAD_UNKNOWN']);
  });

  it('opens an upload to its own repository only, and its id is not in the log (S42)', async () => {
    const { send, begin, events } = await startRegistry();
    const location = await begin(REPOSITORY);
    const elsewhere = location.replace('team/macos', 'team/linux');
    expect((await send('PATCH', elsewhere, { body: 'x' })).status).toBe(404);
    expect((await send('PATCH', location, { body: 'x' })).status).toBe(202);
    await eventually('it is logged', () => events.filter((event) => event.kind === 'request').length === 3);
    expect(JSON.stringify(events)).not.toContain(location.split('/').at(-1));
  });

  it('keeps one copy of a blob that several clients push at once (S43)', async () => {
    const { send, pushBlob, staged } = await startRegistry();
    const content = noise(500_000);
    await Promise.all(Array.from({ length: 8 }, async (_, at) => pushBlob(`team/r${at % 2}`, content)));
    expect(staged()).toEqual([]);
    for (const repository of ['team/r0', 'team/r1']) {
      const pulled = await send('GET', `/v2/${repository}/blobs/${sha256(content)}`);
      expect(pulled.body.equals(content)).toBe(true);
    }
  });

  it('asks a client that waits for 100 Continue only after the checks', async () => {
    const { port, begin, send } = await startRegistry({ limits: { blobBytes: 10, stagingBytes: 10 } });
    const heard = async (target: string, body: string): Promise<{ continued: boolean; status: number }> =>
      new Promise((resolve, reject) => {
        let continued = false;
        const headers = { Expect: '100-continue', 'Content-Length': body.length };
        const request = http.request({ host: '127.0.0.1', port, method: 'PUT', path: target, headers }, (response) => {
          response.resume();
          resolve({ continued, status: response.statusCode ?? 0 });
          request.destroy();
        });
        request.on('error', reject);
        request.once('continue', () => {
          continued = true;
          request.end(body);
        });
        request.flushHeaders();
      });
    const location = await begin(REPOSITORY);
    expect(await heard(`${location}?digest=${sha256('abc')}`, 'abc')).toEqual({ continued: true, status: 201 });
    const other = await begin(REPOSITORY);
    expect(await heard(`${other}?digest=${sha256('x'.repeat(11))}`, 'x'.repeat(11))).toEqual({
      continued: false,
      status: 413,
    });
    expect((await send('GET', `/v2/${REPOSITORY}/blobs/${sha256('abc')}`)).body.toString()).toBe('abc');
  });

  it('goes on where a client hung up', async () => {
    const { port, send, begin } = await startRegistry();
    const location = await begin(REPOSITORY);
    const content = noise(400_000);
    const headers = { 'Content-Length': content.length };
    const request = http.request({ host: '127.0.0.1', port, method: 'PATCH', path: location, headers });
    request.on('error', () => undefined);
    request.write(content.subarray(0, 150_000));
    const reached = async (): Promise<number> => Number((await send('GET', location)).headers.range?.split('-')[1]) + 1;
    await eventually('the first part is stored', async () => (await reached()) === 150_000);
    request.destroy();
    const rest = { headers: { 'Content-Range': `150000-${content.length - 1}` }, body: content.subarray(150_000) };
    await eventually('the rest is taken', async () => (await send('PATCH', location, rest)).status === 202);
    expect((await send('PUT', `${location}?digest=${sha256(content)}`)).status).toBe(201);
  });

  it('lets the same client take over from a connection that it lost and we did not', async () => {
    const { port, send, begin } = await startRegistry();
    const location = await begin(REPOSITORY);
    const stuck = http.request({
      host: '127.0.0.1',
      port,
      method: 'PATCH',
      path: location,
      headers: { 'Content-Length': 9 },
    });
    const broken = new Promise((resolve) => stuck.once('error', resolve));
    stuck.write('abcd');
    await eventually('the first part is stored', async () => (await send('GET', location)).headers.range === '0-3');
    const rest = await send('PUT', `${location}?digest=${sha256('abcdefgh')}`, {
      headers: { 'Content-Range': '4-7' },
      body: 'efgh',
    });
    expect(rest.status).toBe(201);
    expect(await broken).toBeInstanceOf(Error);
  });
});

describe('a wrong digest (S43)', () => {
  const wrong = sha256('something else');

  it.each(['single POST', 'PUT', 'chunks', 'last chunk in the PUT'])(
    'is refused by %s and leaves nothing',
    async (way) => {
      const { send, begin, staged } = await startRegistry();
      const body = 'what was sent';
      const finish = async (): Promise<{ status: number; codes: readonly string[] }> => {
        if (way === 'single POST') return send('POST', `/v2/${REPOSITORY}/blobs/uploads/?digest=${wrong}`, { body });
        const location = await begin(REPOSITORY);
        if (way === 'PUT') return send('PUT', `${location}?digest=${wrong}`, { body });
        await send('PATCH', location, { headers: { 'Content-Range': '0-12' }, body });
        return send('PUT', `${location}?digest=${wrong}`, way === 'chunks' ? {} : { body: 'more' });
      };
      const { status, codes } = await finish();
      expect([status, codes]).toEqual([400, ['DIGEST_INVALID']]);
      expect(staged()).toEqual([]);
      for (const digest of [wrong, sha256(body)]) {
        expect((await send('HEAD', `/v2/${REPOSITORY}/blobs/${digest}`)).status).toBe(404);
      }
    },
  );

  it.each(['', 'digest=', 'digest=sha256:xyz', 'digest=md5:0123'])('is refused when malformed: "%s"', async (query) => {
    const { send, begin } = await startRegistry();
    const { status, codes } = await send('PUT', `${await begin(REPOSITORY)}?${query}`, { body: 'x' });
    expect([status, codes]).toEqual([400, ['DIGEST_INVALID']]);
  });
});
