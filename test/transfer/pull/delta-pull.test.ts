import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Digest } from '../../../src/names/digest.ts';
import { LocalName } from '../../../src/names/local-name.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import { pull } from '../../../src/transfer/pull/pull.ts';
import { previewPull } from '../../../src/transfer/pull/pull-preview.ts';
import type { TransferEvent } from '../../../src/session/progress.ts';
import type { Session } from '../../../src/session/session.ts';
import { cloneVm } from '../../../src/vm/clone.ts';
import { configJson, freshSession } from '../../support/home.ts';
import { noise, tinyStackedImage } from '../../support/stacked-image.ts';
import { type StaticRegistry, startStaticRegistry } from '../../support/static-registry.ts';
import { sha256, storedStream, tinyImage, type TinyImage, zeroStream } from '../../support/tart-image.ts';

const MIB = 1024 * 1024;
const A = noise(200_001, 1);
const B = noise(200_002, 2);
const C = noise(200_003, 3);
const D = noise(200_004, 4);
const ZEROS = Buffer.alloc(4 * MIB);

/** An image whose zeros are as small in the registry as real ones. */
function imageOf(...chunks: Buffer[]): TinyImage {
  return tinyImage({
    chunks,
    config: Buffer.from(configJson()),
    encode: (content) => (content === ZEROS ? zeroStream(content.length) : storedStream(content)),
  });
}

const first = imageOf(A, B, C);
const second = imageOf(A, D, C);

function nameAt(registry: StaticRegistry, tag: string, repository = 'org/vm'): RemoteName {
  return RemoteName.parse(`${registry.address}/${repository}:${tag}`);
}

function directoryOf(session: Session, registry: StaticRegistry, image: TinyImage, repository = 'org/vm'): string {
  return `${session.home.imagesDirectory}/${registry.address.replace(':', '%3A')}/${repository}/${image.digest}`;
}

function diskOf(session: Session, registry: StaticRegistry, image: TinyImage): string {
  return `${directoryOf(session, registry, image)}/disk.img`;
}

/** Which of the chunks were fetched since the last time. */
function fetched(registry: StaticRegistry, chunks: Record<string, Buffer>): string[] {
  const requests = registry.blobRequests();
  registry.requests.length = 0;
  return Object.entries(chunks).flatMap(([name, content]) => {
    const blob = sha256(content === ZEROS ? zeroStream(content.length) : storedStream(content));
    return requests.some((line) => line.endsWith(blob)) ? [name] : [];
  });
}

/** A pull of the first image that ends before its last chunk. */
async function leavePartial(session: Session, registry: StaticRegistry): Promise<void> {
  registry.intercept = (request, response) => {
    if (!(request.url ?? '').endsWith(sha256(storedStream(C)))) return false;
    response.writeHead(403).end();
    return true;
  };
  const failed = pull(session, nameAt(registry, 'first'), { concurrency: 1 });
  await expect(failed).rejects.toMatchObject({ code: 'AUTH_DENIED' });
  registry.intercept = undefined;
}

/** Every file below a directory with its size and times, to see that nothing was touched. */
function traces(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((entry) => {
      const { ino, size, mtimeMs } = statSync(`${directory}/${entry}`);
      return `${entry} ${ino} ${size} ${mtimeMs}`;
    })
    .sort();
}

