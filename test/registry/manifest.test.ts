import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Digest } from '../../src/names/digest.ts';
import { Tag } from '../../src/names/tag.ts';
import { clientFor, digestOf, scripted } from './world.ts';

const MANIFEST = '{"schemaVersion":2,"layers":[]}';
const DIGEST = digestOf(MANIFEST);
const OTHER = digestOf('other');
const OCI = 'application/vnd.oci.image.manifest.v1+json';
const BY_TAG = '/v2/a/b/manifests/latest';
const BY_DIGEST = `/v2/a/b/manifests/${DIGEST.toString()}`;
const TAG = { tag: Tag.parse('latest') };

describe('reading a manifest', () => {
  it('gives the bytes, the media type and the digest of the bytes (Q1: no digest header)', async () => {
    const registry = await scripted({ [`GET ${BY_TAG}`]: { headers: { 'content-type': OCI }, body: MANIFEST } });
    const { client } = clientFor(registry);
    const { bytes, mediaType, digest } = await client.manifest(TAG);
    expect(Buffer.from(bytes).toString()).toBe(MANIFEST);
    expect(mediaType).toBe(OCI);
    expect(digest.equals(DIGEST)).toBe(true);
  });

  it('asks for manifests and indexes of OCI and Docker, and says who it is', async () => {
    const registry = await scripted({ [`GET ${BY_TAG}`]: { body: MANIFEST } });
    await clientFor(registry).client.manifest(TAG);
    expect(registry.requests[0]?.headers).toMatchObject({
      accept:
        'application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json',
      'accept-encoding': 'identity',
      'user-agent': 'Tartlet/0 (test)',
    });
  });

  it.each(['sha256:zz', OTHER.toString(), DIGEST.toString().toUpperCase(), 'md5:abc', '../../x'])(
    'does not believe the digest header %j (Q2)',
    async (header) => {
      const registry = await scripted({
        [`GET ${BY_TAG}`]: { headers: { 'docker-content-digest': header }, body: MANIFEST },
      });
      expect((await clientFor(registry).client.manifest(TAG)).digest.toString()).toBe(DIGEST.toString());
    },
  );

  it('refuses other bytes than the digest promises, and names both digests (Q3, S15)', async () => {
    const registry = await scripted({ [`GET ${BY_DIGEST}`]: { body: 'other' } });
    await expect(clientFor(registry).client.manifest({ digest: DIGEST })).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      facts: { expected: DIGEST.toString(), found: OTHER.toString() },
    });
  });

  it.each([
    ['missing', {}, ''],
    ['with charset', { 'content-type': `${OCI}; charset=utf-8` }, OCI],
    ['in upper case', { 'content-type': 'Text/Plain' }, 'text/plain'],
    [
      'of Docker',
      { 'content-type': 'application/vnd.docker.distribution.manifest.v2+json' },
      'application/vnd.docker.distribution.manifest.v2+json',
    ],
  ])('hands on a Content-Type %s (Q18)', async (_title, headers: Record<string, string>, expected) => {
    const registry = await scripted({ [`GET ${BY_TAG}`]: { headers, body: MANIFEST } });
    expect((await clientFor(registry).client.manifest(TAG)).mediaType).toBe(expected);
  });

  it.each([
    ['says so', { 'content-type': 'text/html; charset=utf-8' }, 'Welcome'],
    ['looks so', {}, '\n <!DOCTYPE html><title>Log in</title>'],
  ])('takes no HTML page for a manifest when it %s (N51)', async (_title, headers: Record<string, string>, body) => {
    const registry = await scripted({ [`GET ${BY_TAG}`]: { headers, body } });
    await expect(clientFor(registry).client.manifest(TAG)).rejects.toMatchObject({
      code: 'NET_PROTOCOL',
      message: expect.stringContaining('HTML page instead of a manifest') as string,
    });
  });

  it('decodes a body that was compressed unasked (N50)', async () => {
    const registry = await scripted({
      [`GET ${BY_DIGEST}`]: { headers: { 'content-encoding': 'gzip' }, body: gzipSync(MANIFEST) },
    });
    const { bytes } = await clientFor(registry).client.manifest({ digest: DIGEST });
    expect(Buffer.from(bytes).toString()).toBe(MANIFEST);
  });

  it('refuses an unknown compression (N50)', async () => {
    const registry = await scripted({ [`GET ${BY_TAG}`]: { headers: { 'content-encoding': 'zstd' }, body: MANIFEST } });
    await expect(clientFor(registry).client.manifest(TAG)).rejects.toMatchObject({ code: 'NET_PROTOCOL' });
  });

  it.each(['length', 'chunked'] as const)('stops reading at the limit, %s coding (S20)', async (coding) => {
    const registry = await scripted({
      [`GET ${BY_TAG}`]: { body: ['x'.repeat(60), 'x'.repeat(60)], coding, ending: 'stall' },
    });
    await expect(clientFor(registry, { change: { manifestBytes: 100 } }).client.manifest(TAG)).rejects.toMatchObject({
      code: 'MANIFEST_TOO_LARGE',
    });
  });

  it('reads again when the connection breaks in the middle (N14, N15)', async () => {
    const registry = await scripted({
      [`GET ${BY_TAG}`]: [
        { body: MANIFEST.slice(0, 10), headers: { 'content-length': '31' }, ending: 'fin' },
        { body: MANIFEST.slice(0, 20), headers: { 'content-length': '31' }, ending: 'rst' },
        { body: MANIFEST },
      ],
    });
    expect((await clientFor(registry).client.manifest(TAG)).digest.equals(DIGEST)).toBe(true);
  });

  it('says what is not there', async () => {
    const registry = await scripted({
      [`GET ${BY_TAG}`]: { status: 404, body: '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown tag"}]}' },
    });
    await expect(clientFor(registry).client.manifest(TAG)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: `cannot read the manifest ${registry.authority}/a/b:latest: ${registry.authority} answered 404 (MANIFEST_UNKNOWN: unknown tag)`,
      facts: { status: 404, found: 'MANIFEST_UNKNOWN' },
    });
  });

  it.each([
    ['plain text', 'no such thing\nreally', '(no such thing)'],
    ['HTML', '<html><head><title>404 Not\nFound</title>', '(an HTML page: 404 Not)'],
    ['nothing', '', 'answered 400'],
    ['null errors', '{"errors":null}', '({"errors":null})'],
    ['nested junk', '{"errors":[[[{}]],1,null,{"code":{}}]}', 'answered 400'],
    ['escapes for a terminal', '{"errors":[{"code":"X","message":"\\u001b]0;owned\\u0007\\u202egnp"}]}', '(X: gnp)'],
  ])('shows one clean line of an error body of %s (Q21, S35)', async (_title, body, expected) => {
    const registry = await scripted({ [`GET ${BY_TAG}`]: { status: 400, body } });
    await expect(clientFor(registry).client.manifest(TAG)).rejects.toMatchObject({
      code: 'REG_REJECTED',
      message: expect.stringContaining(expected) as string,
    });
  });

  it('does not wait for the end of an endless error body (Q21, S20)', async () => {
    const endless = Array.from({ length: 4 }, () => 'y'.repeat(65_536));
    const registry = await scripted({
      [`GET ${BY_TAG}`]: { status: 400, body: endless, coding: 'chunked', ending: 'stall' },
    });
    await expect(clientFor(registry).client.manifest(TAG)).rejects.toMatchObject({ code: 'REG_REJECTED' });
  });

  it('never returns a cookie (Q27)', async () => {
    const registry = await scripted({
      [`GET ${BY_TAG}`]: ({ headers }) =>
        headers['cookie'] === undefined ? { headers: { 'set-cookie': 'sid=1' }, body: MANIFEST } : { status: 403 },
    });
    const { client } = clientFor(registry);
    await client.manifest(TAG);
    expect((await client.manifest(TAG)).digest.equals(DIGEST)).toBe(true);
  });
});

