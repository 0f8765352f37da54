import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Home } from '../../../src/home/home.ts';
import { FileLock } from '../../../src/fs/lock/lock.ts';
import { pinImage } from '../../../src/home/images/pin.ts';
import { Digest } from '../../../src/names/digest.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import { pull } from '../../../src/transfer/pull/pull.ts';
import type { TransferEvent } from '../../../src/session/progress.ts';
import { Session } from '../../../src/session/session.ts';
import { listVms } from '../../../src/vm/listing.ts';
import { freshSession, plantImage } from '../../support/home.ts';
import { send, type StaticRegistry, startStaticRegistry } from '../../support/static-registry.ts';
import { sha256, storedStream, tinyImage, type TinyImage } from '../../support/tart-image.ts';
import { namesBesideSeal } from '../../support/unmodified-marker.ts';

const MIB = 1024 * 1024;

/** Bytes of which no two chunks look alike. */
function noise(length: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, at) => (Math.imul(at + 1, 2654435761 + seed) >>> 13) & 0xff));
}

const image = tinyImage({ chunks: [noise(300_000, 1), Buffer.alloc(MIB), noise(70_000, 2)] });

function imageDirectory(session: Session, registry: StaticRegistry, of: TinyImage = image): string {
  return `${session.home.imagesDirectory}/${registry.address.replace(':', '%3A')}/org/vm/${of.digest}`;
}

function nameAt(registry: StaticRegistry, suffix = ':latest'): RemoteName {
  return RemoteName.parse(`${registry.address}/org/vm${suffix}`);
}

