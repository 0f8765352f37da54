import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeChunk } from '../../src/chunks/chunk-encode.ts';
import { type ReadPiece, readPieces } from '../../src/chunks/piece-read.ts';
import { Digest } from '../../src/names/digest.ts';
import type { DiskChunk, DiskFile } from '../../src/oci/disk-file.ts';
import { ChunkPieces, formatPieceIndex, type PiecedBlob, PieceIndex } from '../../src/oci/piece-index.ts';
import type { BlobFetcher } from '../../src/registry/contract.ts';
import { blocksOf, decode } from '../codec/apple-stream.ts';
import { diskData, noise, prose } from '../codec/disk-data.ts';
import { temporaryDirectory } from '../support/directory.ts';

const MIB = 1024 * 1024;
/** Text, two pieces of zeros, noise, what is on disks, and an end of 70,001 bytes. */
const DISK = Buffer.concat([prose(MIB, 3), Buffer.alloc(2 * MIB), noise(MIB, 5), diskData(2 * MIB), prose(70_001, 8)]);

interface Encoded extends PiecedBlob {
  readonly blob: Buffer;
  readonly chunk: DiskChunk;
}

async function encoded(content: Buffer): Promise<Encoded> {
  const directory = temporaryDirectory();
  const [disk, spool] = [path.join(directory, 'disk'), path.join(directory, 'spool')];
  writeFileSync(disk, content);
  const extent = { disk, offset: 0, contentSize: content.length, pieces: true };
  const { blob, contentDigest, pieces } = await encodeChunk(extent, spool, new AbortController().signal);
  const digest = Digest.parse(blob.digest);
  const descriptor = { digest, size: blob.size, mediaType: 'x', annotations: new Map() };
  const chunk = { index: 0, offset: 0, size: content.length, contentDigest: Digest.parse(contentDigest), descriptor };
  const entries = pieces ?? new Uint8Array();
  return { blob: readFileSync(spool), chunk, digest, size: blob.size, contentSize: content.length, entries };
}

function diskOf(...chunks: readonly DiskChunk[]): DiskFile {
  return { chunks, size: chunks.reduce((sum, { size }) => sum + size, 0), fileDigest: undefined };
}

/** A registry that has one blob, and gives it in bits of 10,000 bytes. */
function serving(blob: Buffer): { readonly client: BlobFetcher; readonly asked: [number, number][] } {
  const asked: [number, number][] = [];
  const client: BlobFetcher = {
    async *blob({ size }, { from = 0, to = size } = {}) {
      asked.push([from, to]);
      for (let at = from; at < to; at += 10_000) yield blob.subarray(at, Math.min(to, at + 10_000));
    },
  };
  return { client, asked };
}

async function readAll(client: BlobFetcher, pieces: ChunkPieces, first: number, last: number): Promise<Buffer> {
  const { signal } = new AbortController();
  const read: ReadPiece[] = [];
  for await (const each of readPieces(client, pieces, { first, last, signal })) read.push(each);
  expect(read.map(({ piece }) => piece.index)).toEqual(read.map((_, each) => first + each));
  return Buffer.concat(read.map(({ bytes }) => bytes));
}

/** An index of one blob, with bytes of it replaced. */
async function tampered(change: (index: Buffer) => Buffer | undefined): Promise<() => PieceIndex> {
  const one = await encoded(DISK);
  const index = Buffer.from(formatPieceIndex([one]));
  const changed = change(index) ?? index;
  return () => PieceIndex.parse(changed, diskOf(one.chunk));
}