describe('a pull beside an image that shares chunks with it', () => {
  it('fetches only the others, and says where the rest is from (tart-cli §7 #46)', async () => {
    const registry = await startStaticRegistry({ first, second });
    const events: TransferEvent[] = [];
    const session = freshSession({ onEvent: (event) => void events.push(event) });
    await pull(session, nameAt(registry, 'first'));
    fetched(registry, {});
    events.length = 0;
    const { fetchedBytes } = await pull(session, nameAt(registry, 'second'));
    expect(fetched(registry, { A, B, C, D })).toEqual(['D']);
    expect(readFileSync(diskOf(session, registry, second)).equals(second.disk)).toBe(true);
    expect(events.find((event) => event.kind === 'started')).toMatchObject({
      bytesTotal: fetchedBytes,
      plan: {
        fetchBytes: fetchedBytes,
        reused: [{ seed: { kind: 'image', name: `${registry.address}/org/vm:first` }, bytes: 400_004, chunks: 2 }],
        chunks: { fetch: 1, reuse: 2, zero: 0, partial: 0 },
      },
    });
    // Only what is fetched is under way: when it begins, and as its bytes come.
    const underWay = events.filter((event) => event.kind === 'chunk-under-way');
    expect(underWay[0]).toMatchObject({ index: 1, done: 0, of: storedStream(D).length });
    expect(underWay.at(-1)).toMatchObject({ index: 1, done: storedStream(D).length, of: storedStream(D).length });
    const reused = events.flatMap((event) => (event.kind === 'chunk-reused' ? [event.index] : []));
    expect(reused.toSorted((a, b) => a - b)).toEqual([0, 2]);
  });

  it('finds chunks at other places, in other repositories, and on several seeds', async () => {
    const target = imageOf(C, D, A, C);
    const registry = await startStaticRegistry({ first, other: imageOf(D, B), target });
    const session = freshSession();
    await pull(session, nameAt(registry, 'first', 'one/vm'));
    await pull(session, nameAt(registry, 'other', 'two/vm'));
    fetched(registry, {});
    await pull(session, nameAt(registry, 'target'));
    expect(fetched(registry, { A, B, C, D })).toEqual([]);
    expect(readFileSync(diskOf(session, registry, target)).equals(target.disk)).toBe(true);
  });

  it('needs no request for zeros, and leaves them holes', async () => {
    const sparse = imageOf(A, ZEROS, B, ZEROS);
    const registry = await startStaticRegistry({ sparse });
    const zeros: number[] = [];
    const session = freshSession({
      onEvent: (event) => void (event.kind === 'chunk-reused' && event.isZero === true && zeros.push(event.index)),
    });
    await pull(session, nameAt(registry, 'sparse'));
    expect(fetched(registry, { A, ZEROS, B })).toEqual(['A', 'B']);
    expect(zeros).toEqual([1, 3]);
    const { size, blocks } = statSync(diskOf(session, registry, sparse));
    expect(size).toBe(sparse.disk.length);
    expect(blocks * 512).toBeLessThan(2 * MIB);
    expect(readFileSync(diskOf(session, registry, sparse)).equals(sparse.disk)).toBe(true);
  });

  it('keeps what it copies as sparse as what it fetches', async () => {
    const empty = Buffer.concat([A, ZEROS, B]);
    const one = imageOf(empty, C);
    const two = imageOf(empty, D);
    const registry = await startStaticRegistry({ one, two });
    const session = freshSession();
    await pull(session, nameAt(registry, 'one'));
    await pull(session, nameAt(registry, 'two'));
    const copied = statSync(diskOf(session, registry, two)).blocks;
    expect(copied).toBeLessThanOrEqual(statSync(diskOf(session, registry, one)).blocks);
  });

  it('takes what an interrupted pull of another image had verified', async () => {
    const registry = await startStaticRegistry({ first, second });
    const session = freshSession();
    await leavePartial(session, registry);
    fetched(registry, {});
    await pull(session, nameAt(registry, 'second'));
    expect(fetched(registry, { A, B, C, D })).toEqual(['C', 'D']);
  });

  it('takes the base of a stacked image from a flat one, and a flat disk from the content store', async () => {
    const stacked = tinyStackedImage({ levels: [[A, B], [D]] });
    const flat = imageOf(A, B, C);
    const registry = await startStaticRegistry({ stacked, flat, back: imageOf(B, D) });
    const session = freshSession();
    await pull(session, nameAt(registry, 'flat'));
    fetched(registry, {});
    await pull(session, nameAt(registry, 'stacked'));
    expect(fetched(registry, { A, B, D })).toEqual(['D']);
    rmSync(directoryOf(session, registry, flat), { recursive: true });
    await pull(session, nameAt(registry, 'back'));
    expect(fetched(registry, { B, D })).toEqual([]);
  });
});

describe('a VM that was cloned', () => {
  /** A session where the image is gone and only a clone of it is left. */
  async function onlyClone(registry: StaticRegistry): Promise<{ session: Session; disk: string }> {
    const session = freshSession();
    await pull(session, nameAt(registry, 'first'));
    await cloneVm(session, nameAt(registry, 'first').toString(), LocalName.parse('ci'));
    await session.images.delete(nameAt(registry, 'first'));
    fetched(registry, {});
    return { session, disk: `${session.home.vmsDirectory}/ci/disk.img` };
  }

  it('gives what it still has, after its image was deleted', async () => {
    const registry = await startStaticRegistry({ first, second });
    const { session, disk } = await onlyClone(registry);
    // The guest wrote to its second chunk and to its last, and the disk grew.
    const changed = readFileSync(disk);
    changed.fill(7, A.length + 10, A.length + 20);
    changed.fill(7, A.length + B.length + 10, A.length + B.length + 20);
    writeFileSync(disk, Buffer.concat([changed, Buffer.alloc(MIB)]));
    await pull(session, nameAt(registry, 'second'));
    expect(fetched(registry, { A, C, D })).toEqual(['C', 'D']);
    expect(readFileSync(diskOf(session, registry, second)).equals(second.disk)).toBe(true);
  });

  it('gives nothing while it runs', async () => {
    const registry = await startStaticRegistry({ first, second });
    const { session } = await onlyClone(registry);
    const vm = await session.vms.require(LocalName.parse('ci'));
    const lock = await session.vms.hold(vm);
    await pull(session, nameAt(registry, 'second'));
    await lock.release();
    expect(fetched(registry, { A, C, D })).toEqual(['A', 'C', 'D']);
  });

  it('hands its base on to its own clones', async () => {
    const registry = await startStaticRegistry({ first, second });
    const { session } = await onlyClone(registry);
    await cloneVm(session, 'ci', LocalName.parse('grandchild'));
    await session.vms.delete(LocalName.parse('ci'));
    await pull(session, nameAt(registry, 'second'));
    expect(fetched(registry, { A, C, D })).toEqual(['D']);
  });
});

