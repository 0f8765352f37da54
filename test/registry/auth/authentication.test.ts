import { MessageChannel } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import type { CredentialSource } from '../../../src/credentials/credential.ts';
import { TartletError } from '../../../src/errors.ts';
import type { Hint } from '../../../src/hint.ts';
import { remoteAuthenticator, serveAuthenticator } from '../../../src/registry/auth/authenticator-port.ts';
import { Tag } from '../../../src/names/tag.ts';
import type { Answer, RecordedRequest } from '../../support/scripted-registry.ts';
import { basicValue, blobOf, clientFor, collect, password, scripted, tokenService } from '../world.ts';

const MANIFEST = '{"schemaVersion":2}';
const TAG = { tag: Tag.parse('latest') };
const PATH = '/v2/a/b/manifests/latest';
const GET = `GET ${PATH}`;
const MEND_HELPER: Hint = { kind: 'in-words', words: 'repair the helper' };

/** Serves only whom `accepts` accepts, and sends the others away with `challenge`. */
function guarded(
  challenge: Answer,
  accepts: (authorization: string | undefined) => boolean,
  answer: Answer = { body: MANIFEST },
) {
  return ({ headers }: RecordedRequest): Answer => (accepts(headers['authorization']) ? answer : challenge);
}

const wantsBasic: Answer = { status: 401, headers: { 'www-authenticate': 'Basic realm="registry"' } };

describe('Basic', () => {
  it('sends nothing before it is asked, and everything afterwards', async () => {
    const registry = await scripted({ [GET]: guarded(wantsBasic, (value) => value === basicValue()) });
    const { client } = clientFor(registry, { credentials: password() });
    await client.manifest(TAG);
    await client.manifest(TAG);
    expect(registry.requests.map(({ headers }) => headers['authorization'])).toEqual([
      undefined,
      basicValue(),
      basicValue(),
    ]);
  });

  it('says as whom it was refused (N32)', async () => {
    const registry = await scripted({ [GET]: wantsBasic });
    await expect(clientFor(registry, { credentials: password() }).client.manifest(TAG)).rejects.toMatchObject({
      code: 'AUTH_DENIED',
      message: `wrong user name or password: ${registry.authority} does not let "ci" from the test pull a/b`,
      facts: {
        next: { kind: 'log-in-again', registry: registry.authority, maybePublic: true },
      },
    });
    expect(registry.requests).toHaveLength(2);
  });

  it('says how to log in (N32)', async () => {
    const registry = await scripted({ [GET]: wantsBasic });
    await expect(clientFor(registry).client.manifest(TAG)).rejects.toMatchObject({
      code: 'AUTH_REQUIRED',
      facts: {
        next: { kind: 'log-in', registry: registry.authority },
      },
    });
  });

  it('is not offered to an unknown scheme (Q23)', async () => {
    const registry = await scripted({ [GET]: { status: 401, headers: { 'www-authenticate': 'Negotiate abc==' } } });
    await expect(clientFor(registry, { credentials: password() }).client.manifest(TAG)).rejects.toMatchObject({
      code: 'AUTH_REQUIRED',
      message: `${registry.authority} answers 401 and offers only negotiate`,
    });
  });

  it('is used where the first scheme is unknown (Q23)', async () => {
    const challenge: Answer = { status: 401, headers: { 'www-authenticate': ['Negotiate', 'Basic realm="x"'] } };
    const registry = await scripted({ [GET]: guarded(challenge, (value) => value === basicValue()) });
    expect((await clientFor(registry, { credentials: password() }).client.manifest(TAG)).bytes).toHaveLength(19);
  });
});

