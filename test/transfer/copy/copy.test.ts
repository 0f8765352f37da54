import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { RemoteName } from '../../../src/names/remote-name.ts';
import { copyImage, type CopyOptions } from '../../../src/transfer/copy/copy.ts';
import type { TransferEvent } from '../../../src/session/progress.ts';
import type { Session } from '../../../src/session/session.ts';
import { freshSession } from '../../support/home.ts';
import { type MeddlingRegistry, startMeddlingRegistry } from '../../support/meddling-registry.ts';
import { plantInRegistry } from '../../support/planted-image.ts';
import { json, sha256, tinyImage } from '../../support/tart-image.ts';

const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** Bytes that do not repeat. */
function noise(length: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, at) => (Math.imul(at + 1, 2654435761 + seed) >>> 13) & 0xff));
}

const image = tinyImage({ chunks: [noise(300_000, 1), noise(70_000, 2)] });
/** The blob of the first chunk, the largest one. */
const chunk = [...image.blobs].toSorted(([, a], [, b]) => b.length - a.length)[0] ?? ['', new Uint8Array()];

async function copy(
  from: string,
  to: string,
  options: CopyOptions = {},
  session: Session = freshSession(),
): ReturnType<typeof copyImage> {
  return copyImage(session, RemoteName.parse(from), RemoteName.parse(to), options);
}

async function withImage(): Promise<MeddlingRegistry> {
  const registry = await startMeddlingRegistry();
  await plantInRegistry(registry, 'org/vm', '1', image);
  return registry;
}

/** Everything of the image, under a tag of a repository, byte for byte. */
async function expectImage(registry: MeddlingRegistry, repository: string, tag: string): Promise<void> {
  expect((await registry.get(`/v2/${repository}/manifests/${tag}`))?.equals(image.manifest)).toBe(true);
  for (const [digest, bytes] of image.blobs) {
    expect((await registry.get(`/v2/${repository}/blobs/${digest}`))?.equals(bytes), digest).toBe(true);
  }
}

describe('copying within a registry', () => {
  it('mounts every blob: none is fetched, none is uploaded', async () => {
    const registry = await withImage();
    const outcome = await copy(`${registry.at}/org/vm:1`, `${registry.at}/other/vm:2`);
    expect(outcome.digest.toString()).toBe(image.digest);
    expect(outcome.uploadedBytes).toBe(0);
    const asked = registry.takeRequests();
    expect(asked.filter((line) => line.startsWith('GET') && line.includes('/blobs/'))).toEqual([]);
    expect(asked.filter((line) => line.startsWith('PUT') && line.includes('/uploads/'))).toEqual([]);
    expect(asked.filter((line) => line.startsWith('POST')).toSorted()).toEqual(
      [...image.blobs.keys()]
        .map((digest) => `POST /v2/other/vm/blobs/uploads/?mount=${digest.replace(':', '%3A')}&from=org%2Fvm`)
        .toSorted(),
    );
    await expectImage(registry, 'other/vm', '2');
  });

  it('to another tag of the repository moves nothing but the tag', async () => {
    const registry = await withImage();
    await copy(`${registry.at}/org/vm:1`, `${registry.at}/org/vm:stable`);
    expect(registry.takeRequests()).toEqual([
      'GET /v2/org/vm/manifests/1',
      `PUT /v2/org/vm/manifests/${image.digest}`,
      'PUT /v2/org/vm/manifests/stable',
    ]);
    await expectImage(registry, 'org/vm', 'stable');
  });

  it('streams what the registry does not mount', async () => {
    const registry = await withImage();
    registry.meddle = (request, response) => {
      if (request.url?.includes('mount=') !== true) return false;
      response.writeHead(405).end();
      return true;
    };
    const outcome = await copy(`${registry.at}/org/vm:1`, `${registry.at}/other/vm:2`, { concurrency: 1 });
    expect(outcome.uploadedBytes).toBe([...image.blobs.values()].reduce((sum, { length }) => sum + length, 0));
    // Asked three times in vain, it is left alone.
    expect(registry.takeRequests().filter((line) => line.includes('mount='))).toHaveLength(3);
    registry.meddle = undefined;
    await expectImage(registry, 'other/vm', '2');
  });
});

