import { describe, expect, it } from 'vitest';
import { noise, sha256 } from '../server/running-registry.ts';
import { type Answered, type PolicedUpstream, startUpstream } from './policed-upstream.ts';
import { basic, requestsOf, startCache } from './running-cache.ts';

const IMAGE = 'team/macos';
const INDEX = 'application/vnd.oci.image.index.v1+json';

/** What a client of the cache hears when an upstream answers like this to GET and, with the digest, to HEAD. */
async function hears(body: string | Buffer, headers: Record<string, string> = {}, digest = sha256(body)) {
  const upstream = await startUpstream();
  upstream.policy = ({ method }): Answered => ({
    status: 200,
    headers: { 'Content-Type': INDEX, 'Docker-Content-Digest': digest, ...headers },
    ...(method === 'GET' ? { body } : {}),
  });
  const cache = await startCache([upstream.host]);
  return cache.send('GET', `/v2/${upstream.text}/${IMAGE}/manifests/latest`);
}

describe('what an upstream may not bring into a site cache (S95)', () => {
  it('a manifest that is not what its digest says', async () => {
    const { status, body } = await hears('{"a":1}', {}, sha256('{"a":2}'));
    expect(status).toBe(502);
    expect(body.toString()).toContain('refused or did not answer');
  });

  it('a manifest that is a web page, or no JSON', async () => {
    expect((await hears('<html><body>log in</body></html>', { 'Content-Type': 'text/html' })).status).toBe(502);
    expect((await hears('not JSON')).status).toBe(502);
    expect((await hears('[1,2]')).status).toBe(502);
  });

  it('a manifest that is too large', async () => {
    expect((await hears(`{"a":"${'x'.repeat(17 * 1024 * 1024)}"}`)).status).toBe(502);
  });

  it('a media type that is none', async () => {
    const own = JSON.stringify({ mediaType: INDEX, manifests: [] });
    for (const type of ['text', `a/${'b'.repeat(300)}`, 'a/b"c', '']) {
      expect((await hears(own, { 'Content-Type': type })).headers['content-type']).toBe(INDEX);
    }
  });

  it('a list of tags that does not end, or leads elsewhere', async () => {
    const upstream = await startUpstream();
    const cache = await startCache([upstream.host]);
    const next = { Link: `</v2/${IMAGE}/tags/list?last=a>; rel="next"` };
    upstream.policy = () => ({ status: 200, headers: next, body: JSON.stringify({ name: IMAGE, tags: ['a'] }) });
    expect((await cache.send('GET', `/v2/${upstream.text}/${IMAGE}/tags/list`)).status).toBe(502);
    const away = { Link: '<http://169.254.169.254/latest/>; rel="next"' };
    upstream.policy = () => ({ status: 200, headers: away, body: JSON.stringify({ name: IMAGE, tags: ['a'] }) });
    expect((await cache.send('GET', `/v2/${upstream.text}/other/tags/list`)).status).toBe(502);
  });
});

