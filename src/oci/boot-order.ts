import * as v from 'valibot';
import { parseRecord } from '../json/record.ts';

/*
 * In which order a guest touched its disk when it started: what is to be fetched first for the next one. It is a hint
 * and no more: a wrong one, of whatever origin, costs time and changes no byte. So what is wrong in it is left out, and
 * nothing is refused because of it.
 *
 *     { "version": 1, "touched": [[0, 3], [512, 1]] }
 *
 * Each pair is a run: the number of a MiB of the disk, and how many follow each other from there; here 0, 1, 2, 512.
 */

/** Bytes that one number of an order stands for. */
export const BOOT_UNIT_BYTES = 1024 * 1024;

/** Numbers that an order has at the most: 16 GiB of a disk. Further ones are left out. */
export const MOST_BOOT_UNITS = 16_384;

/** Bytes of a document at the most; a larger one is not read. The longest order has fewer. */
export const MAX_BOOT_ORDER_BYTES = 512 * 1024;

/** Numbers of MiB of a disk (0: its first) in the order of first touch, none of them twice. */
export type BootOrder = readonly number[];

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const record = v.object({ version: v.literal(1), touched: v.array(v.strictTuple([count, count])) });

/**
 * Reads an order. Repeated numbers, and those that are not of the disk, are left out.
 *
 * @param diskBytes of the disk that it is to be of.
 * @returns undefined for what is no order, and for one of which nothing is left.
 */
export function parseBootOrder(document: Uint8Array, diskBytes: number): BootOrder | undefined {
  if (document.length > MAX_BOOT_ORDER_BYTES) return undefined;
  const parsed = parseRecord(record, Buffer.from(document).toString());
  const units = Math.ceil(diskBytes / BOOT_UNIT_BYTES);
  const order = new Set<number>();
  // Whatever the runs are, no more numbers than these are looked at.
  let left = MOST_BOOT_UNITS;
  for (const [first, length] of parsed?.touched ?? []) {
    const end = Math.min(first + length, units, first + left);
    for (let unit = first; unit < end; unit += 1) {
      order.add(unit);
      left -= 1;
    }
  }
  return order.size === 0 ? undefined : [...order];
}

/** Writes an order: the same one always as the same bytes. */
export function formatBootOrder(order: BootOrder): Uint8Array {
  const touched: [first: number, length: number][] = [];
  for (const unit of order.slice(0, MOST_BOOT_UNITS)) {
    const last = touched.at(-1);
    if (last !== undefined && last[0] + last[1] === unit) last[1] += 1;
    else touched.push([unit, 1]);
  }
  return Buffer.from(`${JSON.stringify({ version: 1, touched })}\n`);
}