describe('Bearer', () => {
  it('fetches a token with the password, and keeps it', async () => {
    const tokens = await tokenService();
    const registry = await scripted({
      [GET]: guarded(tokens.challenge('repository:a/b:pull'), (value) => value === 'Bearer token-1'),
    });
    const { client } = clientFor(registry, { credentials: password() });
    await client.manifest(TAG);
    await client.manifest(TAG);
    expect(tokens.requests.map(({ headers }) => headers['authorization'])).toEqual([basicValue()]);
    expect(tokens.queries).toEqual([
      [
        ['scope', 'repository:a/b:pull'],
        ['service', 'registry.example'],
      ],
    ]);
    expect(registry.requests).toHaveLength(3);
  });

  it('asks anonymously when no credential is known', async () => {
    const tokens = await tokenService();
    const registry = await scripted({ [GET]: guarded(tokens.challenge(), (value) => value === 'Bearer token-1') });
    await clientFor(registry).client.manifest(TAG);
    expect(tokens.requests[0]?.headers['authorization']).toBeUndefined();
  });

  it('asks for its own scope when the challenge has none, and pull,push to push (Q23)', async () => {
    const tokens = await tokenService();
    const registry = await scripted({
      [`PUT ${PATH}`]: guarded(tokens.challenge(), (value) => value !== undefined, { status: 201 }),
    });
    await clientFor(registry).client.putManifest(TAG, Buffer.from(MANIFEST), 'x/y');
    expect(tokens.queries[0]).toContainEqual(['scope', 'repository:a/b:pull,push']);
  });

  it('keeps the query of the realm (tart-formats §6.2) (tart-cli §7 #41)', async () => {
    const tokens = await tokenService();
    const challenge = { status: 401, headers: { 'www-authenticate': `Bearer realm="${tokens.realm}?a=%2B1&b"` } };
    const registry = await scripted({ [GET]: guarded(challenge, (value) => value !== undefined) });
    await clientFor(registry).client.manifest(TAG);
    expect(tokens.requests[0]?.path).toBe('/token?a=%2B1&b&scope=repository%3Aa%2Fb%3Apull');
  });

  it('resolves a relative realm (Q23)', async () => {
    const registry = await scripted({
      [GET]: guarded(
        { status: 401, headers: { 'www-authenticate': 'bearer REALM = "/auth" , Service=x' } },
        (value) => value === 'Bearer t',
      ),
      'GET /auth': { body: '{"token":"t"}' },
    });
    await clientFor(registry).client.manifest(TAG);
    expect(registry.log[1]).toBe('GET /auth?scope=repository%3Aa%2Fb%3Apull&service=x');
  });

  it('trades an identity token by POST', async () => {
    const tokens = await tokenService();
    const registry = await scripted({ [GET]: guarded(tokens.challenge(), (value) => value === 'Bearer token-1') });
    const { client } = clientFor(registry, {
      credentials: {
        find: (address) =>
          Promise.resolve({ kind: 'identity-token', registry: address, token: 'refresh me', source: 'x' } as const),
      },
    });
    await client.manifest(TAG);
    expect(tokens.requests[0]?.method).toBe('POST');
    expect(tokens.requests[0]?.headers['authorization']).toBeUndefined();
    expect(tokens.requests[0]?.body.toString()).toBe(
      'grant_type=refresh_token&client_id=tartlet&refresh_token=refresh+me&scope=repository%3Aa%2Fb%3Apull&service=registry.example',
    );
  });

  it.each([
    ['token', '{"token":"t"}', 60],
    ['access_token only (Azure)', '{"access_token":"t"}', 60],
    ['an empty token and an access_token', '{"token":"","access_token":"t"}', 60],
    ['expires_in 0', '{"token":"t","expires_in":0}', 60],
    ['a negative expires_in', '{"token":"t","expires_in":-5}', 60],
    ['expires_in as text', '{"token":"t","expires_in":"900"}', 60],
    ['an hour', '{"token":"t","expires_in":3600}', 3600],
    ['ages', '{"token":"t","expires_in":1000000000000}', 86_400],
    ['issued_at in the past', '{"token":"t","expires_in":100,"issued_at":"2001-01-01T00:00:00Z"}', 100],
  ])('uses an answer with %s for the right time (Q24)', async (_title, body, seconds) => {
    const tokens = await tokenService();
    tokens.answer = () => ({ body });
    const registry = await scripted({ [GET]: guarded(tokens.challenge(), (value) => value === 'Bearer t') });
    const { client, clock } = clientFor(registry);
    await client.manifest(TAG);
    clock.elapsed += (seconds - 6) * 1000;
    await client.manifest(TAG);
    expect(tokens.requests).toHaveLength(1);
    clock.elapsed += 1000;
    await client.manifest(TAG);
    expect(tokens.requests).toHaveLength(2);
    // An expired token is replaced without sending the request in vain first.
    expect(registry.requests).toHaveLength(4);
  });

  it.each(['{}', 'null', 'no json', '{"token":7}', String.raw`{"token":"a\r\nx: y"}`])(
    'refuses an answer without a token: %s',
    async (body) => {
      const tokens = await tokenService();
      tokens.answer = () => ({ body });
      const registry = await scripted({ [GET]: tokens.challenge() });
      await expect(clientFor(registry).client.manifest(TAG)).rejects.toMatchObject({ code: 'NET_PROTOCOL' });
    },
  );

  it('refuses an answer without end (S20)', async () => {
    const tokens = await tokenService();
    tokens.answer = () => ({ body: ['x'.repeat(131_073)], coding: 'chunked', ending: 'stall' });
    const registry = await scripted({ [GET]: tokens.challenge() });
    await expect(clientFor(registry).client.manifest(TAG)).rejects.toMatchObject({ code: 'NET_PROTOCOL' });
  });

  it('gives up after two tokens (N34, Q25)', async () => {
    const tokens = await tokenService();
    const registry = await scripted({ [GET]: tokens.challenge('repository:a/b:pull') });
    await expect(clientFor(registry, { credentials: password() }).client.manifest(TAG)).rejects.toMatchObject({
      code: 'AUTH_DENIED',
      message: expect.stringContaining('repository:a/b:pull') as string,
    });
    expect(tokens.requests).toHaveLength(2);
    expect(registry.requests).toHaveLength(3);
  });

  it.each([
    [401, password(), 'AUTH_DENIED'],
    [403, password(), 'AUTH_DENIED'],
    [401, undefined, 'AUTH_REQUIRED'],
  ])('reports a token service that answers %i', async (status, credentials, code) => {
    const tokens = await tokenService();
    tokens.answer = () => ({
      status,
      body: '{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}',
    });
    const registry = await scripted({ [GET]: tokens.challenge() });
    const { client } = clientFor(registry, credentials === undefined ? {} : { credentials });
    await expect(client.manifest(TAG)).rejects.toMatchObject({
      code,
      message: expect.stringContaining('incorrect username or password') as string,
    });
  });

  it('retries a token service that is busy', async () => {
    const tokens = await tokenService();
    tokens.answer = (_request, count) => (count === 1 ? { status: 503 } : { body: '{"token":"t"}' });
    const registry = await scripted({ [GET]: guarded(tokens.challenge(), (value) => value === 'Bearer t') });
    expect((await clientFor(registry).client.manifest(TAG)).bytes).toHaveLength(19);
  });

  it('refreshes once for eight parallel requests whose token expired on the other side (N33)', async () => {
    const tokens = await tokenService();
    let valid = 'Bearer token-1';
    const blob = blobOf(64);
    const registry = await scripted({
      [`GET /v2/a/b/blobs/${blob.digest.toString()}`]: guarded(tokens.challenge(), (value) => value === valid, {
        body: blob.bytes,
      }),
    });
    const { client } = clientFor(registry, { credentials: password() });
    await Promise.all(Array.from({ length: 8 }, () => collect(client.blob(blob))));
    expect(tokens.requests).toHaveLength(1);
    valid = 'Bearer token-2';
    const bodies = await Promise.all(Array.from({ length: 8 }, () => collect(client.blob(blob))));
    expect(bodies.every((body) => body.equals(blob.bytes))).toBe(true);
    expect(tokens.requests).toHaveLength(2);
  });

  it('refreshes in the middle of a blob (N33)', async () => {
    const tokens = await tokenService();
    const blob = blobOf(64);
    const registry = await scripted({
      [`GET /v2/a/b/blobs/${blob.digest.toString()}`]: ({ headers }) => {
        if (headers['range'] === undefined) {
          return headers['authorization'] === 'Bearer token-1'
            ? { headers: { 'content-length': '64' }, body: blob.bytes.subarray(0, 10), ending: 'fin' }
            : tokens.challenge();
        }
        return headers['authorization'] === 'Bearer token-2'
          ? { status: 206, headers: { 'content-range': 'bytes 10-63/64' }, body: blob.bytes.subarray(10) }
          : tokens.challenge();
      },
    });
    expect(await collect(clientFor(registry).client.blob(blob))).toEqual(blob.bytes);
    expect(tokens.requests).toHaveLength(2);
  });
});

