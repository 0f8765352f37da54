/** Commands that do next to nothing, beside Node doing nothing. */
import { rmSync } from 'node:fs';
import { inTurn, median, row } from './compare.mjs';
import { makeManyImages } from './image.mjs';
import { tartlet, timed } from './process.mjs';

export async function startRows({ work, runs, quick }) {
  const counts = quick ? [10, 1000] : [10, 1000, 10_000];
  for (const count of counts) makeManyImages(`${work}/images-${count}`, count);
  const nothing = 'node -e 0';
  const check = `doctor of ${counts.at(-1).toLocaleString('en')} images`;
  const listOf = (count) => `list of ${count.toLocaleString('en')} images`;
  // Short, so that there can be many rounds.
  const results = await inTurn(4 * runs, {
    '--version': () => timed(work, [...tartlet, '--version']),
    ...Object.fromEntries(
      counts.map((count) => [
        listOf(count),
        () => timed(work, [...tartlet, 'list'], { TART_HOME: `${work}/images-${count}` }),
      ]),
    ),
    [check]: () => timed(work, [...tartlet, 'doctor'], { TART_HOME: `${work}/images-${counts.at(-1)}` }),
    [nothing]: () => timed(work, [process.execPath, '-e', '0']),
  });
  for (const count of counts) rmSync(`${work}/images-${count}`, { recursive: true });
  return [
    row('--version', results, '--version', nothing, { floor: 1.7, target: 1.3 }),
    ...counts.map((count) =>
      row(
        count === 10_000
          ? `${listOf(count)}, ${slope(results[listOf(1000)], results[listOf(count)], 9000)}`
          : listOf(count),
        results,
        listOf(count),
        nothing,
        count === 1000 ? { floor: 4, target: 2.5 } : undefined,
      ),
    ),
    row(check, results, check, nothing, undefined),
  ];
}

/** What each image more costs: constant, as long as the work grows no faster than the cache. */
function slope(few, many, more) {
  const seconds = (results) => median(results.map((result) => result.seconds));
  return `${Math.round(((seconds(many) - seconds(few)) / more) * 1e6)} µs for each beyond 1,000`;
}
