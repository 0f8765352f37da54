/**
 * F10: a site cache whose budget is much less than what its clients want: it is held within one blob, and no stream
 * breaks.
 *
 *     npm run acceptance f10 -- [--count READS] [--mib BUDGET]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { emptyResult, fetchBlob } from './site-cache/fetching.mjs';
import { makeImage } from './site-cache/image.mjs';
import { heldBytes, startCache } from './site-cache/processes.mjs';
import { Upstream } from './site-cache/upstream.mjs';

const MIB = 1024 * 1024;
const LAYERS = 40;
/** Clients that read at a time. */
const READERS = 8;

/** @returns the exit code. */
export async function main(args) {
  const options = { count: { type: 'string', default: '400' }, mib: { type: 'string', default: '64' } };
  const { values } = parseArgs({ args, options });
  const budget = Number(values.mib) * MIB;
  const layerBytes = budget / 8;
  const image = makeImage({ seed: 'f10', layers: LAYERS, layerBytes });
  const upstream = await new Upstream(image, 200e6).start();
  const directory = mkdtempSync(path.join(tmpdir(), 'tartlet-f10-'));
  const cache = await startCache(directory, upstream.port, { options: ['--proxy-budget', String(budget)] });
  const result = emptyResult();
  const agent = new Agent({ keepAlive: true });
  const blobs = [...image.blobs.values()];
  let left = Number(values.count);
  const reader = async () => {
    while (left > 0) {
      left -= 1;
      await fetchBlob(agent, cache.port, blobs[Math.floor(Math.random() * blobs.length)], 0, result);
    }
  };
  let most = 0;
  const isOver = { value: false };
  const watching = (async () => {
    while (!isOver.value) {
      most = Math.max(most, heldBytes(directory, cache.pid));
      await delay(10);
    }
  })();
  try {
    await Promise.all(Array.from({ length: READERS }, reader));
    isOver.value = true;
    await watching;
  } finally {
    isOver.value = true;
    agent.destroy();
    await cache.stop();
    await upstream.stop();
    rmSync(directory, { recursive: true, force: true });
  }
  const bad = result.wrong + result.broken;
  const over = (most - budget) / layerBytes;
  console.log(
    `| F10 | ${values.count} reads of ${LAYERS} blobs, 5 × the budget of ${values.mib} MiB: at most ` +
      `${(most / MIB).toFixed(1)} MiB held (${over.toFixed(2)} blobs above the budget), ${bad} streams broken, ` +
      `${(upstream.sent / image.bytes).toFixed(2)} × the image from upstream |`,
  );
  return bad === 0 && over <= 1 ? 0 : 1;
}
