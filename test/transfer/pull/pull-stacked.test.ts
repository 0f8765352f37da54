import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Home } from '../../../src/home/home.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import { pull } from '../../../src/transfer/pull/pull.ts';
import type { TransferEvent } from '../../../src/session/progress.ts';
import { Session } from '../../../src/session/session.ts';
import { listVms } from '../../../src/vm/listing.ts';
import { freshSession } from '../../support/home.ts';
import { noise, tinyStackedImage } from '../../support/stacked-image.ts';
import { send, type StaticRegistry, startStaticRegistry } from '../../support/static-registry.ts';
import { sha256, storedStream, tinyImage, type TinyImage } from '../../support/tart-image.ts';

const BASE = [noise(150_000, 1), Buffer.alloc(1024 * 1024), noise(40_000, 2)];
const LOWER = [noise(30_000, 3), noise(5000, 4)];
const UPPER = [noise(12_000, 5)];

const image = tinyStackedImage({ levels: [BASE, LOWER, UPPER] });
const [base, lower, upper] = image.levels.map(sha256) as [string, string, string];

function nameAt(registry: StaticRegistry, suffix = ':latest'): RemoteName {
  return RemoteName.parse(`${registry.address}/org/vm${suffix}`);
}

function imageDirectory(session: Session, registry: StaticRegistry, of: TinyImage = image): string {
  return `${session.home.imagesDirectory}/${registry.address.replace(':', '%3A')}/org/vm/${of.digest}`;
}

/** Where the content store keeps what has this digest. */
function stored(session: Session, digest: string): string {
  return `${session.home.root}/cache/content/sha256/${digest.slice('sha256:'.length)}`;
}

function partial(session: Session, digest: string): string {
  return `${session.home.root}/cache/content/sha256/.${digest.slice('sha256:'.length)}.partial`;
}

/** Names in the store, without locks. */
function storeEntries(session: Session): string[] {
  const directory = `${session.home.root}/cache/content/sha256`;
  return existsSync(directory)
    ? readdirSync(directory)
        .filter((name) => !name.endsWith('.lock'))
        .sort()
    : [];
}

function hexes(...digests: string[]): string[] {
  return digests.map((digest) => digest.slice('sha256:'.length)).sort();
}

function requestsFor(registry: StaticRegistry, content: Uint8Array): number {
  return registry.blobRequests().filter((line) => line.includes(sha256(storedStream(content)))).length;
}

