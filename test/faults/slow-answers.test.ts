import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/registry/request/clock.ts';
import { openTunnel, proxyFor } from '../../src/registry/transport/connect/proxy.ts';
import type { RegistryClient } from '../../src/registry/client.ts';
import { Tag } from '../../src/names/tag.ts';
import type { Answer, ScriptedRegistry } from '../support/scripted-registry.ts';
import { after, blobOf, clientFor, collect, password, scripted, tokenService } from '../registry/world.ts';
import { DrippingPort } from '../support/dripping-port.ts';

/*
 * Servers that send just enough to keep a connection alive, and nothing that is of use. Each of them held a command for
 * ever once. Seconds are milliseconds here; the clock is the real one.
 */

const BLOB = blobOf(2000);
const BLOB_PATH = `/v2/a/b/blobs/${BLOB.digest.toString()}`;
const MANIFEST_PATH = '/v2/a/b/manifests/x';
const UPLOADS = '/v2/a/b/blobs/uploads/';

/** Two waits that use up their time are all that is borne, of the six tries that other troubles have. */
const FAST = {
  attempts: 6,
  inVainMs: 350,
  backoffMs: 1,
  headersMs: 200,
  bodyIdleMs: 200,
  connectMs: 200,
  trickleMs: 200,
  drainMs: 100,
};

/** One byte now and then, and more bytes than anybody waits for. */
function trickle(status: number, headers: Answer['headers'] = {}): Answer {
  return { status, headers, body: Array<string>(100_000).fill(' '), everyMs: 10 };
}
const INTERIM: Answer = { interimMs: 10 };

function client(registry: ScriptedRegistry): RegistryClient {
  return clientFor(registry, { change: FAST, clock: systemClock, credentials: password() }).client;
}

async function tagsOf(asked: RegistryClient): Promise<string[]> {
  const tags: string[] = [];
  for await (const tag of asked.tags()) tags.push(tag);
  return tags;
}

function upload(asked: RegistryClient): Promise<void> {
  return asked.uploadBlob({ ...BLOB, open: () => BLOB.bytes });
}

const READING: readonly (readonly [string, string, (asked: RegistryClient) => Promise<unknown>])[] = [
  ['a manifest', `GET ${MANIFEST_PATH}`, (asked) => asked.manifest({ tag: Tag.parse('x') })],
  ['a blob', `GET ${BLOB_PATH}`, (asked) => collect(asked.blob(BLOB))],
  [
    'a blob straight from the socket',
    `GET ${BLOB_PATH}`,
    (asked) => collect(asked.blob(BLOB, { transientChunks: true })),
  ],
  ['a list of tags', 'GET /v2/a/b/tags/list', tagsOf],
];

describe('a body of one byte now and then', () => {
  it.each(READING)('is not waited for: %s (N61, S20)', async (_what, route, read) => {
    const registry = await scripted({ [route]: trickle(200, { 'content-length': '2000' }) });
    await expect(read(client(registry))).rejects.toMatchObject({
      code: 'NET_TIMEOUT',
      message: expect.stringContaining('sends next to nothing') as string,
    });
    expect(registry.requests).toHaveLength(2);
  });

  it.each([
    ['a manifest', `GET ${MANIFEST_PATH}`, (asked: RegistryClient) => asked.manifest({ tag: Tag.parse('x') })],
    ['a blob', `GET ${BLOB_PATH}`, (asked: RegistryClient) => collect(asked.blob(BLOB))],
    ['an upload', `POST ${UPLOADS}`, upload],
    ['a login', 'GET /v2/', (asked: RegistryClient) => asked.ping()],
  ])('does not hide the refusal of %s (N61, S20)', async (_what, route, ask) => {
    const registry = await scripted({ '*': { status: 404 }, [route]: trickle(403) });
    await expect(ask(client(registry))).rejects.toMatchObject({ code: 'AUTH_DENIED' });
  });

  it('is not waited for: a token (N61, S20)', async () => {
    const tokens = await tokenService();
    tokens.answer = () => trickle(200);
    const registry = await scripted({ '*': tokens.challenge('repository:a/b:pull') });
    await expect(client(registry).manifest({ tag: Tag.parse('x') })).rejects.toMatchObject({ code: 'NET_TIMEOUT' });
    expect(tokens.requests).toHaveLength(2);
  });

  it('is no reason to wait where it is not read: the end of an upload (N61, S20)', async () => {
    const registry = await scripted({
      '*': { status: 404 },
      [`POST ${UPLOADS}`]: { ...trickle(202, { location: `${UPLOADS}1` }) },
      [`PATCH ${UPLOADS}1`]: trickle(202, { location: `${UPLOADS}1` }),
      [`PUT ${UPLOADS}1`]: trickle(201),
    });
    await upload(client(registry));
    expect(registry.log.at(-1)).toMatch(/^PUT /);
  });

  it('is read to its end when the reader is what is slow, and not the line (N13)', async () => {
    const pieces = Array.from({ length: 10 }, (_, part) => BLOB.bytes.subarray(part * 200, part * 200 + 200));
    const registry = await scripted({ [`GET ${BLOB_PATH}`]: [{ body: pieces }] });
    const { client: asked, clock } = clientFor(registry, { change: { trickleMs: 1000 } });
    let bytes = 0;
    for await (const piece of asked.blob(BLOB)) {
      bytes += piece.length;
      clock.elapsed += 10_000;
    }
    expect(bytes).toBe(2000);
  });
});