describe('a login that cannot be looked up (S56)', () => {
  function broken(): { source: CredentialSource; asked: () => number; passedOver: string[] } {
    let asked = 0;
    const passedOver: string[] = [];
    const source: CredentialSource = {
      find: () => {
        asked += 1;
        return Promise.reject(new TartletError('AUTH_HELPER', 'the helper is broken', { next: MEND_HELPER }));
      },
      passedOver: ({ message }) => passedOver.push(message),
    };
    return { source, asked: () => asked, passedOver };
  }

  it('is looked up once for reading, however many tokens are needed', async () => {
    const tokens = await tokenService();
    const registry = await scripted({
      [GET]: guarded(tokens.challenge(), (value) => value?.startsWith('Bearer ') === true),
    });
    const { source, asked, passedOver } = broken();
    const { client, clock } = clientFor(registry, { credentials: source });
    await client.manifest(TAG);
    clock.elapsed += 3_600_000;
    await client.manifest(TAG);
    expect(tokens.requests).toHaveLength(2);
    expect([asked(), passedOver]).toEqual([1, ['the helper is broken', 'the helper is broken']]);
  });

  it('is named beside the refusal, and is what to repair', async () => {
    const registry = await scripted({ [GET]: wantsBasic });
    const { source, passedOver } = broken();
    await expect(clientFor(registry, { credentials: source }).client.manifest(TAG)).rejects.toMatchObject({
      code: 'AUTH_HELPER',
      message:
        `${registry.authority} wants to know who we are before it lets us pull a/b; ` +
        'the login for it cannot be used: the helper is broken',
      facts: { status: 401, next: MEND_HELPER },
    });
    expect(passedOver).toEqual([]);
  });

  it('is named where the registry forbids', async () => {
    const registry = await scripted({ [GET]: { status: 403 } });
    await expect(clientFor(registry, { credentials: broken().source }).client.manifest(TAG)).rejects.toMatchObject({
      code: 'AUTH_DENIED',
      message: `${registry.authority} does not let us pull a/b anonymously (the login for it cannot be used: the helper is broken)`,
    });
  });

  it('is the error of whatever writes', async () => {
    const tokens = await tokenService();
    const registry = await scripted({ [`PUT ${PATH}`]: tokens.challenge() });
    const { client } = clientFor(registry, { credentials: broken().source });
    await expect(client.putManifest(TAG, Buffer.from(MANIFEST), 'x/y')).rejects.toMatchObject({
      code: 'AUTH_HELPER',
      message: 'the helper is broken',
    });
    expect(tokens.requests).toHaveLength(0);
  });
});

