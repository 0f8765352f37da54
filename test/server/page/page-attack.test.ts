import { generateKeyPairSync } from 'node:crypto';
import { hashSync } from 'bcryptjs';
import { SignJWT } from 'jose';
import { expect, it } from 'vitest';
import { parseHtpasswd } from '../../../src/server/settings/htpasswd.ts';
import type { AuthOptions } from '../../../src/server/settings/options.ts';
import { configLayer, diskLayer, json, nvramLayer, tinyDocument } from '../../support/tart-image.ts';
import {
  type Answer,
  OCI_MANIFEST,
  type ProtocolClient,
  type RunningRegistry,
  startRegistry,
} from '../running-registry.ts';
import { pushSample, withLogin } from './sample-images.ts';

const PAGE = { page: {} };
const USERS: AuthOptions = {
  kind: 'basic',
  htpasswd: parseHtpasswd(`ci:${hashSync('right', 4)}\n`),
  readOnly: parseHtpasswd(`runner:${hashSync('pulls', 4)}\n`),
};
const CHUNKS = [{ content: 'secret part', size: 1024, stored: 100 }];

const basic = (login: string): { Authorization: string } => ({
  Authorization: `Basic ${Buffer.from(login).toString('base64')}`,
});

async function visit({ send }: Pick<ProtocolClient, 'send'>, target: string, headers: object = {}): Promise<Answer> {
  return send('GET', target, { headers: { Accept: 'text/html', ...headers } });
}