describe('pulling a tag', () => {
  it('makes the image whole and visible under the name that was typed', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession({ now: () => new Date('2026-11-24T03:00:00Z') });
    const outcome = await pull(session, nameAt(registry));
    expect(outcome).toMatchObject({ status: 'pulled' });
    const directory = imageDirectory(session, registry);
    expect(readFileSync(`${directory}/disk.img`).equals(image.disk)).toBe(true);
    expect(readFileSync(`${directory}/config.json`).equals(image.config)).toBe(true);
    expect(readFileSync(`${directory}/nvram.bin`).equals(image.nvram)).toBe(true);
    expect(readFileSync(`${directory}/manifest.json`).equals(image.manifest)).toBe(true);
    expect(readlinkSync(`${directory}/../latest`)).toBe(directory);
    expect((await listVms(session)).map((row) => row.name)).toEqual([
      `${registry.address}/org/vm:latest`,
      `${registry.address}/org/vm@${image.digest}`,
    ]);
    expect(JSON.parse(readFileSync(`${directory}/.origin.json`, 'utf8'))).toEqual({
      version: 1,
      via: 'pull',
      registry: registry.address,
      repository: 'org/vm',
      digest: image.digest,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      size: image.manifest.length,
      pulledAt: '2026-11-24T03:00:00.000Z',
    });
    expect(namesBesideSeal(directory)).toEqual([
      '.last-used',
      '.origin.json',
      'config.json',
      'disk.img',
      'manifest.json',
      'nvram.bin',
    ]);
    expect(readdirSync(session.home.stagingDirectory)).toEqual([]);
  });

  it('leaves holes where the disk is zero (C6)', async () => {
    const sparse = tinyImage({ chunks: [noise(4096, 1), Buffer.alloc(8 * MIB), noise(4096, 2)] });
    const registry = await startStaticRegistry({ latest: sparse });
    const session = freshSession();
    await pull(session, nameAt(registry));
    const { size, blocks } = statSync(`${imageDirectory(session, registry, sparse)}/disk.img`);
    expect(size).toBe(8 * MIB + 8192);
    expect(blocks * 512).toBeLessThan(MIB);
  });

  it('a second time costs one request', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    await pull(session, nameAt(registry));
    registry.requests.length = 0;
    expect(await pull(session, nameAt(registry))).toMatchObject({ status: 'present', fetchedBytes: 0 });
    expect(registry.requests.filter((line) => line !== 'GET /v2/')).toEqual(['GET /v2/org/vm/manifests/latest']);
  });

  it('another tag of the same image only symlinks', async () => {
    const registry = await startStaticRegistry({ latest: image, again: image });
    const session = freshSession();
    await pull(session, nameAt(registry));
    registry.requests.length = 0;
    expect(await pull(session, nameAt(registry, ':again'))).toMatchObject({ status: 'linked' });
    expect(registry.blobRequests()).toEqual([]);
  });

  describe('that moved', () => {
    /**
     * Pulls `latest`, moves it, and pulls it again so many minutes later; tells what was deleted, and whether the old
     * image is there.
     */
    async function pullMoved(
      minutes: number,
      meanwhile: (session: Session, registry: StaticRegistry) => Promise<unknown>,
    ) {
      const registry = await startStaticRegistry({ latest: image, other: image });
      let now = new Date('2026-11-24T03:00:00Z');
      const deleted: string[] = [];
      const onEvent = (event: TransferEvent): void => {
        if (event.kind === 'deleted') deleted.push(`${event.name} ${event.why}`);
      };
      const session = freshSession({ now: () => now, onEvent });
      await pull(session, nameAt(registry));
      const held = await meanwhile(session, registry);
      onTestFinished(async () => (held instanceof FileLock ? held.release() : undefined));
      const next = tinyImage({ chunks: [noise(5000, 9)] });
      registry.tags.set('latest', next);
      now = new Date(now.getTime() + minutes * 60_000);
      await pull(session, nameAt(registry));
      expect((await session.images.find(nameAt(registry)))?.digest.toString()).toBe(next.digest);
      return { session, registry, deleted, stays: existsSync(`${imageDirectory(session, registry)}/disk.img`) };
    }

    it('leads to the new image, and the old one, which nothing names any more, goes and is told (Q26)', async () => {
      const { registry, deleted, stays } = await pullMoved(10, async () => undefined);
      expect(stays).toBe(false);
      expect(deleted).toEqual([`${registry.address}/org/vm@${image.digest} replaced`]);
    });

    it.each<[string, (session: Session, registry: StaticRegistry) => Promise<unknown>]>([
      ['has another tag', async (session, registry) => pull(session, nameAt(registry, ':other'))],
      [
        'was pulled by its digest, too',
        async (session, registry) => pull(session, nameAt(registry, `@${image.digest}`)),
      ],
      ['is pinned', async (session, registry) => pinImage(session, nameAt(registry), true)],
      [
        'is being cloned',
        async (session) => session.images.lock(Digest.parse(image.digest), { mode: 'shared', wait: false }),
      ],
    ])('leaves an old image that %s', async (_, protect) => {
      const { deleted, stays } = await pullMoved(60, protect);
      expect({ deleted, stays }).toEqual({ deleted: [], stays: true });
    });

    it('leaves an old image that was used a moment ago, for the next tag that moves to collect', async () => {
      const { session, registry, stays } = await pullMoved(9, async () => undefined);
      expect(stays).toBe(true);
      registry.tags.set('latest', tinyImage({ chunks: [noise(5000, 10)] }));
      const later = new Session({ home: session.home, now: () => new Date('2026-11-24T04:00:00Z') });
      await pull(later, nameAt(registry));
      expect((await listVms(later)).map((row) => row.name)).toHaveLength(2);
    });
  });

  it('that finds everything there counts as a use of it', async () => {
    const registry = await startStaticRegistry({ latest: image });
    let now = new Date('2026-11-24T03:00:00Z');
    const session = freshSession({ now: () => now });
    await pull(session, nameAt(registry));
    now = new Date('2026-11-25T03:00:00Z');
    expect(await pull(session, nameAt(registry))).toMatchObject({ status: 'present' });
    expect((await listVms(session)).map((row) => row.accessed)).toEqual([now, now]);
  });

  it('a chunk that occurs several times is fetched once and written everywhere (C21)', async () => {
    const same = noise(100_000, 3);
    const repeated = tinyImage({ chunks: [same, noise(1000, 4), same, same] });
    const registry = await startStaticRegistry({ latest: repeated });
    const session = freshSession();
    await pull(session, nameAt(registry));
    expect(readFileSync(`${imageDirectory(session, registry, repeated)}/disk.img`).equals(repeated.disk)).toBe(true);
    const blob = sha256(storedStream(same));
    expect(registry.blobRequests().filter((line) => line.includes(blob))).toHaveLength(1);
  });

  it('tells what happens, in order', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const events: TransferEvent[] = [];
    const session = freshSession({ onEvent: (event) => void events.push(event) });
    const { fetchedBytes } = await pull(session, nameAt(registry));
    expect(events.at(0)).toMatchObject({ kind: 'resolved', digest: image.digest });
    expect(events.at(1)).toMatchObject({ kind: 'started', direction: 'pull', diskBytes: image.disk.length, chunks: 3 });
    expect(events.at(-1)).toEqual({ kind: 'finished', subject: nameAt(registry).toString() });
    const counted = events.reduce((sum, event) => sum + (event.kind === 'bytes' ? event.count : 0), 0);
    expect(counted).toBe(fetchedBytes);
    expect(events.at(1)).toMatchObject({ bytesTotal: fetchedBytes });
  });
});

