import { fc, it } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { Digest } from '../../../src/names/digest.ts';
import type { DiskChunk } from '../../../src/oci/disk-file.ts';
import { DiskFill } from '../../../src/transfer/fill/disk-fill.ts';
import { DiskUnits } from '../../../src/transfer/fill/disk-units.ts';

const MIB = 1024 * 1024;

function chunksOf(sizes: readonly number[]): readonly DiskChunk[] {
  const digest = Digest.sha256('0'.repeat(64));
  let offset = 0;
  return sizes.map((size, index) => {
    const chunk = { index, offset, size, contentDigest: digest };
    offset += size;
    return { ...chunk, descriptor: { digest, size, mediaType: 'x', annotations: new Map() } };
  });
}

describe('the units of a disk', () => {
  const units = new DiskUnits(chunksOf([2 * MIB, MIB + 1, 5, 3 * MIB]));

  it('begin anew with each chunk, and the last of each may be short', () => {
    expect(units.count).toBe(8);
    const all = Array.from({ length: 8 }, (_, number) => units.unit(number));
    expect(all.map(({ chunk, piece, offset, length }) => [chunk.index, piece, offset, length])).toStrictEqual([
      [0, 0, 0, MIB],
      [0, 1, MIB, MIB],
      [1, 0, 2 * MIB, MIB],
      [1, 1, 3 * MIB, 1],
      [2, 0, 3 * MIB + 1, 5],
      [3, 0, 3 * MIB + 6, MIB],
      [3, 1, 4 * MIB + 6, MIB],
      [3, 2, 5 * MIB + 6, MIB],
    ]);
  });

  it.each([
    ['one byte', 0, 1, 0, 0],
    ['the last byte of one and the first of the next', MIB - 1, 2, 0, 1],
    ['the end of a chunk', 3 * MIB, 1, 3, 3],
    ['three chunks', 3 * MIB, 7, 3, 5],
    ['all of the disk', 0, 6 * MIB + 6, 0, 7],
    ['nothing', 5, 0, 0, -1],
  ])('that a range touches: %s', (_what, offset, length, first, last) => {
    expect(units.within({ offset, length })).toStrictEqual({ first, last });
  });

  it.prop([
    fc.array(fc.integer({ min: 1, max: 4 * MIB }), { minLength: 1, maxLength: 8 }),
    fc.nat({ max: 1000 }),
    fc.nat({ max: 1000 }),
  ])('that a range touches are those that share bytes with it, for any chunks', (sizes, one, other) => {
    const any = new DiskUnits(chunksOf(sizes));
    const [from, to] = [one, other].toSorted((a, b) => a - b).map((part) => Math.floor((any.size * part) / 1001));
    const offset = from ?? 0;
    const length = (to ?? 0) - offset + 1;
    const touched: number[] = [];
    for (let number = 0; number < any.count; number += 1) {
      const unit = any.unit(number);
      if (unit.offset < offset + length && unit.offset + unit.length > offset) touched.push(number);
    }
    expect(any.within({ offset, length })).toStrictEqual({ first: touched[0], last: touched.at(-1) });
  });
});

describe('a disk on its way', () => {
  const chunks = chunksOf([2 * MIB, 2 * MIB]);
  const [first, second] = chunks;

  it('is ready where what is read is verified, whatever lies beside it', async () => {
    const fill = new DiskFill(chunks);
    if (first === undefined || second === undefined) throw new Error('no chunks');
    fill.verifiedPiece(first, 1);
    await fill.ready({ offset: MIB + 5, length: 10 }, new AbortController().signal);
    const waiting = fill.ready({ offset: 2 * MIB - 5, length: MIB }, new AbortController().signal);
    expect([...fill.wanted]).toStrictEqual([2]);
    expect([fill.isUrgent(first), fill.isUrgent(second)]).toStrictEqual([false, true]);
    expect([fill.isUrgentPiece(second, 0), fill.isUrgentPiece(second, 1)]).toStrictEqual([true, false]);
    fill.verified(second);
    await waiting;
    expect([...fill.wanted]).toStrictEqual([]);
  });

  it('is wanted by others still when one of them has gone', async () => {
    const fill = new DiskFill(chunks);
    const changes: number[][] = [];
    fill.onChange(() => changes.push([...fill.wanted]));
    const [stay, go] = [new AbortController(), new AbortController()];
    const staying = fill.ready({ offset: 0, length: 1 }, stay.signal);
    const going = fill.ready({ offset: 0, length: 2 * MIB }, go.signal);
    go.abort(new Error('gone'));
    await expect(going).rejects.toThrow('gone');
    expect(changes).toStrictEqual([[0], [0, 1], [0]]);
    stay.abort(new Error('gone as well'));
    await expect(staying).rejects.toThrow('gone as well');
    expect(changes.at(-1)).toStrictEqual([]);
  });
});
