/**
 * L9: what an order is worth. How soon a guest is ready when the disk comes in the order in which an earlier one touched
 * it, and when it comes in the worst one (everything that is not needed first, then what is needed, the last first), as
 * a part of the time without any order.
 *
 *     npm run acceptance l9 -- [--guest debian|tiny] [--layout layers|pieces] [--rounds N] [--rate BYTES_PER_SECOND]
 *       [--keep DIRECTORY]
 */
import { median, readyOptions, withStarts } from './ready/world.mjs';

const MOST = { recorded: 0.85, hostile: 1.1 };
/** The most numbers that an order has (`oci/boot-order.ts`). */
const MOST_UNITS = 16_384;

/** @returns the exit code. */
export async function main(args) {
  const options = readyOptions(args, { debian: 1, tiny: 3 });
  const { layout } = options;
  const times = { none: [], recorded: [], hostile: [] };
  await withStarts(options, async (start) => {
    const first = await start({ layout, lazy: true });
    times.none.push(first.seconds);
    tell('none', first);
    const orders = { none: undefined, recorded: first.touched, hostile: hostileTo(first.touched, first.diskMib) };
    for (let round = 0; round < options.rounds; round += 1) {
      const names = Object.keys(times).filter((name) => round > 0 || name !== 'none');
      for (const name of round % 2 === 0 ? names : names.toReversed()) {
        const started = await start({ layout, lazy: true, order: orders[name] });
        times[name].push(started.seconds);
        tell(name, started);
      }
    }
  });
  const without = median(times.none);
  const ratios = Object.entries(MOST).map(([name, most]) => ({ name, most, ratio: median(times[name]) / without }));
  const isMet = ratios.every(({ ratio, most }) => ratio <= most);
  const shown = ratios.map(
    ({ name, most, ratio }) =>
      `${name} ${median(times[name]).toFixed(1)} s = ${ratio.toFixed(2)} (at most ${most.toFixed(2)})`,
  );
  console.log(
    `| L9 | ${options.guest}, ${layout}, at ${(options.bytesPerSecond * 8e-6).toFixed(0)} Mbit/s, medians of ${options.rounds}: ` +
      `no order ${without.toFixed(1)} s, ${shown.join(', ')} | ${isMet ? 'met' : 'MISSED'} |`,
  );
  return isMet ? 0 : 1;
}

function tell(name, { seconds, share }) {
  console.error(`${name}: ${seconds.toFixed(1)} s, ${(share * 100).toFixed(1)} % of the image had come`);
}

/** Everything else in the order of the disk, and then what is touched, in the wrong one. */
function hostileTo(order, diskMib) {
  const { touched } = JSON.parse(order);
  const needed = touched.flatMap(([from, count]) => Array.from({ length: count }, (_, at) => from + at));
  const isNeeded = new Set(needed);
  const others = Array.from({ length: diskMib }, (_, at) => at).filter((unit) => !isNeeded.has(unit));
  const all = [...others, ...needed.toReversed()].slice(0, MOST_UNITS);
  return JSON.stringify({ version: 1, touched: all.map((unit) => [unit, 1]) });
}
