import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { descriptor, imageManifest, OCI_INDEX, OCI_MANIFEST, sha256, startRegistry } from '../running-registry.ts';

const REPOSITORY = 'team/macos';
const MANIFESTS = `/v2/${REPOSITORY}/manifests`;
const typed = (type: string): { headers: { 'Content-Type': string } } => ({ headers: { 'Content-Type': type } });

describe('a manifest', () => {
  it('comes back byte for byte, by tag and by digest', async () => {
    const { send, pushBlob } = await startRegistry();
    for (const blob of ['{}', 'layer']) await pushBlob(REPOSITORY, blob);
    // Spaces and an unknown field: nothing may be re-encoded.
    const manifest = imageManifest('{}', ['layer'], { custom: { '1': [] } }).replace('{', '{ \n');
    const pushed = await send('PUT', `${MANIFESTS}/latest`, { ...typed(OCI_MANIFEST), body: manifest });
    expect(pushed.status).toBe(201);
    expect(pushed.headers.location).toBe(`${MANIFESTS}/${sha256(manifest)}`);
    expect(pushed.headers['docker-content-digest']).toBe(sha256(manifest));
    for (const reference of ['latest', sha256(manifest)]) {
      const { status, headers, body } = await send('GET', `${MANIFESTS}/${reference}`);
      expect([status, body.toString()]).toEqual([200, manifest]);
      expect(headers['content-type']).toBe(OCI_MANIFEST);
      expect(headers['docker-content-digest']).toBe(sha256(manifest));
      const head = await send('HEAD', `${MANIFESTS}/${reference}`);
      expect([head.status, head.headers['content-length']]).toEqual([200, String(manifest.length)]);
    }
  });

  it.each([
    'application/vnd.docker.distribution.manifest.v2+json',
    'application/vnd.oci.image.manifest.v1+json; charset=utf-8',
  ])('keeps the type %s', async (type) => {
    const { send, pushBlob } = await startRegistry();
    for (const blob of ['{}', 'layer']) await pushBlob(REPOSITORY, blob);
    const [bare = ''] = type.split(';');
    const manifest = imageManifest('{}', ['layer'], { mediaType: bare });
    expect((await send('PUT', `${MANIFESTS}/a`, { ...typed(type), body: manifest })).status).toBe(201);
    expect((await send('GET', `${MANIFESTS}/a`)).headers['content-type']).toBe(bare);
  });

  it('is refused while blobs are missing, which are named', async () => {
    const { send, pushBlob } = await startRegistry();
    await pushBlob(REPOSITORY, '{}');
    await pushBlob('team/other', 'layer');
    const manifest = imageManifest('{}', ['layer']);
    const { status, codes, body } = await send('PUT', `${MANIFESTS}/a`, { ...typed(OCI_MANIFEST), body: manifest });
    expect([status, codes]).toEqual([404, ['MANIFEST_BLOB_UNKNOWN']]);
    expect(body.toString()).toContain(sha256('layer'));
    expect((await send('GET', `${MANIFESTS}/a`)).codes).toEqual(['MANIFEST_UNKNOWN']);
  });

  it('may have layers that live elsewhere', async () => {
    const { send, pushBlob } = await startRegistry();
    await pushBlob(REPOSITORY, '{}');
    const elsewhere = {
      ...descriptor('application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', 'far away'),
      urls: ['https://example.com/blob'],
    };
    const manifest = imageManifest('{}', [], { layers: [elsewhere] });
    expect((await send('PUT', `${MANIFESTS}/a`, { ...typed(OCI_MANIFEST), body: manifest })).status).toBe(201);
    const claimed = imageManifest('{}', [], { layers: [{ ...elsewhere, mediaType: 'application/octet-stream' }] });
    expect((await send('PUT', `${MANIFESTS}/b`, { ...typed(OCI_MANIFEST), body: claimed })).status).toBe(404);
  });

  it.each([
    ['text that is no JSON', OCI_MANIFEST, 'hello'],
    ['a list', OCI_MANIFEST, '[]'],
    ['schema version 1', OCI_MANIFEST, '{"schemaVersion":1}'],
    ['no layers', OCI_MANIFEST, JSON.stringify({ schemaVersion: 2, config: descriptor('a/b', '{}') })],
    ['a digest that is none', OCI_MANIFEST, '{"schemaVersion":2,"config":{"digest":"sha256:../../x"},"layers":[]}'],
    ['another type in the header', OCI_INDEX, imageManifest('{}', [])],
    ['image and index at once', OCI_MANIFEST, imageManifest('{}', [], { manifests: [] })],
    ['an unknown type', 'application/json', imageManifest('{}', [], { mediaType: 'application/json' })],
    ['a key twice', OCI_MANIFEST, `{"schemaVersion":2,"schemaVersion":2,${imageManifest('{}', []).slice(1)}`],
  ])('is refused with %s', async (_, type, body) => {
    const { send, pushBlob } = await startRegistry();
    await pushBlob(REPOSITORY, '{}');
    const { status, codes } = await send('PUT', `${MANIFESTS}/a`, { ...typed(type), body });
    expect([status, codes]).toEqual([400, ['MANIFEST_INVALID']]);
  });

  it('is refused under a digest that is not its own', async () => {
    const { send, pushBlob } = await startRegistry();
    await pushBlob(REPOSITORY, '{}');
    const body = imageManifest('{}', []);
    const { status, codes } = await send('PUT', `${MANIFESTS}/${sha256('other')}`, { ...typed(OCI_MANIFEST), body });
    expect([status, codes]).toEqual([400, ['DIGEST_INVALID']]);
    expect((await send('PUT', `${MANIFESTS}/sha256:bad`, { ...typed(OCI_MANIFEST), body })).codes).toEqual([
      'DIGEST_INVALID',
    ]);
  });

  it('is refused over 4 MiB, announced or streamed, and taken just below (S43)', async () => {
    const { send, pushBlob } = await startRegistry();
    await pushBlob(REPOSITORY, '{}');
    const empty = imageManifest('{}', [], { annotations: { a: '' } });
    const sized = (bytes: number): string =>
      imageManifest('{}', [], { annotations: { a: 'x'.repeat(bytes - empty.length) } });
    const limit = 4 * 1024 * 1024;
    expect((await send('PUT', `${MANIFESTS}/a`, { ...typed(OCI_MANIFEST), body: sized(limit) })).status).toBe(201);
    for (const transfer of [{}, { 'Transfer-Encoding': 'chunked' }]) {
      const headers = { 'Content-Type': OCI_MANIFEST, ...transfer };
      const { status, codes } = await send('PUT', `${MANIFESTS}/b`, { headers, body: sized(limit + 1) });
      expect([status, codes]).toEqual([413, ['SIZE_INVALID']]);
    }
    expect((await send('GET', `${MANIFESTS}/b`)).status).toBe(404);
  });

  it('may be pushed by a sha512 digest with tags beside it', async () => {
    const { send, pushBlob } = await startRegistry();
    await pushBlob(REPOSITORY, '{}');
    const body = imageManifest('{}', []);
    const digest = `sha512:${createHash('sha512').update(body).digest('hex')}`;
    const pushed = await send('PUT', `${MANIFESTS}/${digest}?tag=one&tag=two`, { ...typed(OCI_MANIFEST), body });
    expect([pushed.status, pushed.headers['oci-tag']]).toEqual([201, 'one, two']);
    expect((await send('HEAD', `${MANIFESTS}/two`)).headers['docker-content-digest']).toBe(digest);
  });
});