describe('nothing of a seed is believed', () => {
  it.each<[string, (disk: string) => void, string[]]>([
    [
      'a changed byte',
      (disk) => {
        const bytes = readFileSync(disk);
        bytes.writeUInt8((bytes[100] ?? 0) ^ 1, 100);
        writeFileSync(disk, bytes);
      },
      ['A', 'D'],
    ],
    ['a truncated disk', (disk) => truncateSync(disk, A.length + 10), ['C', 'D']],
    ['a disk that is all zeros', (disk) => writeFileSync(disk, Buffer.alloc(first.disk.length)), ['A', 'C', 'D']],
    ['a disk that is a directory', (disk) => (rmSync(disk), mkdirSync(disk)), ['A', 'C', 'D']],
    ['a disk that is gone', (disk) => rmSync(disk), ['A', 'C', 'D']],
  ])('%s', async (_, damage, expected) => {
    const registry = await startStaticRegistry({ first, second });
    const session = freshSession();
    await pull(session, nameAt(registry, 'first'));
    damage(diskOf(session, registry, first));
    fetched(registry, {});
    await pull(session, nameAt(registry, 'second'));
    expect(fetched(registry, { A, B, C, D })).toEqual(expected);
    expect(readFileSync(diskOf(session, registry, second)).equals(second.disk)).toBe(true);
  });

  it('a seed that is damaged after it was planned with, and the new total is told', async () => {
    const registry = await startStaticRegistry({ first, second });
    const events: TransferEvent[] = [];
    const session = freshSession({
      onEvent: (event) => {
        events.push(event);
        if (event.kind === 'started' && event.plan?.reused.length === 1) rmSync(diskOf(session, registry, first));
      },
    });
    await pull(session, nameAt(registry, 'first'));
    fetched(registry, {});
    const { fetchedBytes } = await pull(session, nameAt(registry, 'second'));
    expect(fetched(registry, { A, B, C, D })).toEqual(['A', 'C', 'D']);
    expect(events.find((event) => event.kind === 'replanned')).toMatchObject({ bytesTotal: fetchedBytes });
    expect(readFileSync(diskOf(session, registry, second)).equals(second.disk)).toBe(true);
  });

  it('a manifest that lies about where contents are (tart-cli §7 #5)', async () => {
    const registry = await startStaticRegistry({ first, second });
    const session = freshSession();
    await pull(session, nameAt(registry, 'first'));
    writeFileSync(`${directoryOf(session, registry, first)}/manifest.json`, imageOf(C, B, A, D).manifest);
    fetched(registry, {});
    await pull(session, nameAt(registry, 'second'));
    expect(fetched(registry, { A, B, C, D })).toEqual(['A', 'C', 'D']);
    expect(readFileSync(diskOf(session, registry, second)).equals(second.disk)).toBe(true);
  });

  it('a journal of an interrupted pull that names what is not there', async () => {
    const registry = await startStaticRegistry({ second });
    const session = freshSession();
    const staging = `${session.home.stagingDirectory}/${first.digest.slice('sha256:'.length)}`;
    mkdirSync(staging, { recursive: true });
    writeFileSync(`${staging}/manifest.json`, first.manifest);
    writeFileSync(`${staging}/disk.img`, Buffer.alloc(first.disk.length));
    writeFileSync(`${staging}/.verified`, '0\n2\n');
    await pull(session, nameAt(registry, 'second'));
    expect(fetched(registry, { A, C, D })).toEqual(['A', 'C', 'D']);
    expect(readFileSync(diskOf(session, registry, second)).equals(second.disk)).toBe(true);
  });
});

