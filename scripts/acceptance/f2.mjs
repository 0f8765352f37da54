/**
 * F2: cold clients that all pull one image at a time through one site cache, over a limited link to the upstream.
 *
 *     npm run acceptance f2 -- [--count CLIENTS] [--mib SIZE] [--rate MB-PER-SECOND] [--distribution]
 *         [--counts-only]
 *
 * `--distribution` gives the same load to Debian's docker-registry as a proxy, for comparison. With
 * `--counts-only` bytes decide and not seconds: for a machine that does other things meanwhile.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { makeImage } from './site-cache/image.mjs';
import { makeClients, mostMemory, startCache, startDistribution } from './site-cache/processes.mjs';
import { Upstream } from './site-cache/upstream.mjs';

const OPTIONS = {
  count: { type: 'string', default: '10' },
  mib: { type: 'string', default: '1024' },
  rate: { type: 'string', default: '50' },
  distribution: { type: 'boolean', default: false },
  'counts-only': { type: 'boolean', default: false },
};

/** @returns the exit code. */
export async function main(args) {
  const { values } = parseArgs({ args, options: OPTIONS });
  const clients = Number(values.count);
  const layers = 16;
  const shape = { seed: 'f2', layers, layerBytes: (Number(values.mib) * 1024 * 1024) / layers };
  const image = makeImage(shape);
  const upstream = await new Upstream(image, Number(values.rate) * 1e6).start();
  try {
    const alone = await pull({ upstream, shape, clients: 1, start: startCache });
    const together = await pull({ upstream, shape, clients, start: startCache });
    const ours = told(together, image);
    print(`${clients} clients through the site cache`, ours);
    console.log(`  one client alone: ${(alone.slowest / 1000).toFixed(1)} s`);
    if (values.distribution) {
      const theirs = await pull({ upstream, shape, clients, start: startDistribution });
      print(`${clients} clients through Debian's docker-registry`, told(theirs, image));
    }
    const ratio = together.slowest / alone.slowest;
    const isMet =
      ours.upstream <= 1.01 &&
      ours.mostGets === 1 &&
      (values['counts-only'] || (ratio <= 1.25 && ours.latestFirstByte <= 500)) &&
      !(together.memory >= 200) &&
      together.wrong + together.broken === 0;
    console.log(
      `| F2 | ${clients} cold clients, ${values.mib} MiB, ${values.rate} MB/s: ${ours.upstream.toFixed(3)} × the image from ` +
        `upstream, ${ours.mostGets} GET per blob, slowest ${ratio.toFixed(2)} × one alone, first byte after at most ` +
        `${ours.latestFirstByte} ms, ${together.memory} MB of memory |`,
    );
    return isMet ? 0 : 1;
  } finally {
    await upstream.stop();
  }
}

async function pull({ upstream, shape, clients, start }) {
  const directory = mkdtempSync(path.join(tmpdir(), 'tartlet-f2-'));
  const proxy = await start(directory, upstream.port);
  try {
    const group = await makeClients(proxy.port, clients, shape);
    upstream.reset();
    const results = (await group.fetchAll()) ?? [];
    const wait = ({ digest, asked, came }) => came - Math.max(asked, upstream.firstByte.get(digest) ?? came);
    return {
      sent: upstream.sent,
      gets: [...upstream.gets.values()].map((each) => each.length),
      slowest: Math.max(...results.map(({ milliseconds }) => milliseconds)),
      waits: results.flatMap(({ firstBytes }) => firstBytes.map(wait)),
      wrong: results.reduce((sum, { wrong }) => sum + wrong, 0),
      broken: results.reduce((sum, { broken }) => sum + broken, 0),
      why: results.flatMap(({ why }) => why),
      memory: mostMemory(proxy.pid),
    };
  } finally {
    await proxy.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function told({ sent, gets, waits, ...rest }, image) {
  return { ...rest, upstream: sent / image.bytes, mostGets: Math.max(...gets), latestFirstByte: Math.max(...waits) };
}

function print(what, { upstream, mostGets, latestFirstByte, slowest, memory, wrong, broken, why }) {
  console.log(
    `${what}: ${upstream.toFixed(3)} × the image from upstream, at most ${mostGets} GETs per blob, slowest ` +
      `${(slowest / 1000).toFixed(1)} s, first byte after at most ${latestFirstByte} ms, ${memory} MB of memory, ` +
      `${wrong} wrong, ${broken} broken ${why[0] ?? ''}`,
  );
}
