/**
 * L2: what has come of an image when its guest is ready, if nothing comes but what the guest waits for: by pieces and by
 * layers of 16 MiB, as a share of the image's compressed bytes. Counted in front of the registry.
 *
 *     npm run acceptance l2 -- [--guest debian|tiny] [--rounds N] [--keep DIRECTORY]
 *
 * The images are built and pushed once, and kept: the Debian (3.4 GB) in ten minutes.
 */
import { median, readyOptions, withStarts } from './ready/world.mjs';

const MOST = { pieces: 0.08, layers: 0.2 };

/** @returns the exit code. */
export async function main(args) {
  const options = { ...readyOptions(args, { debian: 1, tiny: 1 }), bytesPerSecond: Infinity };
  const shares = { pieces: [], layers: [] };
  let imageBytes = 0;
  await withStarts(options, async (start) => {
    for (let round = 0; round < options.rounds; round += 1) {
      for (const [layout, all] of Object.entries(shares)) {
        const started = await start({ layout, lazy: true, fill: false });
        all.push(started.share);
        ({ imageBytes } = started);
        console.error(`${layout}: ${(started.bytes / 1e6).toFixed(1)} MB, up in ${started.seconds.toFixed(1)} s`);
      }
    }
  });
  const isMet = Object.entries(shares).map(([layout, all]) => median(all) <= MOST[layout]);
  const shown = Object.entries(shares).map(
    ([layout, all]) => `${layout} ${percent(median(all))} (at most ${percent(MOST[layout])})`,
  );
  console.log(
    `| L2 | ${options.guest}, ${(imageBytes / 1e6).toFixed(0)} MB compressed, nothing fetched but what the guest waits for: ` +
      `${shown.join(', ')} | ${isMet.every(Boolean) ? 'met' : 'MISSED'} |`,
  );
  return isMet.every(Boolean) ? 0 : 1;
}

function percent(part) {
  return `${(part * 100).toFixed(1)} %`;
}