describe('pulling a digest', () => {
  it('marks the image, and needs no network once it is here', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    const name = nameAt(registry, `@${image.digest}`);
    await pull(session, name);
    expect(existsSync(`${imageDirectory(session, registry)}/.explicitly-pulled`)).toBe(true);
    registry.requests.length = 0;
    expect(await pull(session, name)).toMatchObject({ status: 'present' });
    expect(registry.requests).toEqual([]);
  });

  it('refuses other bytes than were asked for, and symlinks nothing (S15, S54, Q3, tart-cli §7 #2)', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    const asked = `sha256:${'0'.repeat(64)}`;
    registry.intercept = (request, response) => {
      if (!(request.url ?? '').includes(asked)) return false;
      send(request, response, image.manifest, 'application/vnd.oci.image.manifest.v1+json');
      return true;
    };
    await expect(pull(session, nameAt(registry, `@${asked}`))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(await listVms(session)).toEqual([]);
  });

  it('with a tag, both must agree (S54)', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    await expect(pull(session, nameAt(registry, `:latest@sha256:${'1'.repeat(64)}`))).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      facts: { found: image.digest },
    });
    expect(await pull(session, nameAt(registry, `:latest@${image.digest}`))).toMatchObject({ status: 'pulled' });
  });
});

describe('what is not what it claims to be never becomes visible', () => {
  const blobsOf = (of: TinyImage): [string, string][] => {
    const manifest = JSON.parse(Buffer.from(of.manifest).toString()) as {
      layers: { digest: string; mediaType: string }[];
    };
    return manifest.layers.map((layer) => [layer.mediaType.split('.').slice(-2).join('.'), layer.digest]);
  };

  it.each(blobsOf(image))('a damaged %s blob (%s) (S15)', async (_, digest) => {
    const registry = await startStaticRegistry({ latest: image });
    registry.intercept = (request, response) => {
      if (!(request.url ?? '').endsWith(digest)) return false;
      const damaged = Buffer.from(image.blobs.get(digest) ?? '');
      damaged[damaged.length - 5] = (damaged.at(-5) ?? 0) ^ 1;
      send(request, response, damaged, 'application/octet-stream');
      return true;
    };
    const session = freshSession();
    await expect(pull(session, nameAt(registry))).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      facts: { expected: digest },
    });
    expect(await listVms(session)).toEqual([]);
    // Damage on the way is given one more chance.
    expect(registry.blobRequests().filter((line) => line.includes(digest)).length).toBeGreaterThanOrEqual(2);
  });

  it('a blob that arrives damaged once is fetched again (C1)', async () => {
    const registry = await startStaticRegistry({ latest: image });
    let damage = true;
    const digest = blobsOf(image)[1]?.[1] ?? '';
    registry.intercept = (request, response) => {
      if (!damage || !(request.url ?? '').endsWith(digest)) return false;
      damage = false;
      const damaged = Buffer.from(image.blobs.get(digest) ?? '');
      damaged[100_000] = (damaged[100_000] ?? 0) ^ 1;
      send(request, response, damaged, 'application/octet-stream');
      return true;
    };
    const session = freshSession();
    await pull(session, nameAt(registry));
    expect(readFileSync(`${imageDirectory(session, registry)}/disk.img`).equals(image.disk)).toBe(true);
  });

  it.each([
    [
      'a stream that cannot be decoded',
      (content: Uint8Array) => Buffer.concat([storedStream(content).subarray(0, -4), Buffer.from('junk')]),
    ],
    ['a stream that decodes to less (C8)', (content: Uint8Array) => storedStream(content.subarray(1))],
    [
      'a stream that decodes to more (C7)',
      (content: Uint8Array) => storedStream(Buffer.concat([content, Buffer.from('x')])),
    ],
    [
      'a stream that decodes to something else (C9)',
      (content: Uint8Array) => storedStream(Buffer.from(content).reverse()),
    ],
    [
      'bytes after the end of the stream (C3)',
      (content: Uint8Array) => Buffer.concat([storedStream(content), Buffer.from('x')]),
    ],
  ])('%s, although its digest is right', async (_, encode) => {
    const broken = tinyImage({ chunks: [noise(50_000, 1)], encode });
    const registry = await startStaticRegistry({ latest: broken });
    const session = freshSession();
    await expect(pull(session, nameAt(registry))).rejects.toMatchObject({ code: 'CHUNK_CORRUPT' });
    expect(await listVms(session)).toEqual([]);
    // The publisher made it wrong: fetching it again would not help.
    expect(registry.blobRequests().filter((line) => line.includes(sha256(encode(noise(50_000, 1)))))).toHaveLength(1);
  });
});

