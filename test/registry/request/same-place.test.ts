import { describe, expect, it } from 'vitest';
import { judgeRealm } from '../../../src/registry/auth/realm.ts';
import { proxyFor } from '../../../src/registry/transport/connect/proxy.ts';
import { isSamePlace } from '../../../src/registry/request/same-place.ts';
import { Tag } from '../../../src/names/tag.ts';
import type { Answer, RecordedRequest, ScriptedRegistry } from '../../support/scripted-registry.ts';
import { basicValue, blobOf, clientFor, collect, password, scripted } from '../world.ts';

const BLOB = blobOf(64);
const BLOB_PATH = `/v2/a/b/blobs/${BLOB.digest.toString()}`;
const UPLOADS = '/v2/a/b/blobs/uploads/';

/** The registry by its other name, as it puts it into its own texts. */
const otherName = ({ origin }: ScriptedRegistry): string => origin.replace('127.0.0.1', 'localhost');

/** Answers only with the password. */
function guarded(answer: () => Answer) {
  return ({ headers }: RecordedRequest): Answer =>
    headers['authorization'] === basicValue()
      ? answer()
      : { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } };
}

describe('two names of this machine are one place (Q30)', () => {
  it.each([
    ['http://127.0.0.1:5000', 'http://localhost:5000', true],
    ['http://localhost:5000', 'http://[::1]:5000', true],
    ['http://localhost:5000', 'http://[::ffff:127.0.0.1]:5000', true],
    ['http://127.0.0.1:5000', 'http://127.8.9.10:5000', true],
    ['http://127.0.0.1', 'http://localhost:80', true],
    ['http://127.0.0.1:5000', 'http://localhost:5001', false],
    ['http://127.0.0.1:5000', 'https://localhost:5000', false],
    ['https://127.0.0.1:5000', 'https://localhost:5000', false],
    ['http://127.0.0.1:5000', 'http://evil.localhost:5000', false],
    ['http://127.0.0.1:5000', 'http://localhost.evil.test:5000', false],
    ['http://127.0.0.1:5000', 'http://127.0.0.1.evil.test:5000', false],
    ['http://127.0.0.1:5000', 'http://10.0.0.1:5000', false],
    ['http://127.0.0.1:5000', 'http://[::ffff:10.0.0.1]:5000', false],
    ['http://127.0.0.1:5000', 'http://0.0.0.0:5000', false],
    ['http://registry.example:5000', 'http://localhost:5000', false],
  ])('%s and %s: %s', (one, other, same) => {
    expect(isSamePlace(new URL(one), new URL(other))).toBe(same);
    expect(isSamePlace(new URL(other), new URL(one))).toBe(same);
  });

  it('for the address of an upload, which gets the login, by the name that we came by', async () => {
    const registry = await scripted();
    registry
      .on(
        `POST ${UPLOADS}`,
        guarded(() => ({ status: 202, headers: { location: `${otherName(registry)}/upload/1?state=%2B` } })),
      )
      .on(
        'PUT /upload/1',
        guarded(() => ({ status: 201 })),
      );
    const { client } = clientFor(registry, { credentials: password() });
    await client.uploadBlob({ ...BLOB, open: (from, to) => BLOB.bytes.subarray(from, to) });
    const put = registry.requests.at(-1);
    expect(put?.path).toBe(`/upload/1?state=%2B&digest=${encodeURIComponent(BLOB.digest.toString())}`);
    expect(put?.headers).toMatchObject({ authorization: basicValue(), host: registry.authority });
  });

  it('for a redirect', async () => {
    const registry = await scripted({ 'GET /there': guarded(() => ({ body: BLOB.bytes })) });
    registry.on(
      `GET ${BLOB_PATH}`,
      guarded(() => ({ status: 307, headers: { location: `${otherName(registry)}/there` } })),
    );
    const { client } = clientFor(registry, { credentials: password() });
    expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
  });

  it('for a redirect of a server that insists on its other name', async () => {
    const registry = await scripted();
    registry.on(`GET ${BLOB_PATH}`, ({ headers }) => {
      if (headers['host'] === registry.authority) {
        return { status: 301, headers: { location: `${otherName(registry)}${BLOB_PATH}` } };
      }
      return { body: BLOB.bytes };
    });
    expect(await collect(clientFor(registry).client.blob(BLOB))).toEqual(BLOB.bytes);
  });

  it('for a token service, which sees the password by the name that we came by', async () => {
    const registry = await scripted({ 'GET /token': { body: '{"token":"t"}' } });
    registry.on('GET /v2/a/b/manifests/1', ({ headers }) =>
      headers['authorization'] === 'Bearer t'
        ? { body: '{"schemaVersion":2}' }
        : { status: 401, headers: { 'www-authenticate': `Bearer realm="${otherName(registry)}/token"` } },
    );
    await clientFor(registry, { credentials: password() }).client.manifest({ tag: Tag.parse('1') });
    expect(registry.requests[1]?.headers).toMatchObject({ authorization: basicValue(), host: registry.authority });
  });

  it('for the next page of a list of tags', async () => {
    const registry = await scripted();
    registry.on('GET /v2/a/b/tags/list', (_request, count) =>
      count === 1
        ? { body: '{"tags":["a"]}', headers: { link: `<${otherName(registry)}/v2/a/b/tags/list?last=a>; rel="next"` } }
        : { body: '{"tags":["b"]}' },
    );
    const found: string[] = [];
    for await (const tag of clientFor(registry).client.tags()) found.push(tag);
    expect(found).toEqual(['a', 'b']);
  });

  it.each(['http://localhost:5001/token', 'http://evil.localhost:5000/token', 'http://u:p@localhost:5000/token'])(
    'but not for the token service %s of a registry at 127.0.0.1:5000 (S5)',
    async (realm) => {
      await expect(judgeRealm(realm, 'http://127.0.0.1:5000')).rejects.toMatchObject({ code: 'AUTH_REALM' });
    },
  );

  it('by every spelling, none of which is for a proxy (N10)', () => {
    for (const host of ['localhost', '127.9.9.9', '[::1]', '[::ffff:127.0.0.1]']) {
      expect(proxyFor(new URL(`http://${host}:5000/`), { http_proxy: 'http://proxy.example:3128' })).toBeUndefined();
    }
  });
});
