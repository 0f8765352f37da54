import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import { Digest } from '../../src/names/digest.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { parseManifest, requireImage } from '../../src/oci/manifest.ts';
import { type FlatImage, parseTartImage } from '../../src/oci/tart-image.ts';
import type { RegistryClient } from '../../src/registry/client.ts';
import { findBootOrder, publishBootOrder } from '../../src/transfer/boot-order.ts';
import { copyImage } from '../../src/transfer/copy/copy.ts';
import { startCache } from '../mirror/running-cache.ts';
import { freshSession } from '../support/home.ts';
import { patternBytes } from '../support/memory-device.ts';
import { type MeddlingRegistry, startMeddlingRegistry } from '../support/meddling-registry.ts';
import { plantInRegistry } from '../support/planted-image.ts';
import { json, sha256, tinyImage } from '../support/tart-image.ts';

const MIB = 1024 * 1024;
const SIGNAL = new AbortController().signal;
const ORDER_TYPE = 'application/vnd.tartlet.boot-order.v1+json';
const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CREATED = 'org.opencontainers.image.created';
const tiny = tinyImage({ chunks: [patternBytes(4 * MIB, 'disk')] });
const TAG = tiny.digest.replace(':', '-');

interface Place {
  readonly registry: MeddlingRegistry;
  readonly client: RegistryClient;
  readonly image: FlatImage;
}

async function place(): Promise<Place> {
  const registry = await startMeddlingRegistry();
  await plantInRegistry(registry, 'org/vm', '1', tiny);
  const session = freshSession({ limits: { attempts: 1 } });
  const client = await session.client(RemoteName.parse(`${registry.at}/org/vm:1`), false);
  onTestFinished(async () => client.close());
  const image = parseTartImage(requireImage(parseManifest(tiny.manifest), 'the image'), 'the image');
  if (image.layout !== 'flat') throw new Error('stacked');
  await client.manifest({ digest: image.manifest.digest });
  registry.requests.length = 0;
  return { registry, client, image };
}

async function publish({ client, image }: Place, order: readonly number[], created: string): Promise<Digest> {
  return publishBootOrder(client, { image: image.manifest, order, created }, SIGNAL);
}

/** What registries do that keep no lists of referrers. */
function withoutLists({ registry }: Place): void {
  registry.meddle = ({ url = '' }, response) => {
    const isList = url.includes('/referrers/');
    if (isList) response.writeHead(404).end('404 page not found');
    return isList;
  };
}

it('is found by two requests', async () => {
  const at = await place();
  const digest = await publish(at, [3, 0, 1], '2026-01-02T03:04:05.000Z');
  at.registry.requests.length = 0;
  const found = await findBootOrder(at.client, at.image, SIGNAL);
  expect(found).toStrictEqual({ order: [3, 0, 1], digest, created: '2026-01-02T03:04:05.000Z' });
  expect(at.registry.requests).toStrictEqual([
    `GET /v2/org/vm/referrers/${tiny.digest}?artifactType=${encodeURIComponent(ORDER_TYPE)}`,
    `GET /v2/org/vm/manifests/${digest.toString()}`,
  ]);
  expect(
    JSON.parse((await at.registry.get(`/v2/org/vm/manifests/${digest.toString()}`))?.toString() ?? ''),
  ).toMatchObject({
    artifactType: ORDER_TYPE,
    config: { mediaType: 'application/vnd.oci.empty.v1+json' },
    layers: [{ mediaType: ORDER_TYPE }],
    subject: { mediaType: OCI_MANIFEST, digest: tiny.digest, size: tiny.manifest.length },
    annotations: { [CREATED]: '2026-01-02T03:04:05.000Z' },
  });
});

it('is found by a tag where the registry keeps no list of what refers to an image', async () => {
  const at = await place();
  withoutLists(at);
  const signature = { mediaType: OCI_MANIFEST, digest: sha256(tiny.manifest), size: 1, artifactType: 'a/signature' };
  await at.registry.pushManifest(
    'org/vm',
    TAG,
    json({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [signature] }),
    'application/vnd.oci.image.index.v1+json',
  );
  await publish(at, [0, 1], '2026-01-02T03:04:05Z');
  const digest = await publish(at, [2, 1], '2026-01-03T03:04:05Z');
  expect(await findBootOrder(at.client, at.image, SIGNAL)).toMatchObject({ order: [2, 1], digest });
  // The newest takes the place of the one before, and nothing else is touched.
  const list = JSON.parse((await at.registry.get(`/v2/org/vm/manifests/${TAG}`))?.toString() ?? '') as {
    manifests: unknown[];
  };
  expect(list.manifests).toMatchObject([signature, { artifactType: ORDER_TYPE, digest: digest.toString() }]);
});

