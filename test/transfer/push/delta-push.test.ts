import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { baseManifest } from '../../../src/home/images/known-manifest.ts';
import { LocalName } from '../../../src/names/local-name.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import { Tag } from '../../../src/names/tag.ts';
import { pull } from '../../../src/transfer/pull/pull.ts';
import { pushToRepository, type PushSource } from '../../../src/transfer/push/push.ts';
import type { Session } from '../../../src/session/session.ts';
import { cloneVm } from '../../../src/vm/clone.ts';
import { pushVm, type PushVmOptions } from '../../../src/vm/push.ts';
import { setVm } from '../../../src/vm/set.ts';
import { configJson, freshSession } from '../../support/home.ts';
import { type MeddlingRegistry, startMeddlingRegistry } from '../../support/meddling-registry.ts';
import { needsSeals } from '../../support/unmodified-marker.ts';
import { noise } from '../../support/stacked-image.ts';
import { sha256, storedStream, tinyImage, type TinyImage } from '../../support/tart-image.ts';

const PIECE = 196_608;
const [A, B, C, D] = [1, 2, 3, 4].map((salt) => noise(PIECE, salt)) as [Buffer, Buffer, Buffer, Buffer];

/** Blobs of stored blocks, which our encoder never makes: a blob of these in a manifest was used again, not encoded. */
function imageOf(...chunks: Buffer[]): TinyImage {
  return tinyImage({ chunks, config: Buffer.from(configJson()) });
}

function blobOf(content: Buffer): string {
  return sha256(storedStream(content));
}

const base = imageOf(A, B, C);

async function seed(
  registry: MeddlingRegistry,
  image: TinyImage,
  repository = 'org/vm',
  tag = 'base',
): Promise<RemoteName> {
  for (const [digest, blob] of image.blobs) await registry.pushBlob(repository, blob, digest);
  await registry.pushManifest(repository, tag, image.manifest, 'application/vnd.oci.image.manifest.v1+json');
  return RemoteName.parse(`${registry.at}/${repository}:${tag}`);
}

/** A clone of the image, with its second chunk changed. @returns its disk. */
async function changedClone(session: Session, name: RemoteName): Promise<string> {
  await pull(session, name);
  await cloneVm(session, name.toString(), LocalName.parse('ci'));
  const disk = `${session.home.vmsDirectory}/ci/disk.img`;
  const bytes = readFileSync(disk);
  bytes.fill(7, PIECE + 10, PIECE + 20);
  writeFileSync(disk, bytes);
  return disk;
}

async function push(session: Session, name: RemoteName, options: PushVmOptions = {}) {
  const [outcome] = await pushVm(session, 'ci', [name], { reproducible: true, ...options });
  if (outcome === undefined) throw new Error('nothing was pushed');
  const manifest = JSON.parse(Buffer.from(outcome.manifest).toString()) as { layers: { digest: string }[] };
  return { outcome, chunks: manifest.layers.slice(1, -1).map((layer) => layer.digest) };
}

/** Pulls into an empty home, where every blob and every content is checked, and compares. */
async function expectPulled(name: RemoteName, disk: string): Promise<void> {
  const elsewhere = freshSession();
  await pull(elsewhere, name);
  const image = await elsewhere.images.find(name);
  expect(readFileSync(`${image?.directory.path ?? ''}/disk.img`).equals(readFileSync(disk))).toBe(true);
}

