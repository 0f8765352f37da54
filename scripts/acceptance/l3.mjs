/**
 * L3: how soon a guest is ready from an image that is not here, as a part of what it takes to pull the image and to run
 * it then, over the same link of 100 Mbit/s, one after the other in homes that have nothing.
 *
 *     npm run acceptance l3 -- [--guest debian|tiny] [--rounds N] [--rate BYTES_PER_SECOND] [--keep DIRECTORY]
 *       [--quick SECONDS]
 *
 * With `--quick`, only one start, of layers of 1 MiB, over a link where the pull takes so long, in seconds, and as a part
 * of that: `pull, then run` takes longer.
 */
import { median, readyOptions, withStarts } from './ready/world.mjs';

/** Most of the time of `pull, then run`; undefined: told, and nothing was promised. */
const CASES = [
  { name: '16 MiB layers', layout: 'layers', most: 0.4 },
  { name: '16 MiB layers with order', layout: 'layers', ordered: true, most: 0.3 },
  { name: 'index', layout: 'pieces', most: undefined },
  { name: 'index with order', layout: 'pieces', ordered: true, most: 0.25 },
];

/** @returns the exit code. */
export async function main(args) {
  const options = readyOptions(args, { debian: 1, tiny: 3 });
  if (options.quick !== undefined) return quick(options);
  const pulled = [];
  const times = CASES.map(() => []);
  let imageBytes = 0;
  await withStarts(options, async (start) => {
    let order;
    const pull = async () => {
      const { seconds, ...started } = await start({ lazy: false });
      ({ imageBytes } = started);
      pulled.push(seconds);
      console.error(`pull, then run: ${seconds.toFixed(1)} s`);
    };
    const onDemand = async () => {
      for (const [at, { name, layout, ordered = false }] of CASES.entries()) {
        const { seconds, share, touched } = await start({ layout, lazy: true, order: ordered ? order : undefined });
        // What the first guest touched, for those that come after it.
        order ??= touched;
        times[at].push(seconds);
        console.error(`${name}: ${seconds.toFixed(1)} s, ${(share * 100).toFixed(1)} % of the image had come`);
      }
    };
    for (let round = 0; round < options.rounds; round += 1) {
      for (const each of round % 2 === 0 ? [pull, onDemand] : [onDemand, pull]) await each();
    }
  });
  return report(options, { pulled, times, imageBytes });
}

async function quick(options) {
  const [layout, most] = ['small', 0.4];
  let judged;
  await withStarts({ ...options, layouts: [layout], pullSeconds: options.quick }, async (start) => {
    const { seconds, bytes, imageBytes } = await start({ layout, lazy: true });
    judged = { seconds, ratio: seconds / options.quick, come: bytes / imageBytes };
  });
  const { seconds, ratio, come } = judged;
  console.log(
    `| L3 | ${options.guest}, a pull takes ${options.quick} s at least: ready after ${seconds.toFixed(1)} s = ` +
      `${ratio.toFixed(2)} (at most ${most}), when ${(come * 100).toFixed(0)} % had come | ${ratio <= most ? 'met' : 'MISSED'} |`,
  );
  return ratio <= most ? 0 : 1;
}

function report({ guest, rounds, bytesPerSecond }, { pulled, times, imageBytes }) {
  const whole = median(pulled);
  const cases = CASES.map(({ name, most }, at) => {
    const ratio = median(times[at]) / whole;
    return { name, most, ratio, seconds: median(times[at]), isMet: most === undefined || ratio <= most };
  });
  const shown = cases.map(
    ({ name, most, ratio, seconds }) =>
      `${name} ${seconds.toFixed(1)} s = ${ratio.toFixed(2)}${most === undefined ? '' : ` (at most ${most.toFixed(2)})`}`,
  );
  const isMet = cases.every((each) => each.isMet);
  console.log(
    `| L3 | ${guest}, ${(imageBytes / 1e6).toFixed(0)} MB compressed at ${(bytesPerSecond * 8e-6).toFixed(0)} Mbit/s, ` +
      `medians of ${rounds}: pull, then run ${whole.toFixed(1)} s; ${shown.join(', ')} | ${isMet ? 'met' : 'MISSED'} |`,
  );
  return isMet ? 0 : 1;
}