describe('asking for a manifest', () => {
  it('takes the digest from the answer to HEAD', async () => {
    const registry = await scripted({
      [`HEAD ${BY_TAG}`]: { headers: { 'docker-content-digest': DIGEST.toString(), 'content-type': OCI } },
    });
    const status = await clientFor(registry).client.headManifest(TAG);
    expect(status?.digest.toString()).toBe(DIGEST.toString());
    expect(status?.mediaType).toBe(OCI);
  });

  it.each([
    ['no digest (Q1)', {}],
    ['an unusable digest (Q2)', { headers: { 'docker-content-digest': 'sha256:xyz' } }],
    ['405 (Q4)', { status: 405 }],
    ['501 (Q4)', { status: 501 }],
    ['404 for what GET finds (Q4)', { status: 404 }],
  ])('uses GET where HEAD answers %s', async (_title, head) => {
    const registry = await scripted({ [`HEAD ${BY_TAG}`]: head, [`GET ${BY_TAG}`]: { body: MANIFEST } });
    expect((await clientFor(registry).client.headManifest(TAG))?.digest.toString()).toBe(DIGEST.toString());
  });

  it('remembers that HEAD does not work (Q4)', async () => {
    const registry = await scripted({ [`HEAD ${BY_TAG}`]: [{ status: 405 }], [`GET ${BY_TAG}`]: { body: MANIFEST } });
    const { client } = clientFor(registry);
    await client.headManifest(TAG);
    await client.headManifest(TAG);
    expect(registry.log).toEqual([`HEAD ${BY_TAG}`, `GET ${BY_TAG}`, `GET ${BY_TAG}`]);
  });

  it('is undefined when there is none', async () => {
    const registry = await scripted({ [`HEAD ${BY_TAG}`]: { status: 404 }, [`GET ${BY_TAG}`]: { status: 404 } });
    expect(await clientFor(registry).client.headManifest(TAG)).toBeUndefined();
  });
});