describe('an index', () => {
  it('is taken when its children are here', async () => {
    const { send, pushImage } = await startRegistry();
    const child = await pushImage(REPOSITORY, 'arm64');
    const entry = { mediaType: OCI_MANIFEST, digest: child, size: 1 };
    const index = (manifests: object[]): string =>
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
    const put = async (manifests: object[]): Promise<number> =>
      (await send('PUT', `${MANIFESTS}/multi`, { ...typed(OCI_INDEX), body: index(manifests) })).status;
    expect(await put([entry, { ...entry, digest: sha256('missing') }])).toBe(404);
    expect(await put([entry])).toBe(201);
    expect((await send('GET', `${MANIFESTS}/multi`)).headers['content-type']).toBe(OCI_INDEX);
  });
});

describe('tags', () => {
  it('that differ in letter case are two tags', async () => {
    const { send, pushImage } = await startRegistry();
    const upper = await pushImage(REPOSITORY, 'V1');
    const lower = await pushImage(REPOSITORY, 'v1');
    expect(upper).not.toBe(lower);
    expect((await send('HEAD', `${MANIFESTS}/V1`)).headers['docker-content-digest']).toBe(upper);
    expect((await send('HEAD', `${MANIFESTS}/v1`)).headers['docker-content-digest']).toBe(lower);
    expect((await send('HEAD', `${MANIFESTS}/v1%1`)).status).toBe(400);
  });

  it('move to the manifest pushed last', async () => {
    const { send, pushImage } = await startRegistry();
    const old = await pushImage(REPOSITORY, 'latest');
    const current = await pushImage(REPOSITORY, 'latest', { annotations: { build: '2' } });
    expect((await send('HEAD', `${MANIFESTS}/latest`)).headers['docker-content-digest']).toBe(current);
    expect((await send('HEAD', `${MANIFESTS}/${old}`)).status).toBe(200);
  });
});

describe('deleting', () => {
  it('a tag leaves the manifest', async () => {
    const { send, pushImage } = await startRegistry();
    const digest = await pushImage(REPOSITORY, 'a');
    expect((await send('DELETE', `${MANIFESTS}/a`)).status).toBe(202);
    expect((await send('GET', `${MANIFESTS}/a`)).status).toBe(404);
    expect((await send('GET', `${MANIFESTS}/${digest}`)).status).toBe(200);
    expect((await send('DELETE', `${MANIFESTS}/a`)).codes).toEqual(['MANIFEST_UNKNOWN']);
  });

  it('a manifest takes its tags along, and no others', async () => {
    const { send, pushImage } = await startRegistry();
    const digest = await pushImage(REPOSITORY, 'a');
    const { body } = await send('GET', `${MANIFESTS}/a`);
    await send('PUT', `${MANIFESTS}/b`, { ...typed(OCI_MANIFEST), body });
    await pushImage(REPOSITORY, 'c');
    expect((await send('DELETE', `${MANIFESTS}/${digest}`)).status).toBe(202);
    expect(JSON.parse((await send('GET', `/v2/${REPOSITORY}/tags/list`)).body.toString())).toEqual({
      name: REPOSITORY,
      tags: ['c'],
    });
    expect((await send('DELETE', `${MANIFESTS}/${digest}`)).status).toBe(404);
  });
});