describe('a chunk that was encoded in pieces', () => {
  it('is a stream as any other, with no more than a few bytes more', async () => {
    const { blob, chunk } = await encoded(DISK);
    expect(decode(blob, DISK.length).equals(DISK)).toBe(true);
    expect(chunk.contentDigest.toString()).toBe(`sha256:${createHash('sha256').update(DISK).digest('hex')}`);
    expect(
      new Set(
        blocksOf(blob)
          .slice(0, -1)
          .map(({ size }) => size),
      ),
    ).toEqual(new Set([65_536]));
  });

  it('gives each piece alone, from its own bytes of the blob', async () => {
    const one = await encoded(DISK);
    const pieces = PieceIndex.parse(formatPieceIndex([one]), diskOf(one.chunk)).of(one.chunk);
    expect(pieces?.count).toBe(7);
    if (pieces === undefined) return;
    for (let index = 0; index < pieces.count; index += 1) {
      const { client, asked } = serving(one.blob);
      const { from, to, offset, size, isZero } = pieces.piece(index);
      expect((await readAll(client, pieces, index, index)).equals(DISK.subarray(offset, offset + size))).toBe(true);
      expect([index, isZero, asked]).toEqual([index, index === 1 || index === 2, isZero ? [] : [[from, to]]]);
    }
    expect(pieces.pieceAt(DISK.length - 1)).toMatchObject({ index: 6, size: 70_001, to: one.size - 4 });
  });

  it('gives many pieces in one request, without the zeros between', async () => {
    const one = await encoded(DISK);
    const pieces = new ChunkPieces(one);
    const { client, asked } = serving(one.blob);
    expect((await readAll(client, pieces, 0, 6)).equals(DISK)).toBe(true);
    const [first, fourth] = [pieces.piece(0), pieces.piece(3)];
    expect(asked).toEqual([
      [0, first.to],
      [fourth.from, one.size - 4],
    ]);
  });

  it('costs at most 50 bytes of index for each MiB, and one percent of the blob', async () => {
    const content = Buffer.concat([diskData(8 * MIB), prose(8 * MIB)]);
    const one = await encoded(content);
    expect(formatPieceIndex([one]).length).toBeLessThanOrEqual(50 * 16);
    const directory = temporaryDirectory();
    writeFileSync(path.join(directory, 'disk'), content);
    const extent = { disk: path.join(directory, 'disk'), offset: 0, contentSize: content.length };
    const plain = await encodeChunk(extent, path.join(directory, 'spool'), new AbortController().signal);
    expect(plain.pieces).toBeUndefined();
    expect(one.size / plain.blob.size).toBeLessThan(1.01);
  });

  it('that ends with a piece, that is empty of anything but zeros, or that is one byte', async () => {
    for (const content of [prose(2 * MIB), Buffer.alloc(3 * MIB), Buffer.of(7)]) {
      const one = await encoded(content);
      const pieces = PieceIndex.parse(formatPieceIndex([one]), diskOf(one.chunk)).of(one.chunk);
      expect(pieces).toBeDefined();
      if (pieces === undefined) return;
      const read = await readAll(serving(one.blob).client, pieces, 0, pieces.count - 1);
      expect(read.equals(content)).toBe(true);
    }
  });

  it('and its index are the same bytes in every version: what was pushed once is found again by its digest', async () => {
    const one = await encoded(DISK);
    expect({
      content: one.chunk.contentDigest.hex,
      blob: [one.size, one.digest.hex],
      index: createHash('sha256')
        .update(formatPieceIndex([one]))
        .digest('hex'),
    }).toEqual({
      content: '04319324d1e40d2a621377f561c4cb5750a530894b99d21d0e1522d9c0a8e16f',
      blob: [2_347_347, '3dbc75d4c46cadf74bbe7efbc89860d3f0f8122e5bbc348b06ed2f755167591c'],
      index: 'd753a3bd8fa07327bec72c11bfa3c4596a74432eb33b66c8f30f1665e4dcdccf',
    });
  });

  it('is decoded by the LZ4 library of others piece by piece, each without the block before it', async () => {
    const { blob, entries } = await encoded(DISK);
    const pieces = new ChunkPieces({ digest: Digest.of(blob), size: blob.length, contentSize: DISK.length, entries });
    const { uncompressSync } = await import('lz4-napi');
    for (let index = 0; index < pieces.count; index += 1) {
      const { from, to, offset, size } = pieces.piece(index);
      const decoded: Buffer[] = [];
      for (const block of blocksOf(Buffer.concat([blob.subarray(from, to), Buffer.from('bv4$')]))) {
        const length = Buffer.alloc(4);
        length.writeUInt32LE(block.size);
        const raw = Buffer.concat([length, block.payload]);
        decoded.push(block.kind === 'bv4-' ? block.payload : uncompressSync(raw, decoded.at(-1)));
      }
      expect(Buffer.concat(decoded).equals(DISK.subarray(offset, offset + size))).toBe(true);
    }
  });
});

describe('an index that cannot be believed is refused as a whole', () => {
  it.each<[string, (index: Buffer) => Buffer | undefined]>([
    ['another beginning', (index) => void index.write('tartlet.pieces.2', 'latin1')],
    ['pieces of another length', (index) => void index.writeUInt32LE(2 * MIB, 16)],
    ['more blobs than bytes', (index) => void index.writeUInt32LE(0xffff_ffff, 20)],
    ['a blob that the disk does not have', (index) => void index.writeUInt8(index.readUInt8(24) ^ 1, 24)],
    ['another length of the blob', (index) => void index.writeBigUInt64LE(5n, 24 + 32)],
    ['a length beyond all numbers', (index) => void index.writeBigUInt64LE(2n ** 64n - 1n, 24 + 40)],
    ['a piece that is longer', (index) => void index.writeUInt32LE(index.readUInt32LE(72) + 1, 72)],
    ['a piece without bytes', (index) => void index.writeUInt32LE(0, 72)],
    ['a piece of four gigabytes', (index) => void index.writeUInt32LE(0xffff_ffff, 72)],
    ['a byte too many', (index) => Buffer.concat([index, Buffer.alloc(1)])],
    ['a byte too few', (index) => index.subarray(0, -1)],
    ['nothing', () => Buffer.alloc(0)],
    ['a blob twice', (index) => twice(index)],
  ])('%s', async (_what, change) => {
    expect(await tampered(change)).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID' }));
  });

  it('or its pieces are, where only a digest is wrong', async () => {
    const one = await encoded(DISK);
    const entries = Buffer.from(one.entries);
    entries.writeUInt8(entries.readUInt8(4) ^ 1, 4);
    const pieces = new ChunkPieces({ ...one, entries });
    const { client } = serving(one.blob);
    await expect(readAll(client, pieces, 0, 0)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect((await readAll(client, pieces, 3, 3)).equals(DISK.subarray(3 * MIB, 4 * MIB))).toBe(true);
  });

  it('or its pieces are, where the bytes of the blob are others', async () => {
    const one = await encoded(DISK);
    const blob = Buffer.from(one.blob);
    blob.writeUInt8(blob.readUInt8(5_000) ^ 1, 5_000);
    const read = readAll(serving(blob).client, new ChunkPieces(one), 0, 0);
    await expect(read).rejects.toMatchObject({ code: expect.stringMatching(/^(?:DIGEST_MISMATCH|CHUNK_CORRUPT)$/) });
  });
});

function twice(index: Buffer): Buffer {
  const header = Buffer.from(index.subarray(0, 24));
  header.writeUInt32LE(2, 20);
  const [blob, entries] = [index.subarray(24, 72), index.subarray(72)];
  return Buffer.concat([header, blob, blob, entries, entries]);
}