it('leaves a tag alone that is no list, although it is called like one', async () => {
  const at = await place();
  withoutLists(at);
  await at.registry.pushManifest('org/vm', TAG, tiny.manifest, OCI_MANIFEST);
  await expect(publish(at, [0, 1], '2026-01-02T03:04:05Z')).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
  expect((await at.registry.get(`/v2/org/vm/manifests/${TAG}`))?.equals(tiny.manifest)).toBe(true);
});

it('is the newest of several, whatever the order of their list, and of those of one time the same for all', async () => {
  const at = await place();
  await publish(at, [1], '2026-01-02T00:00:00Z');
  await publish(at, [2], '2026-03-01T00:00:00Z');
  await publish(at, [3], '2026-02-01T00:00:00Z');
  expect((await findBootOrder(at.client, at.image, SIGNAL))?.order).toStrictEqual([2]);
  const both = [await publish(at, [0], '2027-01-01T00:00:00Z'), await publish(at, [3], '2027-01-01T01:00:00+01:00')];
  const [first] = both.toSorted((a, b) => (a.toString() < b.toString() ? -1 : 1));
  expect(
    (await findBootOrder(at.client, at.image, SIGNAL))?.digest.equals(first ?? both[0] ?? Digest.of(tiny.manifest)),
  ).toBe(true);
});

it('is none where there is none', async () => {
  const at = await place();
  expect(await findBootOrder(at.client, at.image, SIGNAL)).toBeUndefined();
  withoutLists(at);
  expect(await findBootOrder(at.client, at.image, SIGNAL)).toBeUndefined();
  expect(at.registry.requests).toHaveLength(3);
});

const DOCUMENT = Buffer.from('{"version":1,"touched":[[0,2]]}');

/** A referrer that some other program wrote. */
async function plantReferrer({ registry }: Place, layer: object, subject: object = {}): Promise<string> {
  const empty = Buffer.from('{}');
  await registry.pushBlob('org/vm', empty, sha256(empty));
  await registry.pushBlob('org/vm', DOCUMENT, sha256(DOCUMENT));
  const bytes = json({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType: ORDER_TYPE,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256(empty), size: 2 },
    layers: [{ mediaType: ORDER_TYPE, digest: sha256(DOCUMENT), size: DOCUMENT.length, ...layer }],
    subject: { mediaType: OCI_MANIFEST, digest: tiny.digest, size: tiny.manifest.length, ...subject },
  });
  await registry.pushManifest('org/vm', sha256(bytes), bytes, OCI_MANIFEST);
  registry.requests.length = 0;
  return sha256(bytes);
}

it('is taken from a blob where another program published it so', async () => {
  const at = await place();
  const digest = await plantReferrer(at, {});
  expect(await findBootOrder(at.client, at.image, SIGNAL)).toStrictEqual({
    order: [0, 1],
    digest: Digest.parse(digest),
    created: undefined,
  });
  expect(at.registry.requests).toHaveLength(3);
});

it.each([
  ['says of another size than it can have', { size: 1_000_000_000 }],
  ['says of no size', { size: -1 }],
  ['is of another type', { mediaType: 'text/html' }],
  ['has other bytes in it than its digest says', { data: Buffer.from('{}').toString('base64') }],
])('is none, and no blob is asked for, where the manifest %s (S99)', async (_, layer) => {
  const at = await place();
  await plantReferrer(at, layer);
  expect(await findBootOrder(at.client, at.image, SIGNAL)).toBeUndefined();
  expect(at.registry.requests).toHaveLength(2);
});

it('is none where the list names a manifest that is of another image (S99)', async () => {
  const at = await place();
  const digest = await plantReferrer(at, {}, { digest: sha256(Buffer.from('another')) });
  at.registry.meddle = ({ url = '' }, response) => {
    const isList = url.includes('/referrers/');
    const entry = { mediaType: OCI_MANIFEST, digest, size: 1, artifactType: ORDER_TYPE };
    if (isList) response.end(json({ schemaVersion: 2, manifests: [{ digest: 'x' }, null, entry] }));
    return isList;
  };
  expect(await findBootOrder(at.client, at.image, SIGNAL)).toBeUndefined();
  expect(at.registry.requests).toHaveLength(2);
});

