import { describe, expect, it } from 'vitest';
import type { WireEvent } from '../../src/registry/wire.ts';
import { Tag } from '../../src/names/tag.ts';
import { blobOf, clientFor, collect, password, scripted, tokenService } from './world.ts';

const BLOB = blobOf(64);
const BLOB_PATH = `/v2/a/b/blobs/${BLOB.digest.toString()}`;
const SECRET = 'canary-p6s2';

describe('who listens to the wire', () => {
  it('hears every request and answer: challenges, token services, redirects and refusals', async () => {
    const tokens = await tokenService();
    const store = await scripted({ 'GET /part': { body: BLOB.bytes } }, { name: 'store.localhost' });
    const registry = await scripted({
      [`GET ${BLOB_PATH}`]: ({ headers }, count) => {
        if (headers['authorization'] === undefined) return tokens.challenge();
        if (count === 2) return { status: 503, headers: { 'retry-after': '1' } };
        return { status: 307, headers: { location: `${store.origin}/part` } };
      },
    });
    const events: WireEvent[] = [];
    const { client } = clientFor(registry, { credentials: password(), onWire: (event) => events.push(event) });
    expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);

    const url = `${registry.origin}${BLOB_PATH}`;
    expect(events.map((event) => [event.kind, 'status' in event ? event.status : '', event.method, event.url])).toEqual(
      [
        ['request', '', 'GET', url],
        ['answer', 401, 'GET', url],
        ['request', '', 'GET', `${tokens.realm}?…`],
        ['answer', 200, 'GET', `${tokens.realm}?…`],
        ['request', '', 'GET', url],
        ['answer', 503, 'GET', url],
        ['request', '', 'GET', url],
        ['answer', 307, 'GET', url],
        ['request', '', 'GET', `${store.origin}/part`],
        ['answer', 200, 'GET', `${store.origin}/part`],
      ],
    );
    expect(events[0]).toMatchObject({ headers: [], bodyBytes: undefined });
    expect(events[1]).toMatchObject({
      headers: expect.arrayContaining([
        ['www-authenticate', `Bearer realm="${tokens.realm}",service="registry.example"`],
      ]) as unknown,
    });
    expect(events[2]).toMatchObject({ headers: expect.arrayContaining([['authorization', 'Basic …']]) as unknown });
    expect(events[4]).toMatchObject({ headers: expect.arrayContaining([['authorization', 'Bearer …']]) as unknown });
    expect(events[5]).toMatchObject({ headers: expect.arrayContaining([['retry-after', '1']]) as unknown });
    expect(events[7]).toMatchObject({
      headers: expect.arrayContaining([['location', `${store.origin}/part`]]) as unknown,
    });
  });

  it('hears the size of what is sent, the headers that matter, and a connection that broke', async () => {
    const registry = await scripted({
      [`GET ${BLOB_PATH}`]: { drop: true },
      'PUT /v2/a/b/manifests/x': { status: 201 },
    });
    const events: WireEvent[] = [];
    const { client } = clientFor(registry, { onWire: (event) => events.push(event), change: { attempts: 1 } });
    await client.putManifest({ tag: Tag.parse('x') }, BLOB.bytes, 'application/x');
    expect(events[0]).toEqual({
      kind: 'request',
      method: 'PUT',
      url: `${registry.origin}/v2/a/b/manifests/x`,
      headers: [['content-type', 'application/x']],
      bodyBytes: 64,
    });
    await expect(collect(client.blob(BLOB))).rejects.toMatchObject({ code: 'NET_BROKEN' });
    expect(events.at(-1)).toMatchObject({
      kind: 'failed',
      method: 'GET',
      url: `${registry.origin}${BLOB_PATH}`,
      reason: expect.stringContaining('the connection was closed') as unknown,
    });
  });

  it('hears no secret, wherever one is put (S34)', async () => {
    const tokens = await tokenService();
    tokens.answer = () => ({ body: JSON.stringify({ token: `${SECRET}-token`, refresh_token: SECRET }) });
    const signed = `X-Amz-Signature=${SECRET}&sig=${SECRET}`;
    const store = await scripted(
      { '*': { body: BLOB.bytes, headers: { 'set-cookie': SECRET } } },
      { name: 'store.localhost' },
    );
    const leaks = {
      'set-cookie': `sid=${SECRET}`,
      'x-amz-security-token': SECRET,
      'docker-upload-uuid': SECRET,
      'x-registry-auth': SECRET,
      'authentication-info': SECRET,
      server: `nginx password=${SECRET} https://ci:${SECRET}@h/?sig=${SECRET}`,
      warning: `299 - "Bearer ${SECRET}-${SECRET}, https://h/x?token=${SECRET}"`,
    };
    const upload = `/v2/a/b/blobs/uploads/01234567${SECRET}`;
    const registry = await scripted({
      '*': ({ method, path, headers }) => {
        if (headers['authorization'] === undefined) {
          const challenge = `Bearer realm="${tokens.realm}?key=${SECRET}",service="s",error="token=${SECRET}"`;
          return { status: 401, headers: { ...leaks, 'www-authenticate': challenge } };
        }
        if (method === 'POST') return { status: 202, headers: { ...leaks, location: `${upload}?_state=${SECRET}` } };
        if (method === 'PUT') return { status: 201, headers: leaks };
        if (path === BLOB_PATH)
          return { status: 307, headers: { ...leaks, location: `${store.origin}/part?${signed}` } };
        return { status: 404, headers: leaks, body: SECRET };
      },
    });
    const events: WireEvent[] = [];
    const { client } = clientFor(registry, {
      credentials: password('ci', SECRET),
      onWire: (event) => events.push(event),
    });
    await collect(client.blob(BLOB));
    await client.uploadBlob({ ...BLOB, open: () => BLOB.bytes });
    await client.headManifest({ tag: Tag.parse('x') });

    const told = JSON.stringify(events);
    expect(tokens.requests[0]?.headers['authorization']).toContain(Buffer.from(`ci:${SECRET}`).toString('base64'));
    expect(registry.requests.some(({ path }) => path.includes(`_state=${SECRET}`))).toBe(true);
    expect(events.length).toBeGreaterThan(10);
    for (const spelling of [
      SECRET,
      Buffer.from(`ci:${SECRET}`).toString('base64'),
      encodeURIComponent(SECRET),
      'set-cookie',
    ])
      expect(told).not.toContain(spelling);
    expect(told).toContain('/v2/a/b/blobs/uploads/01234567…?…');
  });
});