describe('pulling a stacked image', () => {
  it('puts base and overlays into the content store, and the rest into its directory', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession({ now: () => new Date('2026-11-24T03:00:00Z') });
    expect(await pull(session, nameAt(registry))).toMatchObject({ status: 'pulled' });
    const directory = imageDirectory(session, registry);
    expect(readdirSync(directory).sort()).toEqual([
      '.last-used',
      '.origin.json',
      'config.json',
      'manifest.json',
      'nvram.bin',
    ]);
    expect(readFileSync(`${directory}/manifest.json`).equals(image.manifest)).toBe(true);
    expect(readFileSync(`${directory}/config.json`).equals(image.config)).toBe(true);
    expect(readFileSync(`${directory}/nvram.bin`).equals(image.nvram)).toBe(true);
    expect(JSON.parse(readFileSync(`${directory}/.origin.json`, 'utf8'))).toMatchObject({
      via: 'pull',
      registry: registry.address,
      digest: image.digest,
    });
    expect(readlinkSync(`${directory}/../latest`)).toBe(directory);
    expect(storeEntries(session)).toEqual(hexes(base, lower, upper));
    for (const [level, digest] of [base, lower, upper].entries()) {
      expect(readFileSync(stored(session, digest)).equals(image.levels[level] ?? Buffer.alloc(0))).toBe(true);
    }
    expect(readdirSync(session.home.stagingDirectory)).toEqual([]);
    expect(readdirSync(session.home.scratchDirectory)).toEqual([]);
  });

  it('leaves holes where the base is zero', async () => {
    const sparse = tinyStackedImage({ levels: [[noise(4096, 1), Buffer.alloc(8 * 1024 * 1024)], UPPER] });
    const registry = await startStaticRegistry({ latest: sparse });
    const session = freshSession();
    await pull(session, nameAt(registry));
    const { size, blocks } = statSync(stored(session, sha256(sparse.levels[0] ?? new Uint8Array())));
    expect(size).toBe(8 * 1024 * 1024 + 4096);
    expect(blocks * 512).toBeLessThan(1024 * 1024);
  });

  it('a second time costs one request', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    await pull(session, nameAt(registry));
    registry.requests.length = 0;
    expect(await pull(session, nameAt(registry))).toMatchObject({ status: 'present', fetchedBytes: 0 });
    expect(registry.requests.filter((line) => line !== 'GET /v2/')).toEqual(['GET /v2/org/vm/manifests/latest']);
  });

  it('by digest needs no network once it is here, and keeps it without a tag', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    await pull(session, nameAt(registry, `@${image.digest}`));
    expect(existsSync(`${imageDirectory(session, registry)}/.explicitly-pulled`)).toBe(true);
    registry.requests.length = 0;
    expect(await pull(session, nameAt(registry, `@${image.digest}`))).toMatchObject({ status: 'present' });
    expect(registry.requests).toEqual([]);
  });

  it('names its files where Tart looks for such, before the first of them comes', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    const seen: (string | undefined)[] = [];
    registry.intercept = (request) => {
      if (!(request.url ?? '').includes('/blobs/')) return false;
      const [entry] = readdirSync(session.home.scratchDirectory);
      seen.push(readFileSync(`${session.home.scratchDirectory}/${entry ?? ''}/manifest.json`, 'utf8'));
      return false;
    };
    await pull(session, nameAt(registry));
    expect(new Set(seen)).toEqual(new Set([Buffer.from(image.manifest).toString()]));
  });

  it('tells what happens, with one number for each chunk of all files', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const events: TransferEvent[] = [];
    const session = freshSession({ onEvent: (event) => void events.push(event) });
    const { fetchedBytes } = await pull(session, nameAt(registry));
    const diskBytes = image.levels.reduce((sum, level) => sum + level.length, 0);
    expect(events.at(1)).toMatchObject({ kind: 'started', diskBytes, chunks: 6, bytesTotal: fetchedBytes });
    const done = events.flatMap((event) => (event.kind === 'chunk-done' ? [event.index] : []));
    expect(done.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(events.at(-1)).toMatchObject({ kind: 'finished' });
  });
});

describe('what is not what it claims to be is in no list and not in the store', () => {
  it.each([
    ['base', BASE[2], []],
    ['lower overlay', LOWER[1], [base]],
    ['upper overlay', UPPER[0], [base, lower]],
  ])('a damaged blob of the %s', async (_, content, intact) => {
    const blob = sha256(storedStream(content ?? new Uint8Array()));
    const registry = await startStaticRegistry({ latest: image });
    registry.intercept = (request, response) => {
      if (!(request.url ?? '').endsWith(blob)) return false;
      const damaged = Buffer.from(image.blobs.get(blob) ?? '');
      damaged[damaged.length - 5] = (damaged.at(-5) ?? 0) ^ 1;
      send(request, response, damaged, 'application/octet-stream');
      return true;
    };
    const session = freshSession();
    await expect(pull(session, nameAt(registry))).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      facts: { expected: blob },
    });
    expect(await listVms(session)).toEqual([]);
    expect(storeEntries(session).filter((name) => !name.startsWith('.'))).toEqual(hexes(...intact));
    registry.intercept = undefined;
    await pull(session, nameAt(registry));
    expect(storeEntries(session)).toEqual(hexes(base, lower, upper));
  });

  it.each([
    ['base', [upper, lower, upper], 'base'],
    ['overlay', [base, base.replace(/.$/, (last) => (last === '0' ? '1' : '0')), upper], 'overlay 1'],
    ['two overlays that were swapped', [base, upper, lower], 'overlay 1'],
  ])('a file that is not what the manifest promises: %s', async (_, fileDigests, what) => {
    const lying = tinyStackedImage({ levels: [BASE, LOWER, UPPER], fileDigests });
    const registry = await startStaticRegistry({ latest: lying });
    const session = freshSession();
    await expect(pull(session, nameAt(registry))).rejects.toMatchObject({
      code: 'CHUNK_CORRUPT',
      message: expect.stringContaining(`chunks of the ${what} of`) as unknown,
    });
    expect(await listVms(session)).toEqual([]);
    for (const name of storeEntries(session)) {
      expect(sha256(readFileSync(`${session.home.root}/cache/content/sha256/${name}`))).toBe(`sha256:${name}`);
    }
  });

  it('a file named by another algorithm than the store has', async () => {
    const other = `sha512:${'a'.repeat(128)}`;
    const registry = await startStaticRegistry({
      latest: tinyStackedImage({ levels: [BASE, UPPER], fileDigests: [other, upper] }),
    });
    const session = freshSession();
    await expect(pull(session, nameAt(registry))).rejects.toMatchObject({ code: 'MEDIA_UNSUPPORTED' });
    expect(existsSync(session.home.root)).toBe(false);
  });
});

