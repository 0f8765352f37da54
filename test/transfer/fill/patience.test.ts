import { expect, it } from 'vitest';
import { type ErrorCode, TartletError } from '../../../src/errors.ts';
import { Patience } from '../../../src/transfer/fill/patience.ts';

function patience(): { readonly told: string[]; readonly one: Patience } {
  const told: string[] = [];
  const one = new Patience({
    onTrouble: ({ error, isPart }) => told.push(`${isPart ? 'part' : 'all'}: ${(error as Error).message}`),
  });
  return { told, one };
}

const failure = (code: ErrorCode, text: string = code, retryAfterMs?: number): TartletError =>
  new TartletError(code, text, { retryAfterMs });

it('tries a part that is wrong again more and more seldom, and leaves the others as much time as it takes', () => {
  const { one } = patience();
  const waits = Array.from({ length: 7 }, () => one.afterPart('a', failure('DIGEST_MISMATCH'), 0)?.afterMs);
  expect(waits).toStrictEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  expect(one.afterPart('b', failure('DIGEST_MISMATCH'), 9000)).toStrictEqual({ afterMs: 9000, failed: 'job' });
  one.came('a');
  expect(one.afterPart('a', failure('DIGEST_MISMATCH'), 0)?.afterMs).toBe(1000);
});

it('lets all wait for what all need, and notices within a second that a network is back', () => {
  const { one, told } = patience();
  const waits = Array.from({ length: 4 }, () => one.afterPart('a', failure('NET_CONNECT', 'refused'), 0));
  expect(waits.map((wait) => wait?.failed)).toStrictEqual(['all', 'all', 'all', 'all']);
  expect(Math.max(...waits.map((wait) => wait?.afterMs ?? 0))).toBeLessThanOrEqual(1000);
  expect({ told, trouble: one.trouble }).toStrictEqual({ told: [], trouble: 'refused' });
});

it('waits until room is made where the disk is full, and begins anew where a disk fails (N75)', () => {
  const { one, told } = patience();
  expect(one.afterPart('a', failure('DISK_FULL', 'no space left'), 0)).toStrictEqual({ afterMs: 1000, failed: 'all' });
  expect(one.afterPart('b', failure('DISK_FULL', 'no space left'), 0)).toStrictEqual({ afterMs: 2000, failed: 'all' });
  expect(told).toStrictEqual(['all: no space left']);
  expect(one.afterPart('a', failure('DISK_IO'), 0)).toBeUndefined();
});

it('waits as long as a registry asks to, and for an hour at most', () => {
  const { one } = patience();
  const minute = 60_000;
  expect(one.afterPart('a', failure('RATE_LIMITED', 'busy', 10 * minute), 0)?.afterMs).toBe(10 * minute);
  expect(one.afterPart('a', failure('RATE_LIMITED', 'busy', 10_000 * minute), 0)?.afterMs).toBe(60 * minute);
});

it('tells once of each part, of five of them by name, and of what concerns all again when it has come between', () => {
  const { one, told } = patience();
  for (let round = 0; round < 2; round += 1) {
    for (let part = 0; part < 8; part += 1) one.afterPart(`${part}`, failure('NOT_FOUND', `no ${part}`), 0);
  }
  expect(told.splice(0)).toStrictEqual(['part: no 0', 'part: no 1', 'part: no 2', 'part: no 3', 'part: no 4']);
  one.afterPart('0', failure('AUTH_DENIED', 'denied'), 0);
  one.came('1');
  one.afterPart('0', failure('AUTH_DENIED', 'denied, in other words'), 0);
  expect(told.splice(0)).toStrictEqual(['all: denied']);
  one.came('0');
  one.afterPart('0', failure('AUTH_DENIED', 'denied'), 0);
  expect(told).toStrictEqual(['all: denied']);
});