describe('pushing a changed clone', () => {
  it('sends what changed, cut as its image was, and uses the blobs of the rest again', async () => {
    const registry = await startMeddlingRegistry();
    const session = freshSession();
    const disk = await changedClone(session, await seed(registry, base));
    const target = RemoteName.parse(`${registry.at}/org/vm:next`);
    const { outcome, chunks } = await push(session, target);
    expect(chunks).toEqual([blobOf(A), expect.not.stringMatching(blobOf(B)), blobOf(C)]);
    // What changed, as small as our encoder makes it, and the stub config.
    expect(outcome.uploadedBytes).toBeGreaterThan(0);
    expect(outcome.uploadedBytes).toBeLessThan(PIECE / 4);
    await expectPulled(target, disk);
  });

  it('tells of what is hashed, encoded and sent, as it goes on', async () => {
    const registry = await startMeddlingRegistry();
    const told = { 'to-hash': 0, hashed: 0, worked: 0 };
    const underWay = new Set<string>();
    const session = freshSession({
      onEvent: (event) => {
        if (event.kind === 'chunk-under-way') {
          const part = event.done === 0 ? 'none' : event.done < event.of ? 'some' : 'all';
          underWay.add(`${event.index}: ${part} of ${event.of}`);
        }
        if (event.kind === 'to-hash' || event.kind === 'hashed' || event.kind === 'worked') {
          told[event.kind] += event.diskBytes;
        }
      },
    });
    await changedClone(session, await seed(registry, base));
    underWay.clear();
    await push(session, RemoteName.parse(`${registry.at}/org/vm:next`));
    // When it begins, and when it has been hashed; the second is encoded as well.
    const parts = [0, 1, 2].flatMap((index) => ['none', 'all'].map((part) => `${index}: ${part} of ${PIECE}`));
    expect([...underWay].filter((line) => !line.includes('some')).toSorted()).toEqual(parts.toSorted());
    expect(told).toEqual({ 'to-hash': 3 * PIECE, hashed: 3 * PIECE, worked: expect.closeTo(PIECE, 3) as number });
  });

  it('into another repository of the registry mounts them', async () => {
    const registry = await startMeddlingRegistry();
    const session = freshSession();
    const disk = await changedClone(session, await seed(registry, base));
    const target = RemoteName.parse(`${registry.at}/other/vm:next`);
    const { outcome, chunks } = await push(session, target);
    expect(chunks).toEqual([blobOf(A), expect.anything(), blobOf(C)]);
    expect(outcome.uploadedBytes).toBeLessThan(PIECE / 4 + base.nvram.length + base.config.length);
    await expectPulled(target, disk);
  });

  it('works without the image, whose manifest the clone keeps', async () => {
    const registry = await startMeddlingRegistry();
    const session = freshSession();
    const name = await seed(registry, base);
    const disk = await changedClone(session, name);
    await session.images.delete(name);
    const target = RemoteName.parse(`${registry.at}/other/vm:next`);
    expect((await push(session, target)).chunks).toEqual([blobOf(A), expect.anything(), blobOf(C)]);
    await expectPulled(target, disk);
  });

  it('into another registry encodes everything, cut as its image was', async () => {
    const [registry, other] = [await startMeddlingRegistry(), await startMeddlingRegistry()];
    const session = freshSession();
    const disk = await changedClone(session, await seed(registry, base));
    const target = RemoteName.parse(`${other.at}/org/vm:next`);
    const { chunks } = await push(session, target);
    expect(chunks).toHaveLength(3);
    for (const content of [A, B, C]) expect(chunks).not.toContain(blobOf(content));
    await expectPulled(target, disk);
  });

  it('in layers of another size has nothing to use again', async () => {
    const registry = await startMeddlingRegistry();
    const session = freshSession();
    const disk = await changedClone(session, await seed(registry, base));
    const target = RemoteName.parse(`${registry.at}/org/vm:next`);
    expect((await push(session, target, { diskChunkBytes: 2 * PIECE })).chunks).toHaveLength(2);
    await expectPulled(target, disk);
  });

  it('that Tart made, without a record, finds the blobs in the cached image', async () => {
    const registry = await startMeddlingRegistry();
    const session = freshSession();
    const disk = await changedClone(session, await seed(registry, base));
    for (const file of ['.origin.json', '.base-manifest.json']) rmSync(`${session.home.vmsDirectory}/ci/${file}`);
    const target = RemoteName.parse(`${registry.at}/org/vm:next`);
    const { chunks } = await push(session, target, { diskChunkBytes: PIECE });
    expect(chunks).toEqual([blobOf(A), expect.anything(), blobOf(C)]);
    await expectPulled(target, disk);
  });

  it('with a base manifest that is none pushes all of it', async () => {
    const registry = await startMeddlingRegistry();
    const session = freshSession();
    const name = await seed(registry, base);
    const disk = await changedClone(session, name);
    await session.images.delete(name);
    writeFileSync(`${session.home.vmsDirectory}/ci/.base-manifest.json`, '{');
    const target = RemoteName.parse(`${registry.at}/org/vm:next`);
    expect((await push(session, target)).chunks).toHaveLength(1);
    await expectPulled(target, disk);
  });
});