describe('a pull that fails', () => {
  it('keeps verified chunks, and the next one fetches only the rest', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const last = sha256(storedStream(noise(70_000, 2)));
    registry.intercept = (request, response) => {
      if (!(request.url ?? '').endsWith(last)) return false;
      response.writeHead(403).end();
      return true;
    };
    const session = freshSession();
    const failing = pull(session, nameAt(registry), { concurrency: 1 });
    await expect(failing).rejects.toMatchObject({
      facts: { kept: expect.stringContaining('2 of 3 chunks') as unknown },
    });
    expect(await listVms(session)).toEqual([]);
    registry.intercept = undefined;
    registry.requests.length = 0;
    await pull(session, nameAt(registry));
    expect(registry.blobRequests().filter((line) => line.includes(last))).toHaveLength(1);
    expect(registry.blobRequests().filter((line) => line.includes(sha256(storedStream(noise(300_000, 1)))))).toEqual(
      [],
    );
    expect(readFileSync(`${imageDirectory(session, registry)}/disk.img`).equals(image.disk)).toBe(true);
  });

  it('a journal that lies is found out by hashing (C34)', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    const staging = `${session.home.stagingDirectory}/${image.digest.slice('sha256:'.length)}`;
    mkdirSync(staging, { recursive: true });
    writeFileSync(`${staging}/disk.img`, noise(image.disk.length + 5000, 77));
    writeFileSync(`${staging}/.verified`, '0\n1\n2\n99\nnonsense');
    await pull(session, nameAt(registry));
    expect(readFileSync(`${imageDirectory(session, registry)}/disk.img`).equals(image.disk)).toBe(true);
  });

  it('a connection that breaks is continued at the byte where it broke', async () => {
    const big = tinyImage({ chunks: [noise(2 * MIB, 5)] });
    const blob = sha256(storedStream(noise(2 * MIB, 5)));
    const registry = await startStaticRegistry({ latest: big });
    let cuts = 0;
    registry.intercept = (request, response) => {
      if (!(request.url ?? '').endsWith(blob) || cuts > 0) return false;
      cuts += 1;
      const bytes = big.blobs.get(blob) ?? Buffer.alloc(0);
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, MIB), () => response.destroy());
      return true;
    };
    const session = freshSession();
    await pull(session, nameAt(registry));
    expect(readFileSync(`${imageDirectory(session, registry, big)}/disk.img`).equals(big.disk)).toBe(true);
    const [, second] = registry.blobRequests().filter((line) => line.includes(blob));
    const from = Number(/bytes=(\d+)-/.exec(second ?? '')?.[1]);
    expect(from).toBeGreaterThan(0);
    expect(from).toBeLessThanOrEqual(MIB);
  });

  it('an interrupted one says so and keeps what it has', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const controller = new AbortController();
    const last = sha256(storedStream(noise(70_000, 2)));
    registry.intercept = (request) => {
      if (!(request.url ?? '').endsWith(last)) return false;
      controller.abort(new Error('enough'));
      return true;
    };
    const session = freshSession({ signal: controller.signal });
    await expect(pull(session, nameAt(registry), { concurrency: 1 })).rejects.toThrow('enough');
    expect(readdirSync(session.home.stagingDirectory)).toEqual([image.digest.slice('sha256:'.length)]);
    expect(await listVms(session)).toEqual([]);
  });
});