/** All elements and attributes of a page are ours, whatever was pushed. */
function expectOwnMarkup(markup: string): void {
  const elements = new Set(Array.from(markup.matchAll(/<\/?([a-z0-9!]+)/gi), ([, name]) => name));
  const known =
    '!doctype html head meta title link script body a header span nav ol ul li main footer h1 h2 p div table thead tbody ' +
    'tr th td time form label input button section figure figcaption svg rect dl dt dd details summary code wbr';
  expect([...elements].filter((name) => !known.split(' ').includes(name ?? ''))).toEqual([]);
  expect(markup.match(/<script/g)).toHaveLength(1);
  expect(markup).toContain('<script src="/page/script.js" defer></script>');
  const inTags = Array.from(markup.matchAll(/<[a-z][^>]*>/gi), ([tag]) => tag.replaceAll(/"[^"]*"/g, '""')).join('\n');
  expect(inTags).not.toMatch(/\son[a-z]+|\sstyle|['`]|javascript|data:/i);
  const links = Array.from(markup.matchAll(/(?:href|src|action)="([^"]*)"/g), ([, to]) => to ?? '');
  expect(links.filter((to) => !/^[/#](?!\/)/.test(to))).toEqual([]);
}

it('shows names, labels and annotations that look like markup as they are written (S90)', async () => {
  const registry = await startRegistry(PAGE);
  const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'\`<!--</title></svg>&lt;b&gt;\u202e`;
  await pushSample(registry, 'team/evil', 'a', {
    chunks: CHUNKS,
    labels: { [evil]: evil, link: 'javascript:alert(3)' },
    annotations: { [evil]: evil, 'org.opencontainers.image.url': 'javascript:alert(4)' },
    pushedAt: evil,
    config: { os: evil, arch: evil, cpuCount: evil },
  });
  const child = await registry.pushImage('team/evil', 'child');
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const platform = { os: evil, architecture: evil };
  const entry = { mediaType: OCI_MANIFEST, digest: child, size: 7, platform };
  const body = JSON.stringify({ schemaVersion: 2, mediaType, manifests: [entry], annotations: { [evil]: evil } });
  await registry.send('PUT', '/v2/team/evil/manifests/index', { headers: { 'Content-Type': mediaType }, body });
  // What is wrong with an image comes back in the message that says so.
  const digest = await registry.pushBlob('team/evil', 'x');
  const layer = diskLayer({ digest, size: 1 }, { 'org.cirruslabs.tart.uncompressed-size': evil });
  const broken = json(
    tinyDocument({
      config: { mediaType: evil, digest, size: 1 },
      layers: [layer, configLayer({ digest }), nvramLayer({ digest })],
    }),
  );
  const taken = await registry.send('PUT', '/v2/team/evil/manifests/broken', {
    headers: { 'Content-Type': OCI_MANIFEST },
    body: broken,
  });
  expect(taken.status).toBe(201);
  for (const target of [
    '/',
    '/repository/team/evil',
    '/image/team/evil:a',
    '/image/team/evil:index',
    '/image/team/evil:broken',
    `/?from=${encodeURIComponent(evil)}`,
    `/repository/team/evil?after=${encodeURIComponent(evil)}`,
  ]) {
    const { status, body: page } = await visit(registry, target);
    expect([target, status]).toEqual([target, 200]);
    expectOwnMarkup(page.toString('utf8'));
    expect(page.toString('utf8')).not.toContain('\u202e');
  }
  const shown = (await visit(registry, '/image/team/evil:a')).body.toString('utf8');
  expect(shown).toContain(
    '<dt>&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;&#39;`',
  );
  expect(shown).toContain('&amp;lt;b&amp;gt;\\u202e</dd>');
  for (const target of [
    `/${encodeURIComponent(evil)}`,
    '/image/<script>',
    '/repository/"><script>',
    '/image/x:"><script>',
  ]) {
    const refused = await visit(registry, target.replaceAll(' ', '%20'));
    expect(refused.status).toBeGreaterThanOrEqual(400);
    if (refused.headers['content-type']?.startsWith('text/html') === true)
      expectOwnMarkup(refused.body.toString('utf8'));
  }
});

it('lets nothing run, load or frame a page that is not its own, also where it refuses (S90)', async () => {
  const registry = await startRegistry({ ...PAGE, auth: USERS });
  const login = basic('ci:right');
  for (const [target, headers, status] of [
    ['/', login, 200],
    ['/page/style.css', {}, 200],
    ['/page/script.js', {}, 200],
    ['/page/icon.svg', {}, 200],
    ['/', {}, 401],
    ['/nothing', login, 404],
  ] as const) {
    const answer = await visit(registry, target, headers);
    expect([target, answer.status]).toEqual([target, status]);
    expect(answer.headers).toMatchObject({
      'content-security-policy':
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; " +
        "frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    });
    expect(answer.headers['cache-control']).toMatch(/no-cache/);
    expect(answer.body.toString('utf8')).not.toMatch(/https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
  }
  const style = await visit(registry, '/page/style.css');
  const again = await visit(registry, '/page/style.css', { 'If-None-Match': style.headers.etag });
  expect([again.status, again.body.length]).toEqual([304, 0]);
});

it('lets links of other pages lead to it, and no other page ask, frame or rename it (S40)', async () => {
  const registry = await startRegistry(PAGE);
  const link = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' };
  expect((await visit(registry, '/', link)).status).toBe(200);
  expect((await visit(registry, '/', { ...link, 'Sec-Fetch-Dest': 'iframe' })).status).toBe(403);
  expect((await visit(registry, '/', { ...link, 'Sec-Fetch-Mode': 'no-cors' })).status).toBe(403);
  expect((await visit(registry, '/', { ...link, Origin: 'https://evil.example' })).status).toBe(403);
  expect((await visit(registry, '/v2/_catalog', link)).status).toBe(403);
  expect((await visit(registry, '/metrics', { ...link, 'Sec-Fetch-Mode': 'cors' })).status).toBe(403);
  expect((await registry.send('POST', '/', { headers: link })).status).toBe(403);
  expect((await visit(registry, '/', { Host: 'rebound.example' })).status).toBe(421);
});

it('shows pages to those alone who may read the same by the API (S91)', async () => {
  const registry = await startRegistry({ ...PAGE, auth: USERS });
  const login = basic('ci:right');
  await pushAs(registry, 'team/private', login);
  for (const target of ['/', '/repository/team/private', '/repository/team/missing', '/image/team/private:1']) {
    for (const headers of [{}, basic('ci:wrong'), basic('nobody:right')]) {
      const refused = await visit(registry, target, headers);
      expect([target, refused.status]).toEqual([target, 401]);
      expect(refused.headers['www-authenticate']).toBe('Basic realm="tartlet"');
      expect(refused.body.toString('utf8')).toMatch(/<h1>Login needed<\/h1>/);
      expect(refused.body.toString('utf8')).not.toMatch(/private|team/);
    }
  }
  for (const reader of [login, basic('runner:pulls')]) {
    expect((await visit(registry, '/', reader)).body.toString('utf8')).toContain('team/<wbr>private');
    expect((await visit(registry, '/image/team/private:1', reader)).status).toBe(200);
  }
  const open = await startRegistry({ ...PAGE, auth: { ...USERS, anonymousRead: true } });
  await pushAs(open, 'team/public', login);
  expect((await visit(open, '/')).body.toString('utf8')).toContain('team/<wbr>public');
});

it('shows of other repositories nothing to a token that may not read them, not even what is shared (S91)', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const trustedKeys = [publicKey.export({ type: 'spki', format: 'pem' }).toString()];
  const auth: AuthOptions = {
    kind: 'token',
    realm: 'https://auth.example/token',
    service: 'r',
    issuer: 'a',
    trustedKeys,
  };
  const registry = await startRegistry({ ...PAGE, auth });
  const token = async (...access: object[]): Promise<{ Authorization: string }> => {
    const payload = { iss: 'a', aud: 'r', exp: Math.floor(Date.now() / 1000) + 300, access };
    const text = await new SignJWT(payload).setProtectedHeader({ alg: 'ES256' }).sign(privateKey);
    return { Authorization: `Bearer ${text}` };
  };
  const may = (name: string, ...actions: string[]): object => ({ type: 'repository', name, actions });
  const all = await token(may('team/mine', 'pull', 'push'), may('team/concealed', 'pull', 'push'));
  await pushAs(registry, 'team/mine', all);
  await pushAs(registry, 'team/concealed', all);
  const mine = await token(may('team/mine', 'pull'));
  const page = await visit(registry, '/image/team/mine:1', mine);
  expect(page.status).toBe(200);
  expect(page.body.toString('utf8')).not.toContain('concealed');
  expect(page.body.toString('utf8')).toContain('No other image has a part of this one.');
  expect(page.body.toString('utf8')).toContain('There is no other image that you can read here.');
  const both = await visit(registry, '/image/team/mine:1', all);
  expect(both.body.toString('utf8')).toContain('team/<wbr>concealed:<wbr>1');
  for (const target of ['/', '/repository/team/concealed', '/repository/team/none', '/image/team/concealed:1']) {
    const refused = await visit(registry, target, mine);
    expect([target, refused.status]).toEqual([target, 401]);
    expect(refused.headers['www-authenticate']).toMatch(/^Bearer realm="https:\/\/auth\.example\/token"/);
    expect(refused.body.toString('utf8')).toContain('This registry takes tokens of a token service');
  }
  const lister = await token({ type: 'registry', name: 'catalog', actions: ['*'] }, may('team/mine', 'pull'));
  const list = (await visit(registry, '/', lister)).body.toString('utf8');
  expect(list).toContain('team/<wbr>mine');
  expect(list).not.toContain('concealed');
});

it('looks at a bounded part of what is there, however much that is and however large manifests are (S92)', async () => {
  const registry = await startRegistry(PAGE);
  const digest = await registry.pushBlob('team/large', 'x');
  for (const layers of [9_000, 9_001]) {
    const layer = { mediaType: 'application/octet-stream', digest, size: 1, annotations: { a: 'b'.repeat(200) } };
    const body = json(
      tinyDocument({ config: { ...layer }, layers: Array.from({ length: layers }, () => layer), annotations: {} }),
    );
    const put = await registry.send('PUT', `/v2/team/large/manifests/${layers}`, {
      headers: { 'Content-Type': OCI_MANIFEST },
      body,
    });
    expect(put.status).toBe(201);
  }
  const list = (await visit(registry, '/repository/team/large')).body.toString('utf8');
  expect(list.match(/not readable/g)).toHaveLength(2);
  const image = await visit(registry, '/image/team/large:9000');
  expect(image.status).toBe(200);
  expect(image.body.length).toBeLessThan(200_000);
});

/** Pushes an image with the login of somebody who may. */
async function pushAs(registry: RunningRegistry, repository: string, login: { Authorization: string }): Promise<void> {
  const sample = { chunks: CHUNKS, annotations: { of: repository } };
  await pushSample(withLogin(registry, login.Authorization), repository, '1', sample);
}

it.each(['__proto__', 'constructor'])('shows the page of an image whose system calls itself %s (S90)', async (os) => {
  const registry = await startRegistry(PAGE);
  await pushSample(registry, 'team/evil', 'a', { chunks: CHUNKS, config: { os } });
  const answer = await visit(registry, '/image/team/evil:a');
  expect([answer.status, answer.body.toString().includes(`${os}, arm64, 4 CPUs`)]).toEqual([200, true]);
});
