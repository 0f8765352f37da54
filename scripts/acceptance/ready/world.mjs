/** What the acceptance of time to ready has in common: its options, and starts over a link that has a limit. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { startSlowLink } from '../f8/slow-link.mjs';
import { DEFAULT_KEEP, imageSize, pushedGuest, withRegistryOf } from './guests.mjs';
import { timeToReady } from './start.mjs';

/** 100 Mbit/s. */
const RATE = 12.5e6;

/**
 * @param {readonly string[]} args
 * @param {object} rounds how many are made of each guest where nothing is said.
 */
export function readyOptions(args, rounds) {
  const { values } = parseArgs({
    args,
    options: {
      guest: { type: 'string', default: 'debian' },
      rounds: { type: 'string' },
      keep: { type: 'string', default: DEFAULT_KEEP },
      padding: { type: 'string', default: '600' },
      rate: { type: 'string', default: String(RATE) },
      layout: { type: 'string', default: 'layers' },
      quick: { type: 'string' },
    },
  });
  const { guest, keep, layout } = values;
  if (rounds[guest] === undefined) throw new Error('--guest is debian or tiny');
  const [count, paddingMib, bytesPerSecond] = [values.rounds ?? rounds[guest], values.padding, values.rate].map(Number);
  const quick = values.quick === undefined ? undefined : Number(values.quick);
  return { guest, keep, layout, rounds: count, paddingMib, bytesPerSecond, quick };
}

/**
 * Runs `use` with what starts a guest in a home of its own, from a registry behind a link that all connections share.
 *
 * @param options what {@link readyOptions} gives, and `pullSeconds`: the link is so fast that a pull takes so long.
 * Default: `bytesPerSecond`.
 * @param {(start: (how: { layout?: string, lazy: boolean, fill?: boolean, order?: string }) =>
 *   Promise<{ seconds: number, bytes: number, share: number, touched?: string }>) => unknown} use
 */
export async function withStarts(options, use) {
  const directory = await pushedGuest(options.guest, options);
  const work = mkdtempSync(`${tmpdir()}/tartlet-ready-`);
  try {
    return await withRegistryOf(`${directory}/registry`, async (port) => {
      let number = 0;
      return use(async ({ layout = 'layers', ...how }) => {
        const size = await imageSize(port, layout);
        const { pullSeconds, bytesPerSecond } = options;
        const rate = pullSeconds === undefined ? bytesPerSecond : size.imageBytes / pullSeconds;
        const link = await startSlowLink(port, rate);
        try {
          number += 1;
          const image = `127.0.0.1:${link.port}/team/${layout}:1`;
          const atReady = () => link.bytes;
          const { atReady: bytes, ...started } = await timeToReady(`${work}/${number}`, image, { ...how, atReady });
          return { ...started, bytes, share: bytes / size.imageBytes, ...size };
        } finally {
          link.close();
        }
      });
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

export function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