describe('a clone without writes', () => {
  beforeEach(needsSeals);

  /** A session, and how many threads its last transfer took: those that read and send chunks of a disk. */
  function countingSession(): { session: Session; threads: () => number | undefined } {
    let threads: number | undefined;
    const session = freshSession({
      onEvent: (event) => {
        if (event.kind === 'spent') ({ threads } = event);
      },
    });
    return { session, threads: () => threads };
  }

  /** Pushes `ci`, which began as the image, and tells how many threads it took. */
  async function pushCounting(
    registry: MeddlingRegistry,
    prepare: (session: Session, image: string) => Promise<void>,
    options: PushVmOptions = {},
  ) {
    const { session, threads } = countingSession();
    const name = await seed(await startMeddlingRegistry(), base);
    for (const [digest, blob] of base.blobs) await registry.pushBlob('org/vm', blob, digest);
    await pull(session, name);
    await prepare(session, name.toString());
    const next = RemoteName.parse(`${registry.at}/org/vm:next`);
    const { chunks } = await push(session, next, options);
    await expectPulled(next, `${session.home.vmsDirectory}/ci/disk.img`);
    return { threads: threads(), chunks };
  }

  const CI = LocalName.parse('ci');
  const clone = async (session: Session, image: string): Promise<void> => {
    await cloneVm(session, image, CI);
  };
  const diskOf = (session: Session): string => `${session.home.vmsDirectory}/ci/disk.img`;

  it.each<[string, (session: Session, image: string) => Promise<void>]>([
    ['is not read', clone],
    [
      'whose configuration was changed is not read',
      async (session, image) => {
        await clone(session, image);
        await setVm(session, CI, { cpuCount: 6 });
      },
    ],
    [
      'and has another name now is not read',
      async (session, image) => {
        await cloneVm(session, image, LocalName.parse('first'));
        await session.vms.rename(LocalName.parse('first'), CI);
      },
    ],
    [
      'whose image is gone is not read',
      async (session, image) => {
        await clone(session, image);
        await session.images.delete(RemoteName.parse(image));
      },
    ],
  ])('%s: its blobs are those of the image', async (_, prepare) => {
    const { threads, chunks } = await pushCounting(await startMeddlingRegistry(), prepare);
    expect(chunks).toEqual([A, B, C].map(blobOf));
    expect(threads).toBe(0);
  });

  it.each<[string, (session: Session, image: string) => Promise<void>]>([
    [
      'was written to, and the date set back',
      async (session, image) => {
        await clone(session, image);
        const { atime, mtime } = statSync(diskOf(session));
        writeFileSync(diskOf(session), Buffer.concat([A, D, C]), { flag: 'r+' });
        utimesSync(diskOf(session), atime, mtime);
      },
    ],
    [
      'was cloned from an image that was written to',
      async (session, image) => {
        const { directory } = (await session.images.find(RemoteName.parse(image))) ?? { directory: { path: '' } };
        writeFileSync(`${directory.path}/disk.img`, Buffer.concat([A, D, C]), { flag: 'r+' });
        await clone(session, image);
      },
    ],
    [
      'was cloned from a VM that was written to',
      async (session, image) => {
        await cloneVm(session, image, LocalName.parse('first'));
        writeFileSync(`${session.home.vmsDirectory}/first/disk.img`, Buffer.concat([A, D, C]), { flag: 'r+' });
        await cloneVm(session, 'first', CI);
      },
    ],
  ])('but one that %s is pushed as it is', async (_, prepare) => {
    const { threads, chunks } = await pushCounting(await startMeddlingRegistry(), prepare);
    expect(chunks).toEqual([blobOf(A), expect.not.stringMatching(blobOf(B)), blobOf(C)]);
    expect(threads).toBeGreaterThan(0);
  });

  it('is read once for what it has several times and the registry lacks', async () => {
    const repeating = imageOf(A, B, B, B);
    const registry = await startMeddlingRegistry();
    const asked: string[] = [];
    registry.meddle = ({ method, url }, response) => {
      if (method === 'HEAD') asked.push(url ?? '');
      const isLacking = method === 'HEAD' && (url ?? '').endsWith(blobOf(B));
      if (isLacking) response.writeHead(404).end();
      return isLacking;
    };
    const { session, threads } = countingSession();
    const name = await seed(registry, repeating);
    await pull(session, name);
    await cloneVm(session, name.toString(), CI);
    const next = RemoteName.parse(`${registry.at}/org/vm:next`);
    const { chunks } = await push(session, next);
    const encoded = chunks[1] ?? '';
    expect(chunks).toEqual([blobOf(A), encoded, encoded, encoded]);
    expect([threads(), asked.filter((url) => url.endsWith(encoded)).length]).toEqual([1, 1]);
    await expectPulled(next, `${session.home.vmsDirectory}/ci/disk.img`);
  });

  it.each<[string, (session: Session, image: string) => Promise<void>, PushVmOptions]>([
    ['where it is cut in another way', clone, { diskChunkBytes: 2 * PIECE }],
    [
      'where it is stored in the cache as well, since nothing is published on the word of an unmodified marker',
      clone,
      { populateCache: true },
    ],
    [
      'where it was cloned from a VM, which is not locked meanwhile',
      async (session, image) => {
        await cloneVm(session, image, LocalName.parse('first'));
        await cloneVm(session, 'first', CI);
      },
      {},
    ],
  ])('is read %s', async (_, prepare, options) => {
    const { threads } = await pushCounting(await startMeddlingRegistry(), prepare, options);
    expect(threads).toBeGreaterThan(0);
  });

  it('is read when a process wrote to it after the unmodified marker was looked at', async () => {
    const registry = await startMeddlingRegistry();
    const { session, threads } = countingSession();
    const name = await seed(registry, base);
    await pull(session, name);
    await clone(session, name.toString());
    const directory = `${session.home.vmsDirectory}/ci`;
    const disk = baseManifest(directory)?.base;
    if (disk === undefined) throw new Error('a clone keeps the manifest of its image');
    const source: PushSource = {
      directory,
      vm: { os: 'linux', arch: 'arm64', diskFormat: 'raw' },
      config: readFileSync(`${directory}/config.json`),
      history: { base: disk, pushed: undefined, unmodified: { disk, state: 'as it was before' } },
      uploadTime: undefined,
    };
    await pushToRepository(session, source, [name.withTag(Tag.parse('next'))]);
    expect(threads()).toBeGreaterThan(0);
  });

  it('is read for what the registry lacks', async () => {
    const registry = await startMeddlingRegistry();
    registry.meddle = (request, response) => {
      const isLacking = request.method === 'HEAD' && (request.url ?? '').endsWith(blobOf(B));
      if (isLacking) response.writeHead(404).end();
      return isLacking;
    };
    const { threads, chunks } = await pushCounting(registry, clone);
    expect(chunks).toEqual([blobOf(A), expect.not.stringMatching(blobOf(B)), blobOf(C)]);
    expect(threads).toBe(1);
  });
});

