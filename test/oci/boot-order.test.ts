import { expect, it } from 'vitest';
import { formatBootOrder, MAX_BOOT_ORDER_BYTES, MOST_BOOT_UNITS, parseBootOrder } from '../../src/oci/boot-order.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

function parsed(document: unknown, diskBytes = GIB): readonly number[] | undefined {
  return parseBootOrder(Buffer.from(JSON.stringify(document)), diskBytes);
}

it('writes an order as runs of neighbours, and reads it again', () => {
  const order = [0, 1, 2, 512, 7, 6, 1023];
  const document = formatBootOrder(order);
  expect(Buffer.from(document).toString()).toBe('{"version":1,"touched":[[0,3],[512,1],[7,1],[6,1],[1023,1]]}\n');
  expect(parseBootOrder(document, GIB)).toStrictEqual(order);
});

it('keeps of an order what is of the disk, each number once (S99)', () => {
  expect(
    parsed({
      version: 1,
      touched: [
        [3, 2],
        [2, 3],
        [3, 1],
      ],
    }),
  ).toStrictEqual([3, 4, 2]);
  expect(
    parsed({
      version: 1,
      touched: [
        [1022, 5],
        [1024, 1],
        [5_000_000, 9],
        [1, 0],
      ],
    }),
  ).toStrictEqual([1022, 1023]);
  // The last MiB of a disk may be a part of one.
  expect(parsed({ version: 1, touched: [[0, 9]] }, 2 * MIB + 1)).toStrictEqual([0, 1, 2]);
});

it('takes nothing from what is no order (S99)', () => {
  for (const touched of [
    [[-1, 2]],
    [[0.5, 1]],
    [[0]],
    [[0, 1, 2]],
    [['0', 1]],
    [[1e300, 1]],
    [null],
    {},
    'all',
    [[NaN, 1]],
  ]) {
    expect(parsed({ version: 1, touched })).toBeUndefined();
  }
  expect(parsed({ version: 2, touched: [[0, 1]] })).toBeUndefined();
  expect(parsed({ version: 1, touched: [] })).toBeUndefined();
  expect(parsed([[0, 1]])).toBeUndefined();
  for (const text of ['', '<html>', '{"version":1,"touched":[[0,1]', '\u0000\uFFFF']) {
    expect(parseBootOrder(Buffer.from(text), GIB)).toBeUndefined();
  }
  const tooLong = Buffer.from(`{"version":1,"touched":[[0,1]]}${' '.repeat(MAX_BOOT_ORDER_BYTES)}`);
  expect(parseBootOrder(tooLong, GIB)).toBeUndefined();
});

it('looks at no more numbers than an order may have, however they are repeated (S99)', () => {
  const most = Number.MAX_SAFE_INTEGER;
  expect(
    parsed(
      {
        version: 1,
        touched: [
          [0, most],
          [5, most],
          [most, most],
        ],
      },
      1024 * GIB,
    ),
  ).toHaveLength(MOST_BOOT_UNITS);
  const repeated = Array.from({ length: 20_000 }, () => [0, 16_000]);
  expect(parsed({ version: 1, touched: repeated }, 1024 * GIB)).toHaveLength(16_000);
  // The longest order that is written can be read.
  const scattered = Array.from({ length: MOST_BOOT_UNITS + 5 }, (_, at) => 2_000_000_000 - 2 * at);
  expect(parseBootOrder(formatBootOrder(scattered), 4_000_000 * GIB)).toStrictEqual(
    scattered.slice(0, MOST_BOOT_UNITS),
  );
});