describe('copying between registries', () => {
  it('streams every blob through, by digest first and tags last, without a home', async () => {
    const [from, to] = [await withImage(), await startMeddlingRegistry()];
    const events: TransferEvent[] = [];
    const session = freshSession({ onEvent: (event) => events.push(event) });
    const outcome = await copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm:2`, {}, session);
    expect(outcome.digest.toString()).toBe(image.digest);
    await expectImage(to, 'mirror/vm', '2');
    expect(to.requests.filter((line) => line.startsWith('PUT')).slice(-2)).toEqual([
      `PUT /v2/mirror/vm/manifests/${image.digest}`,
      'PUT /v2/mirror/vm/manifests/2',
    ]);
    expect(existsSync(session.home.root)).toBe(false);
    const bytes = [...image.blobs.values()].reduce((sum, { length }) => sum + length, 0);
    expect(events.find((event) => event.kind === 'started')).toMatchObject({
      direction: 'copy',
      bytesTotal: bytes,
      diskBytes: bytes,
      chunks: image.blobs.size,
    });
    expect(events.reduce((sum, event) => sum + (event.kind === 'bytes' ? event.count : 0), 0)).toBe(bytes);
    expect(events.at(-1)?.kind).toBe('finished');
  });

  it('a second time sends no blob', async () => {
    const [from, to] = [await withImage(), await startMeddlingRegistry()];
    await copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm`);
    from.takeRequests();
    expect((await copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm`)).uploadedBytes).toBe(0);
    expect(from.takeRequests()).toEqual(['GET /v2/org/vm/manifests/1']);
    await expectImage(to, 'mirror/vm', 'latest');
  });

  it('in parts, and with a source that breaks off in the middle', async () => {
    const [from, to] = [await withImage(), await startMeddlingRegistry()];
    const ranges: (string | undefined)[] = [];
    from.meddle = (request, response) => {
      if (request.url?.endsWith(chunk[0]) !== true) return false;
      ranges.push(request.headers.range);
      if (ranges.length > 1) return false;
      response.writeHead(206, {
        'content-length': 100_000,
        'content-range': `bytes 0-99999/${chunk[1].length}`,
      });
      response.write(chunk[1].subarray(0, 40_000), () => response.destroy());
      return true;
    };
    await copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm:1`, { uploadChunkBytes: 100_000, concurrency: 1 });
    expect(ranges.slice(0, 2)).toEqual(['bytes=0-99999', 'bytes=40000-99999']);
    expect(to.requests.filter((line) => line.startsWith('PATCH')).length).toBeGreaterThanOrEqual(3);
    await expectImage(to, 'mirror/vm', '1');
  });

  it('copies what the tag led to when it was asked, whatever happens to the tag meanwhile', async () => {
    const [from, to] = [await withImage(), await startMeddlingRegistry()];
    const other = tinyImage({ chunks: [noise(5000, 9)] });
    await plantInRegistry(from, 'org/vm', '2', other);
    from.meddle = (request) => {
      if (request.url?.includes('/blobs/') === true) {
        void from.pushManifest('org/vm', '1', other.manifest, OCI_MANIFEST);
      }
      return false;
    };
    await copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm:1`);
    await expectImage(to, 'mirror/vm', '1');
  });

  it('leaves out layers that no registry need have', async () => {
    const [from, to] = [await startMeddlingRegistry(), await startMeddlingRegistry()];
    const manifest = json({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(Buffer.from('{}')), size: 2 },
      layers: [
        {
          mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
          digest: sha256(Buffer.from('windows')),
          size: 7,
          urls: ['https://example.com/windows'],
        },
      ],
    });
    // A registry that takes such manifests, as the big ones do.
    from.meddle = (request, response) => {
      if (request.url !== '/v2/org/windows/manifests/1') return false;
      response.writeHead(200, { 'content-type': OCI_MANIFEST, 'content-length': manifest.length }).end(manifest);
      return true;
    };
    const stored: string[] = [];
    to.meddle = (request, response) => {
      if (request.method !== 'PUT' || request.url?.includes('/manifests/') !== true) return false;
      stored.push(request.url);
      request.resume().on('end', () => response.writeHead(201).end());
      return true;
    };
    await from.pushBlob('org/windows', '{}', sha256(Buffer.from('{}')));
    await copy(`${from.at}/org/windows:1`, `${to.at}/mirror/windows:1`);
    expect(stored).toEqual([`/v2/mirror/windows/manifests/${sha256(manifest)}`, '/v2/mirror/windows/manifests/1']);
    expect(to.requests.filter((line) => line.startsWith('POST'))).toHaveLength(1);
  });
});

describe('copying an index', () => {
  /** An index of two images, one of them in an index below it, and a plain blob, as build caches have them. */
  async function plantIndex(registry: MeddlingRegistry): Promise<Uint8Array> {
    const images = [image, tinyImage({ chunks: [noise(5000, 3)] })];
    for (const each of images) await plantInRegistry(registry, 'org/index', each.digest, each);
    const cache = Buffer.from('a build cache');
    await registry.pushBlob('org/index', cache, sha256(cache));
    const entry = (bytes: Uint8Array, mediaType: string) => ({ mediaType, digest: sha256(bytes), size: bytes.length });
    const index = (entries: readonly object[]) => json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries });
    const inner = index([entry(images[1]?.manifest ?? cache, OCI_MANIFEST)]);
    await registry.pushManifest('org/index', sha256(inner), inner, OCI_INDEX);
    const outer = index([
      { ...entry(image.manifest, OCI_MANIFEST), platform: { os: 'darwin', architecture: 'arm64' } },
      entry(inner, OCI_INDEX),
      entry(cache, 'application/vnd.buildkit.cacheconfig.v0'),
    ]);
    await registry.pushManifest('org/index', '1', outer, OCI_INDEX);
    return outer;
  }

  it('brings everything below it first', async () => {
    const [from, to] = [await startMeddlingRegistry(), await startMeddlingRegistry()];
    const outer = await plantIndex(from);
    const outcome = await copy(`${from.at}/org/index:1`, `${to.at}/mirror/index:1`);
    expect(outcome.digest.toString()).toBe(sha256(outer));
    expect((await to.get('/v2/mirror/index/manifests/1'))?.equals(outer)).toBe(true);
    await expectImage(to, 'mirror/index', image.digest);
    expect((await to.get(`/v2/mirror/index/blobs/${sha256(Buffer.from('a build cache'))}`))?.toString()).toBe(
      'a build cache',
    );
    // Four by digest, and one tag at the very end. The registry refuses an index whose manifests it lacks.
    expect(to.served.filter((line) => line.startsWith('PUT') && line.includes('/manifests/'))).toHaveLength(5);
    expect(to.requests.at(-1)).toBe('PUT /v2/mirror/index/manifests/1');
  });

  it('with a child that its registry lost changes nothing', async () => {
    const [from, to] = [await startMeddlingRegistry(), await startMeddlingRegistry()];
    await plantIndex(from);
    from.meddle = (request, response) => {
      if (request.url?.endsWith(image.digest) !== true) return false;
      response.writeHead(404).end();
      return true;
    };
    await expect(copy(`${from.at}/org/index:1`, `${to.at}/mirror/index:1`)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(to.requests).toEqual([]);
  });
});

describe('a copy that cannot succeed', () => {
  const before = tinyImage({ chunks: [noise(4000, 7)] });

  /** A source with the image, and a target whose tag leads to something else. */
  async function pair(): Promise<{ from: MeddlingRegistry; to: MeddlingRegistry; tagIsUnmoved: () => Promise<void> }> {
    const [from, to] = [await withImage(), await startMeddlingRegistry()];
    await plantInRegistry(to, 'mirror/vm', '1', before);
    const tagIsUnmoved = async (): Promise<void> => {
      expect((await to.get('/v2/mirror/vm/manifests/1'))?.equals(before.manifest)).toBe(true);
    };
    return { from, to, tagIsUnmoved };
  }

  /** Serves the blob with one byte changed, so often. */
  function damage(registry: MeddlingRegistry, times: number): void {
    let left = times;
    registry.meddle = (request, response) => {
      if (request.url?.endsWith(chunk[0]) !== true || left === 0) return false;
      left -= 1;
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      const bytes = Buffer.from(chunk[1]);
      bytes.writeUInt8(bytes.readUInt8(777) ^ 1, 777);
      const part = first === undefined ? bytes : bytes.subarray(Number(first), Number(last) + 1);
      response.writeHead(first === undefined ? 200 : 206, {
        'content-length': part.length,
        ...(first === undefined ? {} : { 'content-range': `bytes ${first}-${last}/${bytes.length}` }),
      });
      response.end(part);
      return true;
    };
  }

  it.each([
    ['whole', {}],
    ['in parts', { uploadChunkBytes: 100_000 }],
  ])('bytes that were damaged once are fetched again: %s', async (_, options) => {
    const { from, to } = await pair();
    damage(from, 1);
    await copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm:1`, options);
    await expectImage(to, 'mirror/vm', '1');
  });

  it.each([
    ['whole', {}],
    ['in parts', { uploadChunkBytes: 100_000 }],
  ])('wrong bytes never are in the target, not even in one that checks nothing: %s', async (_, options) => {
    const { from, to, tagIsUnmoved } = await pair();
    damage(from, 99);
    let complete = false;
    to.meddle = (request) => {
      if (request.method !== 'PUT' || request.url?.includes(chunk[0].replace(':', '%3A')) !== true) return false;
      const wanted = Number(request.headers['content-length']);
      let seen = 0;
      request.on('data', (piece: Buffer) => {
        seen += piece.length;
        complete ||= seen >= wanted;
      });
      return false;
    };
    await expect(copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm:1`, options)).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    });
    expect(complete).toBe(false);
    expect(await to.get(`/v2/mirror/vm/blobs/${chunk[0]}`)).toBeUndefined();
    await tagIsUnmoved();
  });

  it('a blob that the source lost', async () => {
    const { from, to, tagIsUnmoved } = await pair();
    from.meddle = (request, response) => {
      if (request.url?.endsWith(chunk[0]) !== true) return false;
      response.writeHead(404).end();
      return true;
    };
    await expect(copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm:1`)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await tagIsUnmoved();
  });

  it('a target that refuses uploads', async () => {
    const { from, to, tagIsUnmoved } = await pair();
    to.meddle = (request, response) => {
      if (request.method !== 'POST') return false;
      response.writeHead(403, { 'content-type': 'application/json' }).end('{"errors":[{"code":"DENIED"}]}');
      return true;
    };
    await expect(copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm:1`)).rejects.toMatchObject({
      facts: { status: 403 },
    });
    await tagIsUnmoved();
  });

  it.each([
    ['named', true],
    ['not named', false],
  ])('a target that claims to have a blob gets it after all: %s', async (_, named) => {
    const { from, to } = await pair();
    to.meddle = (request, response) => {
      if (request.method === 'HEAD' && request.url?.endsWith(chunk[0]) === true) {
        response.writeHead(200, { 'content-length': chunk[1].length }).end();
        return true;
      }
      if (named || request.method !== 'PUT' || request.url?.endsWith(image.digest) !== true) return false;
      if (to.requests.filter((line) => line === `PUT ${request.url}`).length > 1) return false;
      request.resume().on('end', () => {
        response.writeHead(400).end('{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"something is missing"}]}');
      });
      return true;
    };
    await copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm:1`, { concurrency: 1 });
    await expectImage(to, 'mirror/vm', '1');
    const uploads = to.requests.filter((line) => line.startsWith('POST'));
    // Config, NVRAM and stub were there, so one chunk goes up; then the one that was named, or all five blobs.
    expect(uploads).toHaveLength(named ? 2 : 6);
  });

  it('a digest that the image does not have is refused before anything is sent', async () => {
    const { from, to } = await pair();
    await expect(copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm@sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      facts: { kept: 'nothing was changed' },
    });
    await expect(copy(`${from.at}/org/vm:1@sha256:${'0'.repeat(64)}`, `${to.at}/mirror/vm:1`)).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    });
    expect(to.takeRequests()).toEqual([]);
    await copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm@${image.digest}`);
    await expectImage(to, 'mirror/vm', image.digest);
  });

  it('an interruption ends it, and the tag stays', async () => {
    const { from, to, tagIsUnmoved } = await pair();
    const controller = new AbortController();
    from.meddle = (request, response) => {
      if (request.url?.endsWith(chunk[0]) !== true) return false;
      response.writeHead(200, { 'content-length': chunk[1].length });
      response.write(chunk[1].subarray(0, 1000), () => controller.abort(new Error('enough')));
      return true;
    };
    const session = freshSession({ signal: controller.signal });
    await expect(copy(`${from.at}/org/vm:1`, `${to.at}/mirror/vm:1`, {}, session)).rejects.toThrow('enough');
    await tagIsUnmoved();
  });
});