/** Answers to the question what refers to an image. */
const HOSTILE: readonly (readonly [string, (request: IncomingMessage, response: ServerResponse) => void])[] = [
  ['a page', (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>welcome</html>')],
  [
    'a list that goes on for ever',
    (request, response) => {
      const next = { link: `<${request.url?.replace(/\?.*/, '') ?? ''}?last=x>; rel="next"` };
      response.writeHead(200, next).end(json({ manifests: [] }));
    },
  ],
  ['a gigabyte', (_, response) => response.writeHead(200, { 'content-length': 1_000_000_000 }).write('{"manifests":[')],
  [
    'what has no end',
    (_, response) => {
      response.writeHead(200);
      const more = (): void => {
        while (response.write(' '.repeat(65_536)));
        response.once('drain', more);
      };
      more();
    },
  ],
  ['a way elsewhere', (_, response) => response.writeHead(307, { location: 'http://127.0.0.1:1/elsewhere' }).end()],
  ['an error', (_, response) => response.writeHead(500).end()],
];

it.each(HOSTILE)('is none, or an error that is one, where the registry sends %s (S99)', async (_, answer) => {
  const at = await place();
  at.registry.meddle = (request, response) => {
    const isList = request.url?.includes('/referrers/') === true;
    if (isList) answer(request, response);
    return isList;
  };
  const outcome = await findBootOrder(at.client, at.image, SIGNAL).catch((error: unknown) => error);
  expect(outcome === undefined || (outcome as { name?: string }).name === 'TartletError').toBe(true);
  // The list once, and perhaps the tag that stands for it.
  expect(at.registry.requests.filter((line) => line.includes('/referrers/'))).toHaveLength(1);
  expect(at.registry.requests.length).toBeLessThanOrEqual(2);
});

it('comes along when its image is copied, once however often that is', async () => {
  const at = await place();
  await publish(at, [3, 1], '2026-01-02T03:04:05Z');
  const other = await startMeddlingRegistry();
  const from = RemoteName.parse(`${at.registry.at}/org/vm:1`);
  const to = RemoteName.parse(`${other.at}/elsewhere/vm:1`);
  const session = freshSession();
  await copyImage(session, from, to);
  await copyImage(session, from, to);
  const client = await session.client(to, false);
  onTestFinished(async () => client.close());
  expect(await findBootOrder(client, at.image, SIGNAL)).toMatchObject({
    order: [3, 1],
    created: '2026-01-02T03:04:05.000Z',
  });
  expect(await client.referrers(at.image.manifest.digest)).toHaveLength(1);
});

it.each([
  ['keeps lists of what refers to an image', false],
  ['keeps none, by the tag that stands for them', true],
])('is found through a site cache whose upstream %s', async (_, hasNoLists) => {
  const at = await place();
  if (hasNoLists) withoutLists(at);
  await publish(at, [2, 3], '2026-01-02T03:04:05Z');
  const cache = await startCache([at.registry.at]);
  const name = RemoteName.parse(`127.0.0.1:${cache.port}/${at.registry.at.replace(':', '_')}/org/vm:1`);
  const client = await freshSession().client(name, false);
  onTestFinished(async () => client.close());
  expect((await findBootOrder(client, at.image, SIGNAL))?.order).toStrictEqual([2, 3]);
});

it.each([
  ['does not say which it is', 'GET', []],
  ['does not take it', 'PUT', ['the boot order of TO was not copied: ']],
])('keeps no image from being copied where a registry %s (S99)', async (_, method, notes) => {
  const at = await place();
  await publish(at, [3, 1], '2026-01-02T03:04:05Z');
  const other = await startMeddlingRegistry();
  const refuse = ({ url = '', ...request }: IncomingMessage, response: ServerResponse): boolean => {
    const isIt =
      request.method === method && /\/referrers\/|\/manifests\/sha256:/.test(url) && !url.endsWith(tiny.digest);
    if (isIt) response.writeHead(403).end();
    return isIt;
  };
  at.registry.meddle = refuse;
  other.meddle = refuse;
  const told: string[] = [];
  const session = freshSession({ onEvent: (event) => void (event.kind === 'note' && told.push(event.text)) });
  const to = RemoteName.parse(`${other.at}/elsewhere/vm:1`);
  await copyImage(session, RemoteName.parse(`${at.registry.at}/org/vm:1`), to);
  expect((await other.get('/v2/elsewhere/vm/manifests/1'))?.equals(tiny.manifest)).toBe(true);
  expect(told).toStrictEqual(notes.map((note) => expect.stringContaining(note.replace('TO', to.toString())) as string));
});
