import { describe, expect, it } from 'vitest';
import { FollowedOrder } from '../../../src/transfer/fill/followed-order.ts';

/** 0 to 99, and back. */
const UP = Array.from({ length: 100 }, (_, at) => at);

/** What is left of an order, as it is taken. */
function rest(order: FollowedOrder): number[] {
  const found: number[] = [];
  for (let unit = order.next; unit !== undefined; unit = order.next) {
    found.push(unit);
    order.pass();
  }
  return found;
}

describe('an order that is followed', () => {
  it('gives each unit once, in turn', () => {
    const order = new FollowedOrder([7, 3, 7, 5]);
    expect([order.has(3), order.has(4)]).toStrictEqual([true, false]);
    expect(rest(order)).toStrictEqual([7, 3, 5]);
  });

  it.each([
    ['a guest that does what it says', UP.slice(0, 40)],
    ['a guest that is a quarter of it ahead', [25, 24, 23, 22, 21]],
    ['two waits for something else', [90, 91]],
    ['a guest that mostly does what it says', [1, 2, 3, 4, 5, 90, 6, 91, 7, 92, 8, 93, 500]],
  ])('is followed to its end by %s', (_title, waits) => {
    const order = new FollowedOrder(UP);
    for (const unit of waits) order.waitedFor(unit);
    expect(rest(order)).toStrictEqual(UP);
  });

  it.each([
    ['reversed', [99, 98, 97]],
    ['of other parts of the disk', [500, 501, 502]],
  ])('is given up where it is %s (S99)', (_title, waits) => {
    const order = new FollowedOrder(UP);
    for (const unit of waits) order.waitedFor(unit);
    expect([order.next, order.has(3)]).toStrictEqual([undefined, false]);
  });
});
