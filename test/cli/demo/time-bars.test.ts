import { expect, it } from 'vitest';
import { timeBars } from '../../../src/cli/demo/time-bars.ts';

const ways = [
  { label: 'pull, then run', fetchMs: 20_000, startMs: 4000 },
  { label: 'lazy', fetchMs: 20, startMs: 5980 },
];

it('draws bars of one scale, and says what their parts are', () => {
  expect(timeBars(ways, undefined)).toStrictEqual([
    'pull, then run  [========================================########]   24.0 s',
    'lazy            [############                                    ]    6.0 s',
    '                 = the image arrives   # the guest starts',
  ]);
});

it('draws them as wide as the terminal is, and no narrower than they can be read', () => {
  expect(timeBars(ways, 51).slice(0, 2)).toStrictEqual([
    'pull, then run  [===================####]   24.0 s',
    'lazy            [######                 ]    6.0 s',
  ]);
  expect(timeBars(ways, 20).at(0)).toBe('pull, then run  [========##]   24.0 s');
});

it('draws also what took no time', () => {
  expect(timeBars([{ label: 'x', fetchMs: 0, startMs: 0 }], 30).at(0)).toBe('x  [#              ]    0.0 s');
});
