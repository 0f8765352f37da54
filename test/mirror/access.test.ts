import { describe, expect, it } from 'vitest';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { createSiteCache, type SiteCacheOptions } from '../../src/mirror/site-cache.ts';
import { noise, sha256 } from '../server/running-registry.ts';
import { onlyFor, type PolicedUpstream, startUpstream } from './policed-upstream.ts';
import { basic, type RunningCache, startCache } from './running-cache.ts';

const PRIVATE = 'team/secret';
const OTHER = 'team/other';
const PUBLIC = 'team/open';
const PASSWORD = 'correct-horse-battery';
const BLOB = noise(50_000, 7);

interface Site {
  readonly upstream: PolicedUpstream;
  readonly cache: RunningCache;
  readonly digest: string;
  /** Status of a manifest, by tag. */
  tag(repository: string, login?: { readonly authorization: string }): Promise<number>;
  /** Status of the blob. */
  blob(repository: string, login?: { readonly authorization: string }): Promise<number>;
}

/** A private repository with a manifest and a blob, which `alice` may read. */
async function start(options: Partial<SiteCacheOptions> = {}): Promise<Site> {
  const upstream = await startUpstream();
  const digest = await upstream.pusher.pushImage(PRIVATE, 'latest');
  await upstream.pusher.pushBlob(PRIVATE, BLOB);
  await upstream.pusher.pushImage(PUBLIC, 'latest');
  upstream.policy = onlyFor({
    [PRIVATE]: [`alice:${PASSWORD}`],
    [OTHER]: [`bob:${PASSWORD}`],
    [PUBLIC]: ['anybody', `alice:${PASSWORD}`],
  });
  const cache = await startCache([upstream.host], options);
  const ask = async (what: string, login: object = {}): Promise<number> =>
    (await cache.send('GET', `/v2/${upstream.text}/${what}`, { headers: { ...login } })).status;
  return {
    upstream,
    cache,
    digest,
    tag: async (repository, login) => ask(`${repository}/manifests/latest`, login),
    blob: async (repository, login) => ask(`${repository}/blobs/${sha256(BLOB)}`, login),
  };
}

const login = ({ upstream }: Site, name: string, password = PASSWORD) => basic(`${name}@${upstream.text}`, password);

function isList(address: string): boolean {
  return /\/(?:tags\/list|referrers\/[^/]+)$/.test(address);
}

