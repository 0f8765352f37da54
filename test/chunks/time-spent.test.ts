import { expect, it } from 'vitest';
import { boundOf, Stopwatch } from '../../src/chunks/time-spent.ts';

it.each([
  ['threads that mostly wait', { processorMs: 500, diskMs: 100 }, 1000, 2, 'registry'],
  ['threads that hash and decode all the time', { processorMs: 1500, diskMs: 200 }, 1000, 2, 'processors'],
  ['threads that write all the time', { processorMs: 800, diskMs: 1000 }, 1000, 2, 'disk'],
  ['one thread at work while another has nothing to do', { processorMs: 900, diskMs: 0 }, 1000, 1, 'processors'],
  ['nothing to do at all', { processorMs: 0, diskMs: 0 }, 1000, 1, 'registry'],
] as const)('%s', (_, spent, elapsedMs, threads, bound) => {
  expect(boundOf(spent, elapsedMs, threads)).toBe(bound);
});

it('writing is a part of decoding, and counted once', () => {
  let now = 0;
  const pass = (milliseconds: number): void => void (now += milliseconds);
  const stopwatch = new Stopwatch(() => now);
  const result = stopwatch.onProcessor(() => {
    pass(10);
    stopwatch.onDisk(() => pass(4));
    stopwatch.onDisk(() => pass(3));
    pass(5);
    return 'decoded';
  });
  expect(result).toBe('decoded');
  expect(stopwatch.spent).toEqual({ processorMs: 15, diskMs: 7 });
  pass(100);
  expect(() =>
    stopwatch.onDisk(() => {
      pass(1);
      throw new Error('full');
    }),
  ).toThrow('full');
  expect(stopwatch.spent).toEqual({ processorMs: 15, diskMs: 8 });
});