describe('a list of tags', () => {
  /** Each page takes its time, and promises another one. */
  const pages =
    (everyMs: number): Answer | ((request: unknown, count: number) => Answer) =>
    (_request, count) => ({
      body: ['{"tags":["', `t${count}`, '"]}'],
      headers: { link: `<?last=${count}>; rel="next"` },
      everyMs,
    });

  it('is not waited for when page after page takes its time and brings next to nothing (N62, S20)', async () => {
    const registry = await scripted({ 'GET /v2/a/b/tags/list': pages(20) });
    const change = { ...FAST, tagsMs: 300, tagsInTime: 100 };
    const { client: asked } = clientFor(registry, { change, clock: systemClock });
    await expect(tagsOf(asked)).rejects.toMatchObject({
      code: 'NET_TIMEOUT',
      message: expect.stringMatching(/^the registry sends the tags of .* too slowly: \d+ in \d+ s/) as string,
    });
    expect(registry.requests.length).toBeLessThan(12);
  });

  it('is read to its end when the reader is what is slow, or the registry asks for time (N62)', async () => {
    const registry = await scripted({
      'GET /v2/a/b/tags/list': [
        { status: 429, headers: { 'retry-after': '60' } },
        { body: '{"tags":["a"]}', headers: { link: '<?last=a>; rel="next"' } },
        { body: '{"tags":["b"]}', headers: { link: '<?last=b>; rel="next"' } },
        { body: '{"tags":["c"]}' },
      ],
    });
    const { client: asked, clock } = clientFor(registry, { change: { tagsMs: 1000, tagsInTime: 100 } });
    const tags: string[] = [];
    for await (const tag of asked.tags()) {
      tags.push(tag);
      clock.elapsed += 10_000;
    }
    expect(tags).toEqual(['a', 'b', 'c']);
  });
});

describe('interim answers without end', () => {
  const asking: typeof READING = [
    ...READING,
    ['whether a blob is there', `HEAD ${BLOB_PATH}`, (asked) => asked.blobExists(BLOB)],
    ['a login', 'GET /v2/', (asked) => asked.ping()],
    ['the beginning of an upload', `POST ${UPLOADS}`, upload],
  ];
  it.each(asking)('are not waited through: %s (N12, N25)', async (_what, route, ask) => {
    const registry = await scripted({ '*': { status: 404 }, [route]: INTERIM });
    await expect(ask(client(registry))).rejects.toMatchObject({
      code: 'NET_TIMEOUT',
      message: expect.stringContaining('interim answers') as string,
    });
    // Twice, and once more where the direct way leaves it to the library.
    const asked = registry.requests.filter(({ method, path }) => `${method} ${path}` === route);
    expect(asked.length).toBeLessThanOrEqual(3);
  });

  it('are not waited through: a token (N12, N25)', async () => {
    const tokens = await tokenService();
    tokens.answer = () => INTERIM;
    const registry = await scripted({ '*': tokens.challenge('repository:a/b:pull') });
    await expect(client(registry).manifest({ tag: Tag.parse('x') })).rejects.toMatchObject({ code: 'NET_TIMEOUT' });
  });

  it('are not waited through: the end of an upload (N12, N25)', async () => {
    const registry = await scripted({
      '*': { status: 404 },
      [`POST ${UPLOADS}`]: { status: 202, headers: { location: `${UPLOADS}1` } },
      [`PATCH ${UPLOADS}1`]: INTERIM,
      [`PUT ${UPLOADS}1`]: INTERIM,
    });
    await expect(upload(client(registry))).rejects.toMatchObject({ code: 'NET_TIMEOUT' });
  });
});

describe('a port that drips', () => {
  async function dripping(...parameters: Parameters<typeof DrippingPort.start>): Promise<DrippingPort> {
    const port = await DrippingPort.start(...parameters);
    after(() => port.close());
    return port;
  }

  it('is no tunnel (N11, N13)', async () => {
    const port = await dripping('HTTP/1.1 200 OK\r\nX-A: ', 'a');
    const proxy = proxyFor(new URL('https://registry.example'), { HTTPS_PROXY: `http://127.0.0.1:${port.number}` });
    if (proxy === undefined) throw new Error('there is a proxy');
    const tunnel = openTunnel(proxy, new URL('https://registry.example'), { timeoutMs: 200, userAgent: 'x' });
    await expect(tunnel).rejects.toMatchObject({ code: 'NET_PROXY' });
  });
});