describe('storing a manifest', () => {
  const bytes = Buffer.from(MANIFEST);

  it('sends the same bytes under the media type', async () => {
    const registry = await scripted({ [`PUT ${BY_TAG}`]: { status: 201 } });
    await clientFor(registry).client.putManifest(TAG, bytes, OCI);
    expect(registry.requests[0]?.body.toString()).toBe(MANIFEST);
    expect(registry.requests[0]?.headers).toMatchObject({ 'content-type': OCI, 'content-length': '31' });
  });

  it('notices a registry that stored something else (Q17)', async () => {
    const registry = await scripted({
      [`PUT ${BY_DIGEST}`]: { status: 201, headers: { 'docker-content-digest': OTHER.toString() } },
    });
    await expect(clientFor(registry).client.putManifest({ digest: DIGEST }, bytes, OCI)).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      facts: { expected: DIGEST.toString(), found: OTHER.toString() },
    });
  });

  it('tells the reason of a refusal, for callers too (Q16)', async () => {
    const registry = await scripted({
      [`PUT ${BY_TAG}`]: {
        status: 404,
        body: '{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown"}]}',
      },
    });
    await expect(clientFor(registry).client.putManifest(TAG, bytes, OCI)).rejects.toMatchObject({
      code: 'REG_REJECTED',
      facts: { found: 'MANIFEST_BLOB_UNKNOWN' },
    });
  });

  it('does not send what no registry takes', async () => {
    const registry = await scripted();
    await expect(
      clientFor(registry).client.putManifest(TAG, new Uint8Array(4 * 1024 * 1024 + 1), OCI),
    ).rejects.toMatchObject({
      code: 'MANIFEST_TOO_LARGE',
    });
  });

  it('does not send bytes under a digest that is not theirs', async () => {
    const registry = await scripted();
    await expect(clientFor(registry).client.putManifest({ digest: OTHER }, bytes, OCI)).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    });
  });
});

describe('deleting a manifest', () => {
  it('is done with 202', async () => {
    const registry = await scripted({ [`DELETE ${BY_DIGEST}`]: { status: 202 } });
    await clientFor(registry).client.deleteManifest(DIGEST);
    expect(registry.log).toEqual([`DELETE ${BY_DIGEST}`]);
  });

  it('says when the registry does not do that', async () => {
    const registry = await scripted({ [`DELETE ${BY_DIGEST}`]: { status: 405 } });
    await expect(clientFor(registry).client.deleteManifest(Digest.parse(DIGEST.toString()))).rejects.toMatchObject({
      code: 'REG_REJECTED',
      facts: { next: { kind: 'allow-deletion-on-registry' } },
    });
  });
});
