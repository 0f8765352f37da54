/**
 * F3: what dies while a site cache works: clients, the upstream's connections, the cache itself.
 *
 *     npm run acceptance f3 -- [--count DEATHS] [--mib SIZE] [--rate MB-PER-SECOND]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { emptyResult, fetchBlob, fetchImage } from './site-cache/fetching.mjs';
import { makeImage } from './site-cache/image.mjs';
import { damagedBlobs, makeClients, startCache, storedBlobs } from './site-cache/processes.mjs';
import { Upstream } from './site-cache/upstream.mjs';

const OPTIONS = {
  count: { type: 'string', default: '50' },
  mib: { type: 'string', default: '256' },
  rate: { type: 'string', default: '20' },
};
const LAYERS = 16;

/** @returns the exit code. */
export async function main(args) {
  const { values } = parseArgs({ args, options: OPTIONS });
  const count = Number(values.count);
  const shape = { seed: 'f3', layers: LAYERS, layerBytes: (Number(values.mib) * 1024 * 1024) / LAYERS };
  const image = makeImage(shape);
  const upstream = await new Upstream(image, Number(values.rate) * 1e6).start();
  try {
    const deaths = await inDirectory(async (directory) => killClients({ directory, upstream, image, shape, count }));
    const cuts = await inDirectory(async (directory) => cutUpstream({ directory, upstream, image }));
    const crashes = await inDirectory(async (directory) => killCache({ directory, upstream, image, count }));
    return deaths && cuts && crashes ? 0 : 1;
  } finally {
    await upstream.stop();
  }
}

async function inDirectory(work) {
  const directory = mkdtempSync(path.join(tmpdir(), 'tartlet-f3-'));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Three clients pull, and others that have begun are killed, one after the other. */
async function killClients({ directory, upstream, image, shape, count }) {
  const cache = await startCache(directory, upstream.port);
  try {
    // So many at a time that all have died when the image is there.
    const dying = [];
    for (let index = 0; index < Math.min(count, 10); index += 1)
      dying.push(await makeClients(cache.port, Math.ceil(count / 10), shape));
    upstream.reset();
    const staying = Promise.all(Array.from({ length: 3 }, async () => fetchImage(image, { port: cache.port })));
    for (const group of dying) {
      void group.fetchAll();
      await delay(200 + Math.random() * 400);
      await group.kill();
    }
    const results = await staying;
    const disturbed = results.filter(({ wrong, broken }) => wrong + broken > 0).length;
    const extra = upstream.sent / image.bytes - 1;
    const killed = dying.length * Math.ceil(count / 10);
    console.log(
      `| F3 | ${killed} clients killed: ${percent(extra)} extra from upstream, ${disturbed} others disturbed |`,
    );
    return disturbed === 0 && extra <= 0.02;
  } finally {
    await cache.stop();
  }
}

/** Each blob's first answer is cut somewhere. */
async function cutUpstream({ directory, upstream, image }) {
  const cache = await startCache(directory, upstream.port);
  upstream.meddle = ({ digest, from }) => {
    const { size } = image.blobs.get(digest);
    return from === 0 && size > 1024 ? { cutAt: Math.floor(size * (0.1 + Math.random() * 0.8)) } : undefined;
  };
  try {
    upstream.reset();
    const results = await Promise.all(Array.from({ length: 3 }, async () => fetchImage(image, { port: cache.port })));
    const disturbed = results.filter(({ wrong, broken }) => wrong + broken > 0).length;
    const gets = [...upstream.gets.values()];
    const resumed = gets.filter((each) => each.length === 2 && each[1] > 0).length;
    const extra = upstream.sent / image.bytes - 1;
    console.log(
      `| F3 | upstream cut in the middle of ${LAYERS} blobs: ${resumed} resumed by Range, ${percent(extra)} extra, ` +
        `${disturbed} clients noticed |`,
    );
    return disturbed === 0 && resumed === LAYERS && extra <= 0.02;
  } finally {
    upstream.meddle = () => undefined;
    await cache.stop();
  }
}

/** The cache is killed again and again, while clients fetch through it what it has and has not. */
async function killCache({ directory, upstream, image, count }) {
  upstream.reset();
  const agent = new Agent();
  const result = emptyResult();
  const again = [];
  let port;
  let damaged = 0;
  const fetchSome = async (blobs) => Promise.all(blobs.map(async (blob) => fetchBlob(agent, port, blob, 0, result)));
  const blobs = [...image.blobs.values()];
  for (let round = 0; round < count; round += 1) {
    const stored = new Set(storedBlobs(directory).map(({ digest }) => digest));
    const before = new Map(upstream.gets);
    const cache = await startCache(directory, upstream.port, { port });
    port = cache.port;
    // What is there already, and the next ones.
    const missing = blobs.filter(({ digest }) => !stored.has(digest)).slice(0, 2);
    const work = fetchSome([...blobs.filter(({ digest }) => stored.has(digest)).slice(0, 2), ...missing]);
    await Promise.race([work, delay(100 + Math.random() * 500)]);
    await cache.kill();
    await work;
    for (const digest of stored) if (upstream.gets.get(digest) !== before.get(digest)) again.push(digest);
    damaged += damagedBlobs(directory).length;
  }
  const cache = await startCache(directory, upstream.port, { port });
  const last = await fetchImage(image, { port: cache.port });
  await cache.stop();
  agent.destroy();
  const ratio = upstream.sent / image.bytes;
  const wrong = result.wrong + last.wrong + damaged + last.broken;
  console.log(
    `| F3 | cache killed ${count} times: ${wrong} times anything wrong served or stored, ${again.length} finished blobs ` +
      `fetched again, ${ratio.toFixed(3)} × the image from upstream in all |`,
  );
  return wrong === 0 && again.length === 0;
}

function percent(share) {
  return `${(share * 100).toFixed(2)} %`;
}