describe('who may read what from a site cache (S49)', () => {
  it('1: what the upstream gives to everybody needs no login', async () => {
    const site = await start();
    expect(await site.tag(PUBLIC)).toBe(200);
    expect(await site.tag(PUBLIC, basic('', ''))).toBe(200);
  });

  it('2: what is cached of a private repository is not given without a login', async () => {
    const site = await start();
    expect([await site.tag(PRIVATE, login(site, 'alice')), await site.blob(PRIVATE, login(site, 'alice'))]).toEqual([
      200, 200,
    ]);
    expect([await site.tag(PRIVATE), await site.blob(PRIVATE)]).toEqual([401, 401]);
    const byDigest = await site.cache.send('GET', `/v2/${site.upstream.text}/${PRIVATE}/manifests/${site.digest}`);
    expect([byDigest.status, byDigest.headers['www-authenticate']]).toEqual([401, 'Basic realm="site cache"']);
    expect(byDigest.body.toString()).toContain(`a user name that ends with @${site.upstream.text}`);
  });

  it('3: nor to a login that the upstream knows and lets read something else', async () => {
    const site = await start();
    expect([await site.tag(PRIVATE, login(site, 'alice')), await site.blob(PRIVATE, login(site, 'alice'))]).toEqual([
      200, 200,
    ]);
    const got = [await site.tag(PRIVATE, login(site, 'bob')), await site.blob(PRIVATE, login(site, 'bob'))];
    expect(got).toEqual([403, 403]);
  });

  it('4: nor for the right name with another password', async () => {
    const site = await start();
    expect(await site.tag(PRIVATE, login(site, 'alice'))).toBe(200);
    expect(await site.tag(PRIVATE, login(site, 'alice', 'guessed'))).toBe(401);
    expect(await site.blob(PRIVATE, login(site, 'alice', 'guessed'))).toBe(401);
  });

  it('5: a blob of a private repository is not given by way of a public one', async () => {
    const site = await start();
    expect(await site.blob(PRIVATE, login(site, 'alice'))).toBe(200);
    expect(await site.blob(PUBLIC)).toBe(404);
  });

  it('6: nor by way of another upstream that only says that it has the blob', async () => {
    const site = await start();
    expect(await site.blob(PRIVATE, login(site, 'alice'))).toBe(200);
    const liar = await startUpstream();
    liar.policy = ({ method }) => ({
      status: 200,
      headers: { 'Content-Length': BLOB.length },
      ...(method === 'GET' ? { body: Buffer.alloc(BLOB.length, 'x') } : {}),
    });
    const both = await startCache([site.upstream.host, liar.host], { dataDirectory: `${site.cache.directory}/both` });
    const target = `/v2/${PRIVATE}/blobs/${sha256(BLOB)}`;
    const owner = { headers: { ...login(site, 'alice') } };
    expect((await both.send('GET', `${target}?ns=${site.upstream.host}`, owner)).status).toBe(200);
    // Broken off, or refused, as soon as the lie is noticed.
    const lied = both.send('GET', `${target}?ns=${liar.host}`).then(
      ({ status }) => status,
      () => 'broken',
    );
    expect(['broken', 502]).toContain(await lied);
    expect((await both.send('GET', `${target}?ns=${site.upstream.host}`, owner)).body.equals(BLOB)).toBe(true);
  });

  it('7: a login that is for another upstream, or for none, is not sent, and reads what is open', async () => {
    const site = await start();
    for (const name of ['alice', 'alice@ghcr.io', `alice@127.0.0.1_${site.upstream.port + 1}`]) {
      expect(await site.tag(PRIVATE, basic(name, PASSWORD))).toBe(401);
      expect(await site.tag(PUBLIC, basic(name, PASSWORD))).toBe(200);
    }
    expect(site.upstream.requests.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
  });

  it('8: the word of the upstream is asked for again after a minute, and a no counts at once', async () => {
    let now = Date.now();
    const site = await start({ now: () => now });
    expect(await site.blob(PRIVATE, login(site, 'alice'))).toBe(200);
    site.upstream.policy = onlyFor({ [PRIVATE]: [] });
    now += 61_000;
    expect(await site.blob(PRIVATE, login(site, 'alice'))).toBe(401);
  });

  it('9: a repository that was open and is not any more is closed, also when the upstream fails then', async () => {
    let now = Date.now();
    const site = await start({ now: () => now });
    expect(await site.tag(PUBLIC)).toBe(200);
    site.upstream.policy = onlyFor({ [PUBLIC]: [] });
    now += 61_000;
    expect(await site.tag(PUBLIC)).toBe(401);
    site.upstream.policy = () => 'drop';
    now += 61_000;
    expect(await site.tag(PUBLIC)).toBe(502);
  });

  it('10: without the upstream, a private image is not given when its word is older than a minute', async () => {
    let now = Date.now();
    const site = await start({ now: () => now });
    expect(await site.blob(PRIVATE, login(site, 'alice'))).toBe(200);
    site.upstream.policy = () => 'drop';
    expect(await site.blob(PRIVATE, login(site, 'alice'))).toBe(200);
    now += 61_000;
    expect(await site.blob(PRIVATE, login(site, 'alice'))).toBe(502);
  });

  it('11: a login of the operator is used for users of the cache, and for no others', async () => {
    const upstream = await startUpstream();
    await upstream.pusher.pushImage(PRIVATE, 'latest');
    upstream.policy = onlyFor({ [PRIVATE]: [`robot:${PASSWORD}`] });
    const credential = { kind: 'password', username: 'robot', password: PASSWORD, source: 'a test' } as const;
    const logins: SiteCacheOptions['logins'] = (registry) => ({ find: async () => ({ ...credential, registry }) });
    expect(() => startCacheSynchronously(upstream, logins)).toThrow('need users of the cache');
    // The password of "carol" is "carol".
    const htpasswd = new Map([['carol', '$2b$04$JB/FZs67wXZCw3T/eHQPoerjuY50xDW1/LNTSaHWaoljWD2TLAVX6']]);
    const cache = await startCache([upstream.host], { logins, auth: { kind: 'basic', htpasswd, anonymousRead: true } });
    const target = `/v2/${upstream.text}/${PRIVATE}/manifests/latest`;
    expect((await cache.send('GET', target, { headers: basic('carol', 'carol') })).status).toBe(200);
    expect((await cache.send('GET', target)).status).toBe(403);
    expect((await cache.send('GET', target, { headers: basic(`robot@${upstream.text}`, PASSWORD) })).status).toBe(401);
    expect(upstream.requests.map((each) => each.login).filter((each) => each?.startsWith('carol'))).toEqual([]);
  });

  it('a right to list tags is none to read, and who has no such right can read on', async () => {
    const site = await start();
    const alice = login(site, 'alice');
    expect([await site.tag(PRIVATE, alice), await site.blob(PRIVATE, alice)]).toEqual([200, 200]);
    const policy = site.upstream.policy;
    const clerk = basic(`clerk@${site.upstream.text}`, PASSWORD);
    site.upstream.policy = (request) => {
      if (request.login?.startsWith('clerk:') === true) return isList(request.path) ? undefined : { status: 403 };
      const mayNotList = request.login !== undefined || request.repository === PUBLIC;
      return mayNotList && isList(request.path) ? { status: 403 } : policy(request);
    };
    const name = `/v2/${site.upstream.text}`;
    const list = async (what: string, headers = {}): Promise<number> =>
      (await site.cache.send('GET', `${name}/${what}`, { headers })).status;
    for (const what of ['tags/list', `referrers/${site.digest}`]) {
      expect(await list(`${PRIVATE}/${what}`, clerk)).toBe(200);
      expect(await site.blob(PRIVATE, clerk)).toBe(403);
      expect(
        await site.cache.send('GET', `${name}/${PRIVATE}/manifests/${site.digest}`, { headers: clerk }),
      ).toMatchObject({
        status: 403,
      });
    }
    // Of all without a login, too: one of them could keep the others from pulling.
    expect([await list(`${PUBLIC}/tags/list`), await site.tag(PUBLIC)]).toEqual([403, 200]);
    expect([await list(`${PRIVATE}/tags/list`, alice), await site.blob(PRIVATE, alice)]).toEqual([403, 200]);
  });

  it('12: neither the log nor the disk nor an answer has a password', async () => {
    const site = await start();
    const answers = [
      await site.cache.send('GET', `/v2/${site.upstream.text}/${PRIVATE}/manifests/latest`, {
        headers: login(site, 'alice'),
      }),
      await site.cache.send('GET', `/v2/${site.upstream.text}/${PRIVATE}/manifests/latest`, {
        headers: login(site, 'mallory'),
      }),
      await site.cache.send('GET', '/v2/', { headers: basic(PASSWORD, PASSWORD) }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 403]);
    const encoded = Buffer.from(`alice:${PASSWORD}`).toString('base64');
    const shown = [...answers.map(({ body }) => body.toString()), JSON.stringify(site.cache.events)];
    for (const text of [...shown, ...filesBelow(site.cache.directory)]) {
      expect(text).not.toContain(PASSWORD);
      expect(text).not.toContain(encoded);
    }
  });
});

function startCacheSynchronously(upstream: PolicedUpstream, logins: SiteCacheOptions['logins']): unknown {
  return createSiteCache({ dataDirectory: '/nowhere', upstreams: { allowed: [upstream.host] }, logins });
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true })
    .map((name) => path.join(directory, String(name)))
    .filter((file) => statSync(file).isFile())
    .map((file) => `${file} ${readFileSync(file, 'latin1')}`);
}