describe('403 from the registry (N35)', () => {
  it('is final and says as whom', async () => {
    const registry = await scripted({ [GET]: { status: 403, body: '{"errors":[{"code":"DENIED","message":"no"}]}' } });
    await expect(clientFor(registry, { credentials: password() }).client.manifest(TAG)).rejects.toMatchObject({
      code: 'AUTH_DENIED',
      message: `${registry.authority} does not let us pull a/b as "ci" (the test): DENIED: no`,
    });
    expect(registry.requests).toHaveLength(1);
  });
});

describe('a realm', () => {
  const challenge = (realm: string): Answer => ({
    status: 401,
    headers: { 'www-authenticate': `Bearer realm="${realm}"` },
  });

  it.each([
    'file:///etc/passwd',
    'unix:/run/x',
    'http://',
    'http://u:p@127.0.0.1/token',
    'ftp://127.0.0.1/',
    'http://auth.example/token',
  ])('is refused: %s (S5)', async (realm) => {
    const registry = await scripted({ [GET]: challenge(realm) });
    await expect(clientFor(registry, { credentials: password() }).client.manifest(TAG)).rejects.toMatchObject({
      code: 'AUTH_REALM',
    });
  });

  it('on a foreign host never sees the password, on any path (S6, S7) (tart-cli §7 #6)', async () => {
    const tokens = await tokenService();
    // The registry is called by a name, the realm by an address: two hosts, both plain HTTP, so that nothing else
    // protects the password.
    const registry = await scripted(
      {
        [GET]: challenge(tokens.realm.replace('127.0.0.1', 'evil.localhost')),
        [`PUT ${PATH}`]: challenge(tokens.realm.replace('127.0.0.1', 'evil.localhost')),
      },
      { name: 'localhost' },
    );
    const { client } = clientFor(registry, { credentials: password() });
    await expect(client.manifest(TAG)).rejects.toMatchObject({ code: 'AUTH_REALM' });
    await expect(client.putManifest(TAG, Buffer.from(MANIFEST), 'x/y')).rejects.toMatchObject({ code: 'AUTH_REALM' });
    expect(tokens.requests).toHaveLength(0);
  });

  it('over https gets no password unless it belongs to the registry (S6)', async () => {
    const registry = await scripted({ [GET]: challenge('https://evil.test/token') });
    await expect(clientFor(registry, { credentials: password() }).client.manifest(TAG)).rejects.toMatchObject({
      code: 'AUTH_REALM',
      message: `${registry.authority} wants your password sent to evil.test: not sent`,
    });
  });

  it('that redirects is not followed (S8)', async () => {
    const trap = await scripted();
    const tokens = await tokenService();
    tokens.answer = () => ({ status: 302, headers: { location: `${trap.origin}/token` } });
    const registry = await scripted({ [GET]: tokens.challenge() });
    await expect(clientFor(registry, { credentials: password() }).client.manifest(TAG)).rejects.toMatchObject({
      code: 'AUTH_REALM',
    });
    expect(trap.requests).toHaveLength(0);
  });
});