describe('where a site cache does not go (S48)', () => {
  const AWAY = ['http://169.254.169.254/latest/meta-data', 'http://10.0.0.1:1/x', 'file:///etc/passwd'];

  it.each(AWAY)('where an upstream redirects to: %s', async (location) => {
    const upstream = await startUpstream();
    upstream.policy = () => ({ status: 307, headers: { Location: location } });
    const cache = await startCache([upstream.host]);
    const manifest = await cache.send('GET', `/v2/${upstream.text}/${IMAGE}/manifests/latest`);
    expect([manifest.status, manifest.codes]).toEqual([502, ['UNKNOWN']]);
    const blob = await cache.send('GET', `/v2/${upstream.text}/${IMAGE}/blobs/${sha256('x')}`);
    expect([blob.status, blob.codes]).toEqual([502, ['UNKNOWN']]);
  });

  it('to whatever a client names, by path or by ns', async () => {
    const upstream = await startUpstream();
    const inner = await startUpstream();
    const cache = await startCache([upstream.host, '*']);
    for (const target of [
      `/v2/${inner.text}/${IMAGE}/manifests/latest`,
      `/v2/${inner.host}/${IMAGE}/manifests/latest`,
      `/v2/localhost_${inner.port}/${IMAGE}/manifests/latest`,
      `/v2/${IMAGE}/manifests/latest?ns=${inner.host}`,
      `/v2/${IMAGE}/manifests/latest?ns=localhost:${inner.port}`,
      `/v2/${IMAGE}/blobs/${sha256('x')}?ns=[::ffff:127.0.0.1]:${inner.port}`,
      `/v2/${IMAGE}/manifests/latest?ns=169.254.169.254`,
    ]) {
      const { status, codes } = await cache.send('GET', target);
      expect([target, status, codes]).toEqual([target, 403, ['DENIED']]);
    }
    expect(inner.requests).toEqual([]);
  });

  it('in a circle: a cache that is its own upstream says so at once (S94)', async () => {
    const first = await startCache({ mirrorOf: '127.0.0.1:1' });
    const second = await startCache([`127.0.0.1:${first.port}`]);
    // The first one again, now as a mirror of the second one.
    await first.cache.close();
    const { createSiteCache } = await import('../../src/mirror/site-cache.ts');
    const circle = createSiteCache({
      dataDirectory: first.directory,
      upstreams: { mirrorOf: `127.0.0.1:${second.port}` },
      listen: { port: first.port },
    });
    await circle.listen();
    const target = `/v2/127.0.0.1_${first.port}/127.0.0.1_${first.port}/${IMAGE}/manifests/latest`;
    const { status, body } = await second.send('GET', target);
    await circle.close();
    expect(status).toBe(502);
    expect(body.toString()).toContain('answered 5');
  });
});

