import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { hashSync } from 'bcryptjs';
import { SignJWT, UnsecuredJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import type { AuthOptions } from '../../../src/server/settings/options.ts';
import { parseHtpasswd } from '../../../src/server/settings/htpasswd.ts';
import { createRegistry } from '../../../src/server/server.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { type Answer, sha256, startRegistry } from '../running-registry.ts';

const HTPASSWD = `# people\nana:${hashSync('se:cret', 4)}\n\n`;
const basic = (login: string): { headers: { Authorization: string } } => ({
  headers: { Authorization: `Basic ${Buffer.from(login).toString('base64')}` },
});

describe('Basic authentication', () => {
  const auth: AuthOptions = { kind: 'basic', htpasswd: parseHtpasswd(HTPASSWD) };

  it('asks for a password, everywhere in the same words (S41)', async () => {
    const { send } = await startRegistry({ auth });
    const answers = await Promise.all(
      ['/v2/', '/v2/_catalog', '/v2/no/where/tags/list', `/v2/team/x/blobs/${sha256('')}`].map(async (target) =>
        send('GET', target),
      ),
    );
    for (const { status, headers, body } of answers) {
      expect([status, headers['www-authenticate']]).toEqual([401, 'Basic realm="tartlet"']);
      expect(body.toString()).toBe('{"errors":[{"code":"UNAUTHORIZED","message":"authentication is required"}]}');
    }
  });

  it('lets in a client with a password, colons and all, again and again', async () => {
    const { send, events } = await startRegistry({ auth });
    expect((await send('GET', '/v2/', basic('ana:se:cret'))).status).toBe(200);
    expect((await send('GET', '/v2/', basic('ana:se:cret'))).status).toBe(200);
    expect((await send('GET', '/v2/', basic('ana:wrong'))).status).toBe(401);
    expect((await send('GET', '/v2/', basic('bob:se:cret'))).status).toBe(401);
    expect((await send('GET', '/v2/', { headers: { Authorization: 'Bearer x' } })).status).toBe(401);
    expect(events.filter((event) => event.kind === 'request' && event.user === 'ana')).toHaveLength(2);
    expect(JSON.stringify(events)).not.toContain('se:cret');
  });

  it('stops listening to an address that guesses, but not to those who know (S41)', async () => {
    let now = 1_000_000;
    const { send } = await startRegistry({ auth, now: () => now });
    expect((await send('GET', '/v2/', basic('ana:se:cret'))).status).toBe(200);
    for (let guess = 0; guess < 20; guess += 1) {
      expect((await send('GET', '/v2/', basic(`ana:${guess}`))).status).toBe(401);
    }
    const stopped = await send('GET', '/v2/', basic('ana:20'));
    expect([stopped.status, stopped.codes, stopped.headers['retry-after']]).toEqual([429, ['TOOMANYREQUESTS'], '60']);
    expect((await send('GET', '/v2/', basic('ana:se:cret'))).status).toBe(200);
    now += 60_000;
    expect((await send('GET', '/v2/', basic('ana:21'))).status).toBe(401);
  });

  it('reads a file, and says which line of it is wrong without showing it', async () => {
    const file = path.join(temporaryDirectory(), 'htpasswd');
    writeFileSync(file, HTPASSWD);
    const { send } = await startRegistry({ auth: { kind: 'basic', htpasswd: file } });
    expect((await send('GET', '/v2/', basic('ana:se:cret'))).status).toBe(200);
    expect(() => parseHtpasswd('# x\nbob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=')).toThrow(
      'line 2 of the htpasswd file is not a name and a bcrypt hash',
    );
    const missing = createRegistry({
      dataDirectory: temporaryDirectory(),
      auth: { kind: 'basic', htpasswd: '/no/such' },
    });
    await expect(missing.listen()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

it('an upload belongs to the user who began it, and to no other who may push (S64)', async () => {
  const htpasswd = parseHtpasswd(`ana:${hashSync('a', 4)}\neve:${hashSync('e', 4)}`);
  const { send } = await startRegistry({ auth: { kind: 'basic', htpasswd } });
  const [ana, eve] = [basic('ana:a'), basic('eve:e')];
  const location = (await send('POST', '/v2/team/x/blobs/uploads/', ana)).headers.location ?? '';
  for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
    const target = method === 'PUT' ? `${location}?digest=${sha256('')}` : location;
    expect((await send(method, target, eve)).codes).toEqual(['BLOB_UPLOAD_UNKNOWN']);
  }
  expect((await send('GET', location, ana)).status).toBe(204);
});

describe('users who may only read', () => {
  const auth: AuthOptions = {
    kind: 'basic',
    htpasswd: parseHtpasswd(HTPASSWD),
    readOnly: parseHtpasswd(`runner:${hashSync('pull', 4)}`),
  };
  const upload = '/v2/team/x/blobs/uploads/';

  it('pull and list, and can neither push nor delete', async () => {
    const { send, begin, pushBlob, events } = await startRegistry({
      auth: { ...auth, htpasswd: parseHtpasswd(HTPASSWD), anonymousRead: false },
    });
    await expect(begin('team/x')).rejects.toThrow('401');
    await expect(pushBlob('team/x', 'a')).rejects.toThrow('401');
    const ana = basic('ana:se:cret');
    const location = (await send('POST', upload, ana)).headers.location ?? '';
    const blob = await send('PUT', `${location}?digest=${sha256('a')}`, { ...ana, body: 'a' });
    expect(blob.status).toBe(201);

    const runner = basic('runner:pull');
    expect((await send('GET', '/v2/', runner)).status).toBe(200);
    expect((await send('GET', `/v2/team/x/blobs/${sha256('a')}`, runner)).body.toString()).toBe('a');
    expect((await send('GET', '/v2/_catalog', runner)).status).toBe(200);
    for (const [method, target] of [
      ['POST', upload],
      ['PUT', '/v2/team/x/manifests/1'],
      ['DELETE', '/v2/team/x/manifests/1'],
      ['DELETE', `/v2/team/x/blobs/${sha256('a')}`],
    ] as const) {
      const { status, codes, headers, body } = await send(method, target, runner);
      // No challenge: who asks is known, and another password would not help.
      expect([method, target, status, codes, headers['www-authenticate']]).toEqual([
        method,
        target,
        403,
        ['DENIED'],
        undefined,
      ]);
      expect(body.toString()).toContain('the user runner may read here, and change nothing');
    }
    const refused = events.filter((event) => event.kind === 'request' && event.status === 403);
    expect(refused.map((event) => event.kind === 'request' && event.user)).toEqual(Array(4).fill('runner'));
    expect((await send('GET', '/v2/', basic('runner:se:cret'))).status).toBe(401);
  });

  it('are not those who may write', async () => {
    const readOnly = parseHtpasswd(`ana:${hashSync('other', 4)}`);
    const registry = createRegistry({ dataDirectory: temporaryDirectory(), auth: { ...auth, readOnly } });
    await expect(registry.listen()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'the user "ana" may write, and is among those who may only read',
    });
  });

  it('an htpasswd without users is refused: no user could push', async () => {
    const file = path.join(temporaryDirectory(), 'htpasswd');
    for (const text of ['', '\n# nobody yet\n']) {
      writeFileSync(file, text);
      const registry = createRegistry({ dataDirectory: temporaryDirectory(), auth: { kind: 'basic', htpasswd: file } });
      await expect(registry.listen()).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: `the htpasswd file ${file} has no users, so that no user could push`,
      });
    }
  });
});

describe('reading without a login', () => {
  const auth: AuthOptions = { kind: 'basic', htpasswd: parseHtpasswd(HTPASSWD), anonymousRead: true };

  it('is for everybody, and writing for those with a password', async () => {
    const { send, events } = await startRegistry({ auth });
    const ana = basic('ana:se:cret');
    const upload = await send('POST', '/v2/team/x/blobs/uploads/');
    expect([upload.status, upload.headers['www-authenticate']]).toEqual([401, 'Basic realm="tartlet"']);
    const location = (await send('POST', '/v2/team/x/blobs/uploads/', ana)).headers.location ?? '';
    expect((await send('PUT', `${location}?digest=${sha256('a')}`, { ...ana, body: 'a' })).status).toBe(201);
    const blob = `/v2/team/x/blobs/${sha256('a')}`;
    // The second is what skopeo sends when it was challenged and knows no login.
    for (const anonymous of [{}, basic(':')]) {
      expect((await send('GET', blob, anonymous)).body.toString()).toBe('a');
      expect((await send('DELETE', blob, anonymous)).status).toBe(401);
    }
    expect((await send('GET', blob, basic('ana:wrong'))).status).toBe(401);
    // Clients learn here how to log in, and check passwords.
    expect((await send('GET', '/v2/')).status).toBe(401);
    expect((await send('GET', '/v2/', ana)).status).toBe(200);
    expect(events.filter((event) => event.kind === 'request' && event.user === undefined).length).toBeGreaterThan(3);
  });
});

describe('token authentication', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString();
  const auth: AuthOptions = {
    kind: 'token',
    realm: 'https://auth.example/token',
    service: 'registry.example',
    issuer: 'auth.example',
    trustedKeys: [pem(rsa.publicKey), pem(ec.publicKey)],
  };
  const NOW = Date.UTC(2026, 0, 1);

  interface TokenFacts {
    key?: KeyObject;
    algorithm?: string;
    claims?: Record<string, unknown>;
    header?: Record<string, unknown>;
    access?: unknown;
  }

  async function token({
    key = rsa.privateKey,
    algorithm = 'RS256',
    claims = {},
    header = {},
    access = [],
  }: TokenFacts) {
    const seconds = NOW / 1000;
    const payload = { iss: 'auth.example', aud: 'registry.example', sub: 'ana', exp: seconds + 300, access, ...claims };
    return new SignJWT(payload).setProtectedHeader({ alg: algorithm, ...header }).sign(key);
  }

  const bearer = (text: string) => ({ headers: { Authorization: `Bearer ${text}` } });
  const started = async () => startRegistry({ auth, now: () => NOW });
  const may = (name: string, ...actions: string[]) => ({ type: 'repository', name, actions });

  it('challenges with realm, service and exactly the scope that is needed', async () => {
    const { send } = await started();
    const challenge = async (method: string, target: string): Promise<unknown> =>
      (await send(method, target)).headers['www-authenticate'];
    const who = 'Bearer realm="https://auth.example/token",service="registry.example"';
    const blob = `/v2/team/x/blobs/${sha256('')}`;
    expect(await challenge('GET', '/v2/')).toBe(who);
    expect(await challenge('GET', blob)).toBe(`${who},scope="repository:team/x:pull"`);
    expect(await challenge('DELETE', blob)).toBe(`${who},scope="repository:team/x:delete"`);
    expect(await challenge('POST', '/v2/team/x/blobs/uploads/')).toBe(`${who},scope="repository:team/x:pull,push"`);
    expect(await challenge('POST', `/v2/team/x/blobs/uploads/?mount=${sha256('')}&from=team/y`)).toBe(
      `${who},scope="repository:team/x:pull,push repository:team/y:pull"`,
    );
    expect(await challenge('POST', '/v2/team/x/blobs/uploads/?mount=a&from=x"y')).toBe(
      `${who},scope="repository:team/x:pull,push"`,
    );
    expect(await challenge('GET', '/v2/_catalog')).toBe(`${who},scope="registry:catalog:*"`);
  });

  it('lets everybody read without a token when it is told to, and asks for one to write', async () => {
    const { send } = await startRegistry({ auth: { ...auth, anonymousRead: true }, now: () => NOW });
    expect((await send('GET', `/v2/team/x/blobs/${sha256('')}`)).status).toBe(404);
    const { status, headers } = await send('POST', '/v2/team/x/blobs/uploads/');
    expect([status, headers['www-authenticate']]).toEqual([
      401,
      'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:team/x:pull,push"',
    ]);
    expect((await send('GET', '/v2/')).status).toBe(401);
    expect((await send('GET', `/v2/team/x/blobs/${sha256('')}`, bearer('a.b.c'))).status).toBe(401);
  });

  it.each(['RS256', 'ES256'])('takes tokens signed with %s by a trusted key', async (algorithm) => {
    const { send } = await started();
    const key = algorithm === 'RS256' ? rsa.privateKey : ec.privateKey;
    expect((await send('GET', '/v2/', bearer(await token({ key, algorithm })))).status).toBe(200);
  });

  it.each<[string, TokenFacts]>([
    ['an unknown key', { key: stranger.privateKey }],
    [
      'a key that it brings along',
      { key: stranger.privateKey, header: { jwk: stranger.publicKey.export({ format: 'jwk' }) } },
    ],
    ['another algorithm', { algorithm: 'RS512' }],
    ['another issuer', { claims: { iss: 'evil.example' } }],
    ['another audience', { claims: { aud: 'other.example' } }],
    ['an end in the past', { claims: { exp: NOW / 1000 - 60 } }],
    ['no end', { claims: { exp: undefined } }],
    ['a beginning in the future', { claims: { nbf: NOW / 1000 + 60 } }],
  ])('refuses a token with %s', async (_, facts) => {
    const { send } = await started();
    const { status, headers } = await send('GET', '/v2/', bearer(await token(facts)));
    expect([status, headers['www-authenticate']]).toEqual([401, expect.stringContaining('error="invalid_token"')]);
  });

  it('refuses a token without a signature', async () => {
    const { send } = await started();
    const text = new UnsecuredJWT({ iss: 'auth.example', aud: 'registry.example', exp: NOW }).encode();
    expect((await send('GET', '/v2/', bearer(text))).status).toBe(401);
    expect((await send('GET', '/v2/', bearer('not.a.token'))).status).toBe(401);
  });

  it('gives each right apart, per repository (S45)', async () => {
    const { send } = await started();
    const everything = bearer(await token({ access: [may('team/x', 'pull', 'push', 'delete'), may('team/y', '*')] }));
    const push = async (repository: string, credentials: { headers: { Authorization: string } }): Promise<Answer> =>
      send('POST', `/v2/${repository}/blobs/uploads/?digest=${sha256('x')}`, { ...credentials, body: 'x' });
    expect((await push('team/x', everything)).status).toBe(201);
    expect((await push('team/y', everything)).status).toBe(201);
    const reader = bearer(await token({ access: [may('team/x', 'pull')] }));
    const blob = `/v2/team/x/blobs/${sha256('x')}`;
    expect((await send('GET', blob, reader)).body.toString()).toBe('x');
    expect((await send('GET', `/v2/team/y/blobs/${sha256('x')}`, reader)).status).toBe(401);
    expect((await push('team/x', reader)).status).toBe(401);
    const writer = bearer(await token({ access: [may('team/x', 'pull', 'push')] }));
    const refused = await send('DELETE', blob, writer);
    expect([refused.status, refused.headers['www-authenticate']]).toEqual([
      401,
      expect.stringContaining('scope="repository:team/x:delete",error="insufficient_scope"'),
    ]);
    expect((await send('GET', '/v2/_catalog', everything)).status).toBe(401);
    const catalog = bearer(await token({ access: [{ type: 'registry', name: 'catalog', actions: ['*'] }] }));
    expect((await send('GET', '/v2/_catalog', catalog)).status).toBe(200);
  });

  it('mounts only what the token may read, and does not tell the difference (S44)', async () => {
    const { send } = await started();
    const owner = bearer(await token({ access: [may('team/secret', 'pull', 'push')] }));
    await send('POST', `/v2/team/secret/blobs/uploads/?digest=${sha256('x')}`, { ...owner, body: 'x' });
    const mount = async (query: string, ...access: object[]): Promise<number> => {
      const target = `/v2/team/mine/blobs/uploads/?mount=${sha256('x')}${query}`;
      return (await send('POST', target, bearer(await token({ access })))).status;
    };
    const mine = may('team/mine', 'pull', 'push');
    expect(await mount('&from=team/secret', mine)).toBe(202);
    expect(await mount('', mine)).toBe(202);
    expect(await mount('', mine, may('team/secret', 'pull'))).toBe(201);
    expect(await mount('&from=team/secret', mine, may('team/secret', 'pull'))).toBe(201);
  });

  it('refuses keys it could not rely on, before it listens', async () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
    for (const trustedKeys of [[], ['no key'], [pem(weak.publicKey)]]) {
      const registry = createRegistry({ dataDirectory: temporaryDirectory(), auth: { ...auth, trustedKeys } });
      await expect(registry.listen()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    }
  });
});