/** An image whose first chunk claims the content A for a blob that holds C: a pull beside A never fetches that blob. */
async function seedLie(registry: MeddlingRegistry): Promise<{ name: RemoteName; poison: string }> {
  const honest = imageOf(A, B, D);
  const blob = storedStream(C);
  const poison = sha256(blob);
  const manifest = Buffer.from(Buffer.from(honest.manifest).toString().replaceAll(blobOf(A), poison));
  const blobs = new Map([...honest.blobs, [poison, blob] as const]);
  return { name: await seed(registry, { ...honest, manifest, digest: sha256(manifest), blobs }, 'org/evil'), poison };
}

describe('no blob is used again on a word alone', () => {
  it('of the registry that it has it: what it then misses is encoded and sent (Q16)', async () => {
    const [registry, liar] = [await startMeddlingRegistry(), await startMeddlingRegistry()];
    const session = freshSession();
    const disk = await changedClone(session, await seed(registry, base));
    liar.meddle = (request, response) => {
      const isLie = request.method === 'HEAD' && [A, C].some((each) => (request.url ?? '').endsWith(blobOf(each)));
      if (isLie) response.writeHead(200, { 'content-length': String(storedStream(A).length) }).end();
      return isLie;
    };
    const target = RemoteName.parse(`${liar.at}/org/vm:next`);
    const { chunks } = await push(session, target);
    expect(chunks).toHaveLength(3);
    for (const content of [A, C]) expect(chunks).not.toContain(blobOf(content));
    await expectPulled(target, disk);
  });

  it('of a manifest whose blob was never decoded here, because its content was at hand', async () => {
    const registry = await startMeddlingRegistry();
    const session = freshSession();
    await pull(session, await seed(registry, imageOf(A), 'org/honest'));
    const { name, poison } = await seedLie(registry);
    const disk = await changedClone(session, name);
    const target = RemoteName.parse(`${registry.at}/org/evil:next`);
    const { chunks } = await push(session, target);
    expect(chunks).not.toContain(poison);
    expect(chunks).toEqual([blobOf(A), expect.anything(), blobOf(D)]);
    await expectPulled(target, disk);
  });

  it('and a clone hands on what is not verified', async () => {
    const registry = await startMeddlingRegistry();
    const session = freshSession();
    await pull(session, await seed(registry, imageOf(A), 'org/honest'));
    const { name, poison } = await seedLie(registry);
    const disk = await changedClone(session, name);
    for (const each of [name, RemoteName.parse(`${registry.at}/org/honest:base`)]) await session.images.delete(each);
    const target = RemoteName.parse(`${registry.at}/org/evil:next`);
    const { chunks } = await push(session, target);
    expect(chunks).not.toContain(poison);
    expect(chunks[2]).toBe(blobOf(D));
    await expectPulled(target, disk);
  });
});
