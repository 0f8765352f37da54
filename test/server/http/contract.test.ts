import http from 'node:http';
import { describe, expect, it } from 'vitest';
import { Digest } from '../../../src/names/digest.ts';
import { Repository } from '../../../src/names/repository.ts';
import { Refusal } from '../../../src/server/contract/refusal.ts';
import type { Stores } from '../../../src/server/contract/stores.ts';
import type { RegistryEvent } from '../../../src/server/settings/event.ts';
import { ArrivingBlob, MemoryStores } from '../memory-stores.ts';
import {
  eventually,
  imageManifest,
  noise,
  OCI_INDEX,
  OCI_MANIFEST,
  type ProtocolClient,
  sha256,
  startRegistry,
} from '../running-registry.ts';
import { serveContent } from '../serve-content.ts';

const NAME = 'team/macos';
const REPOSITORY = Repository.parse(NAME);
const CONTENT = noise(1_000_000);

const serve = async (stores: Stores): ReturnType<typeof serveContent> => serveContent({ storesFor: () => stores });

describe.each([
  ['the disk', async (): Promise<ProtocolClient> => startRegistry()],
  ['another store of the same contracts', async (): Promise<ProtocolClient> => serve(new MemoryStores())],
])('the protocol over %s', (_, start) => {
  it('takes a blob in chunks and gives it whole and in parts', async () => {
    const { send, begin } = await start();
    const location = await begin(NAME);
    const first = await send('PATCH', location, {
      headers: { 'Content-Range': '0-399999' },
      body: CONTENT.subarray(0, 400_000),
    });
    expect([first.status, first.headers.range]).toEqual([202, '0-399999']);
    const gap = await send('PATCH', location, { headers: { 'Content-Range': '400001-400001' }, body: 'x' });
    expect([gap.status, gap.headers.range]).toEqual([416, '0-399999']);
    const last = await send('PUT', `${location}?digest=${sha256(CONTENT)}`, { body: CONTENT.subarray(400_000) });
    expect([last.status, last.headers.location]).toEqual([201, `/v2/${NAME}/blobs/${sha256(CONTENT)}`]);
    const target = `/v2/${NAME}/blobs/${sha256(CONTENT)}`;
    expect((await send('GET', target)).body.equals(CONTENT)).toBe(true);
    const part = await send('GET', target, { headers: { Range: 'bytes=300000-800000' } });
    expect([part.status, part.headers['content-range']]).toEqual([206, 'bytes 300000-800000/1000000']);
    expect(part.body.equals(CONTENT.subarray(300_000, 800_001))).toBe(true);
    expect((await send('GET', target, { headers: { Range: 'bytes=1000000-' } })).status).toBe(416);
    expect((await send('HEAD', target)).headers['content-length']).toBe('1000000');
    expect((await send('GET', location)).codes).toEqual(['BLOB_UPLOAD_UNKNOWN']);
  });

  it('refuses a blob of another digest, and a cancelled upload', async () => {
    const { send, begin } = await start();
    const wrong = await send('PUT', `${await begin(NAME)}?digest=${sha256('other')}`, { body: 'this' });
    expect([wrong.status, wrong.codes]).toEqual([400, ['DIGEST_INVALID']]);
    const location = await begin(NAME);
    expect((await send('DELETE', location)).status).toBe(204);
    expect((await send('PATCH', location, { body: 'x' })).codes).toEqual(['BLOB_UPLOAD_UNKNOWN']);
  });

  it('mounts a blob of a repository that has it', async () => {
    const { send, pushBlob } = await start();
    const digest = await pushBlob('team/source', 'shared');
    for (const [query, status] of [
      [`mount=${digest}&from=team/none`, 202],
      [`mount=${digest}`, 201],
    ] as const) {
      expect((await send('POST', `/v2/${NAME}/blobs/uploads/?${query}`)).status).toBe(status);
    }
    expect((await send('GET', `/v2/${NAME}/blobs/${digest}`)).body.toString()).toBe('shared');
  });

  it('gives a manifest by tag and by digest, lists tags by page, and deletes both', async () => {
    const { send, pushImage } = await start();
    const digests = new Map<string, string>();
    for (const tag of ['b', 'a', 'c']) digests.set(tag, await pushImage(NAME, tag));
    const digest = digests.get('a') ?? '';
    for (const reference of ['a', digest]) {
      const { status, headers, body } = await send('GET', `/v2/${NAME}/manifests/${reference}`);
      expect([status, headers['content-type'], sha256(body)]).toEqual([200, OCI_MANIFEST, digest]);
    }
    const page = await send('GET', `/v2/${NAME}/tags/list?n=2`);
    expect(JSON.parse(page.body.toString())).toEqual({ name: NAME, tags: ['a', 'b'] });
    expect(page.headers['link']).toBe(`</v2/${NAME}/tags/list?n=2&last=b>; rel="next"`);
    expect((await send('GET', '/v2/team/none/tags/list')).codes).toEqual(['NAME_UNKNOWN']);
    expect((await send('DELETE', `/v2/${NAME}/manifests/c`)).status).toBe(202);
    expect((await send('DELETE', `/v2/${NAME}/manifests/${digest}`)).status).toBe(202);
    expect((await send('GET', `/v2/${NAME}/manifests/a`)).codes).toEqual(['MANIFEST_UNKNOWN']);
    expect(JSON.parse((await send('GET', `/v2/${NAME}/tags/list`)).body.toString())).toMatchObject({ tags: ['b'] });
    expect(JSON.parse((await send('GET', '/v2/_catalog')).body.toString())).toEqual({ repositories: [NAME] });
  });

  it('refuses a manifest without its blobs, and lists what refers to one', async () => {
    const { send, pushBlob } = await start();
    await pushBlob(NAME, '{}');
    const headers = { 'Content-Type': OCI_MANIFEST };
    const missing = await send('PUT', `/v2/${NAME}/manifests/a`, { headers, body: imageManifest('{}', ['none']) });
    expect([missing.status, missing.codes]).toEqual([404, ['MANIFEST_BLOB_UNKNOWN']]);
    const subject = { mediaType: OCI_MANIFEST, digest: sha256('subject'), size: 7 };
    const body = imageManifest('{}', [], { subject });
    const taken = await send('PUT', `/v2/${NAME}/manifests/${sha256(body)}`, { headers, body });
    expect([taken.status, taken.headers['oci-subject']]).toEqual([201, subject.digest]);
    const list = await send('GET', `/v2/${NAME}/referrers/${subject.digest}`);
    expect(list.headers['content-type']).toBe(OCI_INDEX);
    expect(JSON.parse(list.body.toString())).toMatchObject({
      manifests: [{ digest: sha256(body), size: body.length }],
    });
  });
});

