import { readFileSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { openImage } from '../../../src/library/image.ts';
import { LocalName } from '../../../src/names/local-name.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import { Annotation } from '../../../src/oci/annotation.ts';
import type { TransferEvent } from '../../../src/session/progress.ts';
import type { Session } from '../../../src/session/session.ts';
import { copyImage } from '../../../src/transfer/copy/copy.ts';
import { pull } from '../../../src/transfer/pull/pull.ts';
import { cloneVm } from '../../../src/vm/clone.ts';
import { pushVm, type PushVmOptions } from '../../../src/vm/push.ts';
import { diskData, noise, prose } from '../../codec/disk-data.ts';
import { freshSession, plantVm } from '../../support/home.ts';
import { type MeddlingRegistry, startMeddlingRegistry } from '../../support/meddling-registry.ts';
import { sha256 } from '../../support/tart-image.ts';

const MIB = 1024 * 1024;
const LAYER = 4 * MIB;
/** Three layers: text and zeros; what is on disks; noise, with an end of 5,000 bytes. */
const DISK = Buffer.concat([prose(MIB), Buffer.alloc(3 * MIB), diskData(LAYER), noise(2 * MIB), prose(5_000)]);

interface Manifest {
  layers: { digest: string; size: number }[];
  annotations: Record<string, string>;
}

let registry: MeddlingRegistry;
let session: Session;
let events: TransferEvent[];

beforeEach(async () => {
  registry = await startMeddlingRegistry();
  events = [];
  session = freshSession({ onEvent: (event) => events.push(event) });
  plantVm(`${session.home.vmsDirectory}/ci`, DISK);
});

const nameOf = (tag: string): RemoteName => RemoteName.parse(`${registry.at}/org/vm:${tag}`);

async function push(tag: string, options: PushVmOptions = {}, from = session) {
  const how = { reproducible: true, pieces: true, diskChunkBytes: LAYER, ...options };
  const [outcome] = await pushVm(from, 'ci', [nameOf(tag)], how);
  if (outcome === undefined) throw new Error('nothing was pushed');
  const manifest = JSON.parse(Buffer.from(outcome.manifest).toString()) as Manifest;
  return {
    outcome,
    manifest,
    chunks: manifest.layers.slice(1, -1),
    index: manifest.annotations[Annotation.piecesDigest],
  };
}

/** Bytes of the disk as they are read from the registry by somebody else, and what that took. */
async function read(tag: string, ranges: readonly (readonly [number, number])[]) {
  const told: TransferEvent[] = [];
  const elsewhere = freshSession({ onEvent: (event) => told.push(event) });
  const image = await openImage(elsewhere, nameOf(tag), false);
  try {
    const parts: Buffer[] = [];
    for (const [offset, length] of ranges) parts.push(Buffer.from(await image.disk.read({ offset, length })));
    const fetched = told.reduce((sum, event) => sum + (event.kind === 'bytes' ? event.count : 0), 0);
    const notes = told.flatMap((event) => (event.kind === 'note' ? [event.text] : []));
    return { bytes: Buffer.concat(parts), fetched, notes };
  } finally {
    await image.close();
  }
}

function expected(ranges: readonly (readonly [number, number])[], disk = DISK): Buffer {
  return Buffer.concat(ranges.map(([offset, length]) => disk.subarray(offset, offset + length)));
}

const RANGES = [
  [512, 1024],
  [MIB - 10, 20],
  [2 * MIB, MIB],
  [LAYER - 100, 300],
  [DISK.length - 512, 512],
  [5 * MIB, 3 * MIB],
] as const;

describe('an image pushed in pieces', () => {
  it('is pulled as any other, byte for byte', async () => {
    await push('1');
    const elsewhere = freshSession();
    await pull(elsewhere, nameOf('1'));
    const image = await elsewhere.images.find(nameOf('1'));
    expect(readFileSync(`${image?.directory.path ?? ''}/disk.img`).equals(DISK)).toBe(true);
  });

  it('is read piece by piece: a MiB for a sector, and nothing for zeros', async () => {
    const { chunks, manifest } = await push('1');
    const { bytes, fetched, notes } = await read('1', RANGES);
    expect(bytes.equals(expected(RANGES))).toBe(true);
    expect(notes).toEqual([]);
    const index = Number(manifest.annotations[Annotation.piecesSize]);
    const first = await read('1', [[10 * MIB + 100, 10]]);
    // The last piece is 5,000 bytes of text.
    expect(first.fetched).toBeLessThan(index + 5_000);
    expect((await read('1', [[2 * MIB, 2 * MIB]])).fetched).toBe(index);
    expect(fetched).toBeLessThan(chunks.reduce((sum, { size }) => sum + size, index));
  });

  it('has its index kept by a manifest that refers to it', async () => {
    const { outcome, index, manifest } = await push('1');
    const referrers = await registry.get(`/v2/org/vm/referrers/${outcome.digest.toString()}`);
    const { manifests } = JSON.parse(referrers?.toString() ?? '') as {
      manifests: { digest: string; artifactType: string }[];
    };
    expect(manifests).toMatchObject([{ artifactType: 'application/vnd.tartlet.pieces.v1' }]);
    const referrer = await registry.get(`/v2/org/vm/manifests/${manifests[0]?.digest}`);
    expect(JSON.parse(referrer?.toString() ?? '')).toMatchObject({
      layers: [{ digest: index, size: Number(manifest.annotations[Annotation.piecesSize]) }],
      subject: { digest: outcome.digest.toString() },
    });
  });

  it('is the same when it is pushed again, and nothing is sent', async () => {
    const first = await push('1');
    const again = await push('2');
    expect([again.outcome.digest, again.outcome.uploadedBytes]).toEqual([first.outcome.digest, 0]);
  });

  it('is pushed by a registry that takes no manifest without a tag, which is told', async () => {
    registry.meddle = ({ method, url }, response) => {
      const isReferrer = method === 'PUT' && url?.includes('/manifests/sha256') === true && seen.size > 0;
      if (method === 'PUT' && url?.includes('/manifests/') === true) seen.add(url);
      if (isReferrer) response.writeHead(405).end();
      return isReferrer;
    };
    const seen = new Set<string>();
    await push('1');
    const notes = events.flatMap((event) => (event.kind === 'note' ? [event.text] : []));
    expect(notes).toEqual([expect.stringContaining('the registry may lose the piece index of')]);
    registry.meddle = undefined;
    expect((await read('1', RANGES)).bytes.equals(expected(RANGES))).toBe(true);
  });
});

describe('blobs that are known', () => {
  it('are used again by a changed clone, with their pieces, and only what changed is sent', async () => {
    const first = await push('1');
    const elsewhere = freshSession();
    await pull(elsewhere, nameOf('1'));
    await cloneVm(elsewhere, nameOf('1').toString(), LocalName.parse('ci'));
    const disk = `${elsewhere.home.vmsDirectory}/ci/disk.img`;
    const changed = readFileSync(disk);
    changed.write('changed', 6 * MIB);
    writeFileSync(disk, changed);
    const next = await push('2', { diskChunkBytes: undefined }, elsewhere);
    expect(next.chunks.map(({ digest }, at) => digest === first.chunks[at]?.digest)).toEqual([true, false, true]);
    expect(next.outcome.uploadedBytes).toBeLessThan((next.chunks[1]?.size ?? 0) + 2_000);
    const { bytes, fetched, notes } = await read('2', RANGES);
    expect([bytes.equals(expected(RANGES, changed)), notes]).toEqual([true, []]);
    expect(fetched).toBeLessThan(next.chunks.reduce((sum, { size }) => sum + size, 0));
  });

  it('are used again by a push without pieces', async () => {
    const first = await push('1');
    const next = await push('2', { pieces: false });
    expect([next.chunks, next.index]).toEqual([first.chunks, undefined]);
  });

  it('are encoded again when they have no pieces, so that all of the disk can be read by them', async () => {
    const plain = await push('1', { pieces: false });
    const next = await push('2');
    // Noise is stored as it is, one way or the other; what is alike is not sent twice.
    expect(next.chunks[1]?.digest).not.toBe(plain.chunks[1]?.digest);
    const { bytes, notes } = await read('2', RANGES);
    expect([bytes.equals(expected(RANGES)), notes]).toEqual([true, []]);
    const again = await push('3');
    expect([again.chunks, again.outcome.uploadedBytes]).toEqual([next.chunks, 0]);
  });

  it('are encoded again when the index of their pieces is gone', async () => {
    const { index, chunks } = await push('1');
    registry.meddle = ({ method, url }, response) => {
      const isGone = method === 'GET' && url?.endsWith(`/blobs/${index}`) === true;
      if (isGone) response.writeHead(404).end();
      return isGone;
    };
    const next = await push('2');
    expect([next.chunks, next.index]).toEqual([chunks, index]);
  });
});

describe('an image that is copied', () => {
  it('brings its index along', async () => {
    const { index } = await push('1');
    const other = await startMeddlingRegistry();
    const copied = RemoteName.parse(`${other.at}/elsewhere/vm:1`);
    const { digest } = await copyImage(session, nameOf('1'), copied);
    expect(await other.get(`/v2/elsewhere/vm/blobs/${index}`)).toBeDefined();
    const referrers = await other.get(`/v2/elsewhere/vm/referrers/${digest.toString()}`);
    expect(referrers?.toString()).toContain('application/vnd.tartlet.pieces.v1');
  });

  it('is copied without it when it is gone, which is told', async () => {
    const { index } = await push('1');
    registry.meddle = ({ url }, response) => {
      const isGone = url?.endsWith(`/blobs/${index}`) === true;
      if (isGone) response.writeHead(404).end();
      return isGone;
    };
    const other = await startMeddlingRegistry();
    await copyImage(session, nameOf('1'), RemoteName.parse(`${other.at}/elsewhere/vm:1`));
    expect(await other.get('/v2/elsewhere/vm/manifests/1')).toBeDefined();
    const notes = events.flatMap((event) => (event.kind === 'note' ? [event.text] : []));
    expect(notes).toEqual([expect.stringContaining('the piece index of')]);
  });
});

describe('an index that cannot be used means whole layers, and is told (S81)', () => {
  /** The image of tag 1 with another index, under tag 2. */
  async function withIndex(change: (index: Buffer) => Buffer): Promise<void> {
    const { outcome, index } = await push('1');
    const bytes = change(Buffer.from((await registry.get(`/v2/org/vm/blobs/${index}`)) ?? ''));
    const manifest = JSON.parse(Buffer.from(outcome.manifest).toString()) as Manifest;
    await registry.pushBlob('org/vm', bytes, sha256(bytes));
    manifest.annotations[Annotation.piecesDigest] = sha256(bytes);
    manifest.annotations[Annotation.piecesSize] = String(bytes.length);
    const type = 'application/vnd.oci.image.manifest.v1+json';
    await registry.pushManifest('org/vm', '2', Buffer.from(JSON.stringify(manifest)), type);
  }

  it.each<[string, (index: Buffer) => Buffer, RegExp]>([
    [
      'one of another disk',
      (index) => Buffer.concat([index.subarray(0, 24), Buffer.alloc(index.length - 24, 1)]),
      /piece index cannot be used/,
    ],
    ['one that is cut short', (index) => index.subarray(0, -36), /piece index cannot be used/],
    [
      'one with a wrong digest of a piece',
      (index) => flipped(index, 24 + 3 * 48 + 4),
      /a piece of the layer sha256:.* cannot be used/,
    ],
    ['one with wrong lengths', (index) => moved(index), /a piece of the layer sha256:.* cannot be used/],
  ])('%s', async (_what, change, note) => {
    await withIndex(change);
    const { bytes, notes } = await read('2', RANGES);
    expect(bytes.equals(expected(RANGES))).toBe(true);
    expect(notes).toEqual([expect.stringMatching(note)]);
  });

  it('one that is lost, and one whose bytes are not those of its digest', async () => {
    const { index } = await push('1');
    for (const spoil of ['lost', 'other'] as const) {
      registry.meddle = ({ method, url }, response) => {
        if (method !== 'GET' || url?.endsWith(`/blobs/${index}`) !== true) return false;
        if (spoil === 'lost') response.writeHead(404).end();
        else response.writeHead(200).end(Buffer.alloc(24 + 3 * 48 + 11 * 36));
        return true;
      };
      const { bytes, notes } = await read('1', RANGES);
      expect([spoil, bytes.equals(expected(RANGES))]).toEqual([spoil, true]);
      expect(notes).toEqual([expect.stringMatching(/piece index cannot be used/)]);
    }
  });

  it('an annotation that can be no size of an index', async () => {
    const { outcome } = await push('1');
    const manifest = JSON.parse(Buffer.from(outcome.manifest).toString()) as Manifest;
    for (const [tag, size] of Object.entries({ a: 'x', b: '-1', c: '1e3', d: '99999999999' })) {
      manifest.annotations[Annotation.piecesSize] = size;
      const type = 'application/vnd.oci.image.manifest.v1+json';
      await registry.pushManifest('org/vm', tag, Buffer.from(JSON.stringify(manifest)), type);
      const { bytes } = await read(tag, [[512, 1024]]);
      expect([size, bytes.equals(expected([[512, 1024]]))]).toEqual([size, true]);
    }
  });
});

function flipped(index: Buffer, at: number): Buffer {
  index.writeUInt8(index.readUInt8(at) ^ 1, at);
  return index;
}

/** Ten bytes of the first piece count as the second's. */
function moved(index: Buffer): Buffer {
  const entries = 24 + 3 * 48;
  index.writeUInt32LE(index.readUInt32LE(entries) - 10, entries);
  index.writeUInt32LE(index.readUInt32LE(entries + 36) + 10, entries + 36);
  return index;
}