describe('a pull that fails', () => {
  it('keeps verified chunks, and the next one fetches only the rest', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const denied = sha256(storedStream(LOWER[1] ?? new Uint8Array()));
    registry.intercept = (request, response) => {
      if (!(request.url ?? '').endsWith(denied)) return false;
      response.writeHead(403).end();
      return true;
    };
    const session = freshSession();
    await expect(pull(session, nameAt(registry), { concurrency: 1 })).rejects.toMatchObject({
      facts: { kept: expect.stringContaining('4 of 6 chunks') as unknown },
    });
    const begun = `.${hexes(lower)[0] ?? ''}`;
    expect(storeEntries(session)).toEqual([`${begun}.partial`, `${begun}.verified`, ...hexes(base)]);
    registry.intercept = undefined;
    registry.requests.length = 0;
    await pull(session, nameAt(registry));
    for (const chunk of [...BASE, LOWER[0] ?? new Uint8Array()]) expect(requestsFor(registry, chunk)).toBe(0);
    expect(storeEntries(session)).toEqual(hexes(base, lower, upper));
  });

  it('what an earlier one left is believed only where it hashes right', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    const left = Buffer.concat([noise(image.levels[0]?.length ?? 0, 77), noise(5000, 78)]);
    left.set(BASE[2] ?? [], (BASE[0]?.length ?? 0) + (BASE[1]?.length ?? 0));
    mkdirSync(`${session.home.root}/cache/content/sha256`, { recursive: true });
    writeFileSync(partial(session, base), left);
    await pull(session, nameAt(registry));
    expect(requestsFor(registry, BASE[0] ?? new Uint8Array())).toBe(1);
    expect(requestsFor(registry, BASE[2] ?? new Uint8Array())).toBe(0);
    expect(sha256(readFileSync(stored(session, base)))).toBe(base);
  });

  it('its files are not collected before the next one', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const denied = sha256(storedStream(UPPER[0] ?? new Uint8Array()));
    registry.intercept = (request, response) => {
      if (!(request.url ?? '').endsWith(denied)) return false;
      response.writeHead(403).end();
      return true;
    };
    const session = freshSession();
    await expect(pull(session, nameAt(registry))).rejects.toMatchObject({ code: 'AUTH_DENIED' });
    expect((await session.contents.collectAlone()).deleted).toEqual([]);
    expect(existsSync(stored(session, base))).toBe(true);
  });
});