describe('two pulls at once', () => {
  it('of one image fetch it once (P13)', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const first = freshSession();
    const second = new Session({ home: new Home(first.home.root), platform: process.platform });
    const outcomes = await Promise.all([pull(first, nameAt(registry)), pull(second, nameAt(registry))]);
    expect(outcomes.map((outcome) => outcome.status).sort()).toEqual(['linked', 'pulled']);
    const blobs = registry.blobRequests();
    expect(new Set(blobs).size).toBe(blobs.length);
  });
});

describe('a pull beside a removal', () => {
  it.each([
    ['a digest', `@${image.digest}`],
    ['a tag', ':latest'],
  ])('of the cached image that %s names waits for it, and fetches what has gone (P15)', async (_, suffix) => {
    const registry = await startStaticRegistry({ latest: image });
    const remover = freshSession();
    await pull(remover, nameAt(registry, suffix));
    const held = await remover.images.lock(Digest.parse(image.digest), { mode: 'exclusive', wait: false });
    let onWaiting: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => {
      onWaiting = resolve;
    });
    const session = new Session({
      home: new Home(remover.home.root),
      platform: process.platform,
      onEvent: ({ kind }) => {
        if (kind === 'waiting') onWaiting();
      },
    });
    const pulled = pull(session, nameAt(registry, suffix));
    await Promise.race([waiting, pulled]);
    await remover.images.deleteLocked(nameAt(registry, `@${image.digest}`), Digest.parse(image.digest));
    await held?.release();
    expect(await pulled).toMatchObject({ status: 'pulled' });
    expect(readFileSync(`${imageDirectory(session, registry)}/disk.img`).equals(image.disk)).toBe(true);
    expect(await session.images.find(nameAt(registry, suffix))).toBeDefined();
  });
});

describe('a name that cannot be cached', () => {
  it('is refused before anything is asked or written', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    plantImage(session, `${registry.address}/org/vm/latest`, `sha256:${'a'.repeat(64)}`, 'v1');
    await expect(pull(session, nameAt(registry))).rejects.toMatchObject({ code: 'NAME_COLLISION' });
    expect(registry.requests).toEqual([]);
  });

  it('an image of another kind leaves no trace', async () => {
    const registry = await startStaticRegistry({ latest: tinyImage({ manifest: { layers: [] } }) });
    const session = freshSession();
    await expect(pull(session, nameAt(registry))).rejects.toMatchObject({ code: 'MEDIA_UNSUPPORTED' });
    expect(existsSync(session.home.root)).toBe(false);
  });
});