describe('a login (S93)', () => {
  /** Every upstream sees a login or not; the bodies do not matter. */
  async function seen(upstreams: readonly PolicedUpstream[], asked: PolicedUpstream, name: string) {
    const cache = await startCache(upstreams.map(({ host }) => host));
    const challenge = { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="x"' } };
    for (const upstream of upstreams) upstream.policy = () => challenge;
    const headers = basic(name, 'secret');
    for (const what of ['manifests/latest', `blobs/${sha256('x')}`, 'tags/list', `referrers/${sha256('x')}`]) {
      expect((await cache.send('GET', `/v2/${asked.text}/${IMAGE}/${what}`, { headers })).status).toBe(401);
      expect((await cache.send('GET', `/v2/${IMAGE}/${what}?ns=${asked.host}`, { headers })).status).toBe(401);
    }
    return upstreams.map(({ requests }) => [...new Set(requests.flatMap(({ login }) => login ?? []))]);
  }

  it('reaches the upstream that its user name names, and no other', async () => {
    const [first, second] = [await startUpstream(), await startUpstream()];
    expect(await seen([first, second], first, `me@${first.text}`)).toEqual([['me:secret'], []]);
  });

  it.each(['me', 'me@', 'me@ghcr.io', '@'])('of the name %s reaches none', async (name) => {
    const [first, second] = [await startUpstream(), await startUpstream()];
    expect(await seen([first, second], first, name)).toEqual([[], []]);
    expect(await seen([first, second], second, `me@${first.text}`)).toEqual([[], []]);
  });

  it('is not sent on where the upstream redirects to', async () => {
    const [first, second] = [await startUpstream(), await startUpstream()];
    const cache = await startCache([first.host]);
    first.policy = ({ login }) =>
      login === undefined
        ? { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="x"' } }
        : { status: 307, headers: { Location: `http://127.0.0.1:${second.port}/v2/x/blobs/${sha256('x')}` } };
    const headers = basic(`me@${first.text}`, 'secret');
    await cache.send('GET', `/v2/${first.text}/${IMAGE}/blobs/${sha256('x')}`, { headers });
    expect(second.requests.length).toBeGreaterThan(0);
    expect(second.requests.filter((request) => request.headers.authorization !== undefined)).toEqual([]);
  });

  it('buys a token for its own client, and for no other', async () => {
    const upstream = await startUpstream();
    const digest = await upstream.pusher.pushImage(IMAGE, 'latest');
    upstream.policy = ({ path, login, headers }) => {
      if (path === '/token')
        return { status: 200, body: JSON.stringify({ token: login === 'me:secret' ? 'mine' : 'no' }) };
      if (headers.authorization === 'Bearer mine') return undefined;
      const realm = `http://${upstream.host}/token`;
      return { status: 401, headers: { 'WWW-Authenticate': `Bearer realm="${realm}",service="x"` } };
    };
    const cache = await startCache([upstream.host]);
    const ask = async (name: string, password: string): Promise<number> => {
      const headers = name === '' ? {} : basic(`${name}@${upstream.text}`, password);
      return (await cache.send('GET', `/v2/${upstream.text}/${IMAGE}/manifests/${digest}`, { headers })).status;
    };
    expect([
      await ask('me', 'secret'),
      await ask('', ''),
      await ask('me', 'guess'),
      await ask('you', 'secret'),
    ]).toEqual([200, 401, 401, 401]);
  });

  it('in the mirror of one registry is for that one as it is', async () => {
    const upstream = await startUpstream();
    upstream.policy = ({ login }) =>
      login === 'me:secret' ? undefined : { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="x"' } };
    const cache = await startCache({ mirrorOf: upstream.host });
    const digest = await upstream.pusher.pushImage(IMAGE, 'latest');
    const headers = basic('me', 'secret');
    const { status, headers: told } = await cache.send('GET', `/v2/${IMAGE}/manifests/latest`, { headers });
    expect([status, told['docker-content-digest']]).toEqual([200, digest]);
    expect((await cache.send('GET', '/v2/')).status).toBe(200);
    expect((await cache.send('GET', '/v2/', { headers })).status).toBe(200);
    expect((await cache.send('GET', '/v2/', { headers: basic('me', 'wrong') })).status).toBe(401);
  });

  it('is tried where a client logs in, and a wrong one is not tried without end', async () => {
    const upstream = await startUpstream();
    const challenge = { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="x"' } };
    upstream.policy = ({ login }) => (login === 'me:secret' ? undefined : challenge);
    const cache = await startCache([upstream.host]);
    expect((await cache.send('GET', '/v2/')).headers['www-authenticate']).toBe('Basic realm="site cache"');
    const at = `me@${upstream.text}`;
    expect((await cache.send('GET', '/v2/', { headers: basic(at, 'secret') })).status).toBe(200);
    const { status, body } = await cache.send('GET', '/v2/', { headers: basic('me', 'secret') });
    expect([status, body.toString()]).toMatchObject([403, expect.stringContaining('as in NAME@ghcr.io')]);
    const guesses = [];
    for (let guess = 0; guess < 25; guess += 1) {
      guesses.push((await cache.send('GET', '/v2/', { headers: basic(at, `guess ${guess}`) })).status);
    }
    expect(guesses).toEqual([...Array(20).fill(401), ...Array(5).fill(429)]);
  });

  it('is not locked out by an upstream that did not answer', async () => {
    const upstream = await startUpstream();
    const cache = await startCache([upstream.host]);
    const headers = basic(`me@${upstream.text}`, 'secret');
    upstream.policy = () => 'drop';
    for (let attempt = 0; attempt < 21; attempt += 1) {
      expect((await cache.send('GET', '/v2/', { headers })).status).toBe(502);
    }
    upstream.policy = () => undefined;
    expect((await cache.send('GET', '/v2/', { headers })).status).toBe(200);
  });
});

describe('what is no reading', () => {
  it('is refused, with the reason and before a body is sent', async () => {
    const upstream = await startUpstream();
    const digest = await upstream.pusher.pushImage(IMAGE, 'latest');
    const cache = await startCache([upstream.host]);
    const name = `/v2/${upstream.text}/${IMAGE}`;
    const asked = [
      await cache.send('POST', `${name}/blobs/uploads/`),
      await cache.send('POST', `${name}/blobs/uploads/?digest=${sha256('x')}`, { body: noise(100_000) }),
      await cache.send('PUT', `${name}/manifests/latest`, { body: '{}' }),
      await cache.send('DELETE', `${name}/manifests/${digest}`),
      await cache.send('DELETE', `${name}/manifests/latest`),
      await cache.send('DELETE', `${name}/blobs/${sha256('x')}`),
      await cache.send('GET', '/v2/_catalog'),
    ];
    expect(asked.map(({ status, codes }) => `${status} ${codes.join()}`)).toEqual(
      Array.from({ length: 7 }, () => '405 UNSUPPORTED'),
    );
    expect(asked[0]?.body.toString()).toContain('this is a cache, which only reads: push to the registry itself');
    expect(requestsOf(cache.events)).toHaveLength(7);
    expect(upstream.requests).toEqual([]);
  });
});
