import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { expectRefusal, type Refusal } from '../support/real-refusal.ts';
import { type Answer, ScriptedRegistry } from '../support/scripted-registry.ts';
import {
  configLayer,
  diskLayer,
  fakeDigest,
  json,
  nvramLayer,
  sha256,
  storedStream,
  type TinyImage,
  tinyImage,
  type TinyImageOptions,
  tinyIndex,
} from '../support/tart-image.ts';

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
/** For those that are tried six times. */
const PATIENCE_MS = 90_000;

describe('an image that is not what it should be', () => {
  let cleanup: Cleanup;
  let registry: ScriptedRegistry;
  let workplace: Workplace;

  beforeEach(async () => {
    cleanup = new Cleanup();
    registry = await ScriptedRegistry.start();
    cleanup.add(async () => registry.close());
    const { authority } = registry;
    // An earlier image of the same repository must survive whatever happens.
    workplace = new Workplace(cleanup);
    serve(tinyImage({ nvram: Buffer.from('earlier'), chunks: [Buffer.alloc(4096, 'of its own')] }), {}, 'good');
    const { exitCode, stderr } = await workplace.run('pull', `${authority}/team/base:good`);
    expect(exitCode, stderr).toBe(0);
    registry.requests.length = 0;
  });
  afterEach(async () => cleanup.run());

  /** Answers for an image; `altered` replaces the answer for a blob. */
  function serve(image: TinyImage, altered: Readonly<Record<string, Answer>> = {}, tag = 'bad'): void {
    serveManifest(image.manifest, tag);
    for (const [digest, body] of image.blobs) registry.on(blobRoute(digest), altered[digest] ?? { body });
  }

  function serveManifest(body: Uint8Array, reference = 'bad', type = OCI_MANIFEST): void {
    registry.on(`GET /v2/team/base/manifests/${reference}`, { body, headers: { 'content-type': type } });
  }

  async function refuse(refusal: Refusal, reference = ':bad'): Promise<void> {
    const good = await workplace.names();
    await expectRefusal(workplace, ['pull', `${registry.authority}/team/base${reference}`], refusal);
    expect(await workplace.names()).toEqual(good);
  }

  describe('of another kind', () => {
    it('a container image', async () => {
      const image = {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(json({})), size: 2 },
        layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: sha256(json([])), size: 2 }],
      };
      serveManifest(json(image));
      await refuse({
        code: 'MEDIA_UNSUPPORTED',
        says: [`${registry.authority}/team/base:bad`, 'application/vnd.oci.image.layer.v1.tar+gzip'],
        next: '',
      });
    });

    it('an index of several platforms', async () => {
      serveManifest(tinyIndex(), 'bad', 'application/vnd.oci.image.index.v1+json');
      for (const digest of ['1', '2', '3'].map(fakeDigest)) {
        registry.on(`GET /v2/team/base/manifests/${digest}`, { status: 404 });
      }
      await refuse({
        code: 'MEDIA_UNSUPPORTED',
        says: [`${registry.authority}/team/base:bad`, fakeDigest('1')],
        next: 'a container image',
      });
    });

    it('no JSON at all', async () => {
      serveManifest(Buffer.from('{"schemaVersion": 2,'));
      await refuse({
        code: 'MANIFEST_INVALID',
        says: [`${registry.authority}/team/base:bad`, 'JSON'],
        next: 'the publisher of the image',
      });
    });
  });

  describe('not what its digest says', () => {
    it('the manifest', async () => {
      const asked = tinyImage().digest;
      serveManifest(tinyImage({ nvram: Buffer.from('another') }).manifest, asked);
      await refuse({ code: 'DIGEST_MISMATCH', says: [asked], next: 'a proxy on the way' }, `@${asked}`);
    });

    it.each(['config', 'nvram', 'disk'] as const)('the %s (tart-cli §7 #1)', async (part) => {
      const image = tinyImage();
      const digest = part === 'disk' ? sha256(storedStream(Buffer.alloc(8192, 'tartlet'))) : sha256(image[part]);
      const body = Buffer.from(image.blobs.get(digest) ?? '');
      body.writeUInt8(body.readUInt8(20) ^ 1, 20);
      serve(image, { [digest]: { body } });
      await refuse({ code: 'DIGEST_MISMATCH', says: [digest], next: 'a proxy on the way', leaves: 'staging' });
      // Once more, because it may have been damaged on the way.
      expect(registry.log.filter((request) => request === blobRoute(digest))).toHaveLength(2);
    });
  });

  describe('a body of the wrong length', () => {
    const image = tinyImage();
    const digest = sha256(image.nvram);

    it('shorter, and announced so', async () => {
      serve(image, { [digest]: { body: image.nvram.subarray(0, 100) } });
      await refuse({
        code: 'SIZE_MISMATCH',
        says: [digest, '100', '4096'],
        next: 'a proxy on the way',
        leaves: 'staging',
      });
    });

    it('longer, and announced so', async () => {
      serve(image, { [digest]: { body: [image.nvram, 'more'] } });
      await refuse({
        code: 'SIZE_MISMATCH',
        says: [digest, '4100', '4096'],
        next: 'a proxy on the way',
        leaves: 'staging',
      });
    });

    it('longer without announcing it', async () => {
      serve(image, { [digest]: { body: [image.nvram, 'more'], coding: 'chunked' } });
      await refuse({ code: 'SIZE_MISMATCH', says: [digest, '4096'], next: 'a proxy on the way', leaves: 'staging' });
    });

    it('cut off every time', { timeout: PATIENCE_MS }, async () => {
      const body = image.nvram.subarray(0, 100);
      serve(image, { [digest]: { body, headers: { 'content-length': '4096' }, ending: 'fin' } });
      await refuse({
        code: 'NET_BROKEN',
        says: [registry.authority],
        next: 'run the same command again',
        leaves: 'staging',
      });
    });
  });

  describe('a disk that was broken when it was pushed', () => {
    const content = Buffer.alloc(8192, 'tartlet');
    const broken: [string, TinyImageOptions, readonly string[]][] = [
      [
        'corrupt LZ4',
        { encode: () => Buffer.from('bv41 this is no LZ4 stream, but it is long enough to pass for one') },
        ['cannot be decoded'],
      ],
      ['LZ4 that is cut short', { encode: (chunk) => storedStream(chunk).subarray(0, -4) }, ['cannot be decoded']],
      ['a chunk longer than its annotation', { encode: (chunk) => storedStream(Buffer.concat([chunk, chunk])) }, []],
      ['a chunk shorter than its annotation', { encode: (chunk) => storedStream(chunk.subarray(1)) }, []],
      ['other content than promised', { encode: (chunk) => storedStream(Buffer.alloc(chunk.length, 'x')) }, []],
    ];
    it.each(broken)('%s (tart-cli §7 #4)', async (_title, options, says) => {
      const image = tinyImage({ chunks: [content], ...options });
      const digest = sha256(options.encode?.(content) ?? content);
      serve(image);
      await refuse({
        code: 'CHUNK_CORRUPT',
        says: [digest, 'is what its manifest says', ...says],
        next: 'push it again',
        leaves: 'staging',
      });
      // Fetching it again would bring the same bytes.
      expect(registry.log.filter((request) => request === blobRoute(digest))).toHaveLength(1);
    });

    it('chunks that do not add up to the disk', async () => {
      serveManifest(
        tinyImage({ manifest: { annotations: { 'org.cirruslabs.tart.uncompressed-disk-size': '999' } } }).manifest,
      );
      await refuse({
        code: 'MANIFEST_INVALID',
        says: [`${registry.authority}/team/base:bad`, '999'],
        next: 'pushed again',
      });
    });

    it('a chunk that does not say how large it is', async () => {
      const layer = diskLayer({}, { 'org.cirruslabs.tart.uncompressed-size': undefined });
      serveManifest(tinyImage({ manifest: { layers: [configLayer(), layer, nvramLayer()] } }).manifest);
      await refuse({ code: 'MANIFEST_INVALID', says: ['uncompressed-size'], next: 'pushed again' });
    });
  });
});

function blobRoute(digest: string): string {
  return `GET /v2/team/base/blobs/${digest}`;
}