describe('images with one base', () => {
  const other = tinyStackedImage({ levels: [BASE, [noise(7000, 8)]] });

  it('fetch it once', async () => {
    const registry = await startStaticRegistry({ latest: image, other });
    const session = freshSession();
    await pull(session, nameAt(registry));
    registry.requests.length = 0;
    await pull(session, nameAt(registry, ':other'));
    for (const chunk of BASE) expect(requestsFor(registry, chunk)).toBe(0);
    expect(storeEntries(session)).toHaveLength(4);
  });

  it('fetch it once when they are pulled at the same time (P14)', async () => {
    const registry = await startStaticRegistry({ latest: image, other });
    const first = freshSession();
    const second = new Session({ home: new Home(first.home.root), platform: process.platform });
    const outcomes = await Promise.all([pull(first, nameAt(registry)), pull(second, nameAt(registry, ':other'))]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['pulled', 'pulled']);
    for (const chunk of BASE) expect(requestsFor(registry, chunk)).toBe(1);
    expect((await listVms(first)).filter((row) => row.name.includes('@'))).toHaveLength(2);
  });

  it('keep it until the last of them is deleted', async () => {
    const registry = await startStaticRegistry({ latest: image, other });
    const session = freshSession();
    await pull(session, nameAt(registry));
    await pull(session, nameAt(registry, ':other'));
    await session.images.delete(nameAt(registry));
    expect(storeEntries(session)).toEqual(hexes(base, sha256(noise(7000, 8))));
    await session.images.delete(nameAt(registry, ':other'));
    expect(storeEntries(session)).toEqual([]);
    expect(await listVms(session)).toEqual([]);
  });
});

describe('a base that is here as the disk of a flat image', () => {
  const flat = tinyImage({ chunks: BASE });

  it('is copied instead of fetched', async () => {
    const registry = await startStaticRegistry({ flat, latest: image });
    const session = freshSession();
    await pull(session, nameAt(registry, ':flat'));
    registry.requests.length = 0;
    await pull(session, nameAt(registry));
    for (const chunk of BASE) expect(requestsFor(registry, chunk)).toBe(0);
    expect(sha256(readFileSync(stored(session, base)))).toBe(base);
    expect(readFileSync(`${imageDirectory(session, registry, flat)}/disk.img`).equals(flat.disk)).toBe(true);
  });

  it('is believed only where it hashes right', async () => {
    const registry = await startStaticRegistry({ flat, latest: image });
    const session = freshSession();
    await pull(session, nameAt(registry, ':flat'));
    const damaged = Buffer.from(flat.disk);
    damaged[1000] = (damaged[1000] ?? 0) ^ 1;
    writeFileSync(`${imageDirectory(session, registry, flat)}/disk.img`, damaged);
    registry.requests.length = 0;
    await pull(session, nameAt(registry));
    expect(BASE.map((chunk) => requestsFor(registry, chunk))).toEqual([1, 0, 0]);
    expect(sha256(readFileSync(stored(session, base)))).toBe(base);
  });
});

describe('a file of the store', () => {
  it('that is gone is fetched again, and nothing else (C25)', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    await pull(session, nameAt(registry));
    rmSync(stored(session, lower));
    expect(await listVms(session)).toHaveLength(2);
    registry.requests.length = 0;
    expect(await pull(session, nameAt(registry))).toMatchObject({ status: 'pulled' });
    expect(registry.blobRequests()).toHaveLength(LOWER.length);
    expect(sha256(readFileSync(stored(session, lower)))).toBe(lower);
  });

  it('that has another length is replaced', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    await pull(session, nameAt(registry));
    writeFileSync(stored(session, upper), 'short');
    await pull(session, nameAt(registry));
    expect(sha256(readFileSync(stored(session, upper)))).toBe(upper);
  });

  it('that has its length is believed, as in Tart: it was hashed when it came in', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    await pull(session, nameAt(registry));
    writeFileSync(stored(session, upper), Buffer.alloc(12_000, 'x'));
    expect(await pull(session, nameAt(registry))).toMatchObject({ status: 'present' });
  });

  it('a record whose manifest is not the one of its digest is pulled anew (C31)', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    await pull(session, nameAt(registry));
    writeFileSync(`${imageDirectory(session, registry)}/manifest.json`, '{"schemaVersion":2}');
    await pull(session, nameAt(registry));
    expect(readFileSync(`${imageDirectory(session, registry)}/manifest.json`).equals(image.manifest)).toBe(true);
    expect(storeEntries(session)).toEqual(hexes(base, lower, upper));
  });
});