describe('a store that has its content from elsewhere', () => {
  async function arriving(size: number | undefined): Promise<{
    readonly client: ProtocolClient & { readonly events: RegistryEvent[] };
    readonly blob: ArrivingBlob;
    readonly target: string;
  }> {
    const stores = new MemoryStores();
    const blob = new ArrivingBlob(size);
    stores.hold(REPOSITORY, () => blob.open(), Digest.of(CONTENT));
    return { client: await serve(stores), blob, target: `/v2/${NAME}/blobs/${sha256(CONTENT)}` };
  }

  it('sends a blob while it arrives, and a part of it before the rest is here', async () => {
    const { client, blob, target } = await arriving(CONTENT.length);
    blob.arrive(CONTENT.subarray(0, 500_000));
    const part = await client.send('GET', target, { headers: { Range: 'bytes=100-399999' } });
    expect([part.status, part.headers['content-range']]).toEqual([206, 'bytes 100-399999/1000000']);
    expect(part.body.equals(CONTENT.subarray(100, 400_000))).toBe(true);
    const both = [client.send('GET', target), client.send('GET', target)];
    await eventually('both wait for the rest', () => blob.waiting === 2);
    blob.arrive(CONTENT.subarray(500_000));
    for (const { status, body } of await Promise.all(both)) expect([status, body.equals(CONTENT)]).toEqual([200, true]);
  });

  it('sends a blob to its end whose size it does not know, and only the whole', async () => {
    const { client, blob, target } = await arriving(undefined);
    blob.arrive(CONTENT);
    blob.end('complete');
    const { status, headers, body } = await client.send('GET', target, { headers: { Range: 'bytes=0-9' } });
    expect([status, headers['content-length'], headers['transfer-encoding']]).toEqual([200, undefined, 'chunked']);
    expect(body.equals(CONTENT)).toBe(true);
    const head = await client.send('HEAD', target);
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, undefined, 0]);
  });

  it.each([CONTENT.length, undefined])(
    'breaks the connection when the rest of a blob of %s bytes will never come',
    async (size) => {
      const { client, blob, target } = await arriving(size);
      blob.arrive(CONTENT.subarray(0, 500_000));
      const answer = client.send('GET', target);
      await eventually('it waits for the rest', () => blob.waiting === 1);
      blob.end('broken');
      await expect(answer).rejects.toThrow(/aborted/);
    },
  );

  it('is told when the client has gone that waits for more, and no fault is logged', async () => {
    const { client, blob, target } = await arriving(CONTENT.length);
    blob.arrive(CONTENT.subarray(0, 500_000));
    const request = http.get({ host: '127.0.0.1', port: client.port, path: target }, (response) => response.resume());
    request.on('error', () => undefined);
    await eventually('it waits for the rest', () => blob.waiting === 1);
    request.destroy();
    await eventually('the read has ended', () => blob.waiting === 0);
    await eventually('the request is logged', () => client.events.length > 0);
    expect(client.events.map(({ kind }) => kind)).toEqual(['request']);
  });

  it('is asked before the head of the answer goes out whether what will be read is to be had', async () => {
    const stores = new MemoryStores();
    const blob = new ArrivingBlob(CONTENT.length);
    const asked: unknown[] = [];
    const prepare = async (start: number, end: number | undefined): Promise<void> => {
      asked.push([start, end]);
      throw new Refusal(502, 'UNKNOWN', 'the upstream does not answer');
    };
    stores.hold(REPOSITORY, () => ({ ...blob.open(), prepare }), Digest.of(CONTENT));
    const { send } = await serve(stores);
    const target = `/v2/${NAME}/blobs/${sha256(CONTENT)}`;
    expect((await send('HEAD', target)).status).toBe(200);
    expect((await send('GET', target)).status).toBe(502);
    expect((await send('GET', target, { headers: { Range: 'bytes=5-9' } })).status).toBe(502);
    expect(asked).toEqual([
      [0, 1_000_000],
      [5, 10],
    ]);
  });

  it('says of a tag that it may be out of date, and refuses in its own words', async () => {
    const stores = new MemoryStores();
    const { send, pushImage } = await serve(stores);
    await pushImage(NAME, 'latest');
    expect((await send('GET', `/v2/${NAME}/manifests/latest`)).headers.warning).toBeUndefined();
    stores.warning = '110 - "the upstream does not answer"';
    expect((await send('GET', `/v2/${NAME}/manifests/latest`)).headers.warning).toBe(stores.warning);
    stores.uploads.begin = async () => {
      throw new Refusal(405, 'UNSUPPORTED', 'nothing is pushed to a mirror');
    };
    const refused = await send('POST', `/v2/${NAME}/blobs/uploads/`);
    expect([refused.status, refused.codes]).toEqual([405, ['UNSUPPORTED']]);
  });
});