describe('while a pull copies from an image', () => {
  it('no process can delete that image', async () => {
    const registry = await startStaticRegistry({ first, second });
    const attempts: unknown[] = [];
    const session = freshSession();
    await pull(session, nameAt(registry, 'first'));
    registry.intercept = (request) => {
      if ((request.url ?? '').endsWith(sha256(storedStream(D)))) {
        attempts.push(session.images.delete(nameAt(registry, 'first')).catch((error: unknown) => error));
      }
      return false;
    };
    await pull(session, nameAt(registry, 'second'));
    expect(await Promise.all(attempts)).toEqual([expect.objectContaining({ code: 'BUSY' })]);
    await session.images.delete(nameAt(registry, 'first'));
    expect(existsSync(directoryOf(session, registry, first))).toBe(false);
  });

  it('a second pull copies from it too', async () => {
    const third = imageOf(B, D);
    const registry = await startStaticRegistry({ first, second, third });
    const session = freshSession();
    await pull(session, nameAt(registry, 'first'));
    fetched(registry, {});
    await Promise.all(['second', 'third'].map(async (tag) => pull(session, nameAt(registry, tag))));
    expect(fetched(registry, { A, B, C })).toEqual([]);
    for (const image of [second, third]) {
      expect(readFileSync(diskOf(session, registry, image)).equals(image.disk)).toBe(true);
    }
  });

  it('an image that another process is changing is passed over', async () => {
    const registry = await startStaticRegistry({ first, second });
    const session = freshSession();
    await pull(session, nameAt(registry, 'first'));
    const lock = await session.images.lock(Digest.parse(first.digest), { mode: 'exclusive', wait: false });
    fetched(registry, {});
    await pull(session, nameAt(registry, 'second'));
    await lock?.release();
    expect(fetched(registry, { A, C, D })).toEqual(['A', 'C', 'D']);
  });
});

describe('a preview', () => {
  it('says what a pull would do, changes nothing and asks once', async () => {
    const target = imageOf(A, D, ZEROS, C);
    const registry = await startStaticRegistry({ first, target });
    const session = freshSession();
    await pull(session, nameAt(registry, 'first'));
    const before = traces(session.home.root);
    registry.requests.length = 0;
    const preview = await previewPull(session, nameAt(registry, 'target'));
    expect(registry.requests.filter((line) => line !== 'GET /v2/')).toEqual(['GET /v2/org/vm/manifests/target']);
    expect(traces(session.home.root)).toEqual(before);
    const files = target.config.length + target.nvram.length;
    expect(preview).toMatchObject({
      status: 'pulled',
      plan: {
        fetchBytes: files + storedStream(D).length,
        diskBytes: target.disk.length,
        reused: [{ bytes: A.length + C.length, chunks: 2 }],
        zeroBytes: ZEROS.length,
        partialBytes: 0,
        chunks: { fetch: 1, reuse: 2, zero: 1, partial: 0 },
      },
      space: { atMost: files + A.length + C.length + D.length },
    });
    expect(preview.space.free).toBeGreaterThan(0);
    const { fetchedBytes } = await pull(session, nameAt(registry, 'target'));
    expect(fetchedBytes).toBe(preview.plan.fetchBytes);
  });

  it('in a home that is not there makes none', async () => {
    const registry = await startStaticRegistry({ first });
    const session = freshSession();
    expect(await previewPull(session, nameAt(registry, 'first'))).toMatchObject({
      status: 'pulled',
      plan: { reused: [] },
    });
    expect(existsSync(session.home.root)).toBe(false);
  });

  it('counts what an interrupted pull left', async () => {
    const registry = await startStaticRegistry({ first });
    const session = freshSession();
    await leavePartial(session, registry);
    const { plan } = await previewPull(session, nameAt(registry, 'first'));
    expect(plan).toMatchObject({ partialBytes: A.length + B.length, chunks: { fetch: 1, partial: 2 } });
  });

  it('knows what is here and what only lacks its tag', async () => {
    const registry = await startStaticRegistry({ first, again: first });
    const session = freshSession();
    await pull(session, nameAt(registry, 'first'));
    expect(await previewPull(session, nameAt(registry, 'first'))).toMatchObject({
      status: 'present',
      plan: { fetchBytes: 0, storedBytes: first.disk.length },
      space: { atLeast: 0, atMost: 0 },
    });
    expect(await previewPull(session, nameAt(registry, 'again'))).toMatchObject({ status: 'linked' });
    expect(existsSync(`${directoryOf(session, registry, first)}/../again`)).toBe(false);
  });
});