describe('an authenticator for other threads', () => {
  it('fetches one token for two clients, and passes errors on', async () => {
    const tokens = await tokenService();
    const registry = await scripted({
      [GET]: guarded(tokens.challenge(), (value) => value === 'Bearer token-1'),
      'GET /v2/a/b/manifests/secret': { status: 401 },
    });
    const main = clientFor(registry, { credentials: password() }).client;
    const channel = new MessageChannel();
    const stop = serveAuthenticator(main.authenticator, channel.port1);
    const worker = clientFor(registry, { authenticator: remoteAuthenticator(channel.port2) }).client;
    await Promise.all([main.manifest(TAG), worker.manifest(TAG)]);
    expect(tokens.requests).toHaveLength(1);
    await expect(worker.manifest({ tag: Tag.parse('secret') })).rejects.toMatchObject({
      name: 'TartletError',
      code: 'AUTH_REQUIRED',
      facts: { status: 401 },
    });
    expect(await worker.authenticator.identity()).toBe('as "ci" (the test)');
    stop();
  });

  it('fails open questions when the port closes', async () => {
    const channel = new MessageChannel();
    const remote = remoteAuthenticator(channel.port2);
    const question = remote.authorization({ action: 'pull' });
    channel.port1.close();
    await expect(question).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });
});
