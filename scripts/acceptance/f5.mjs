/**
 * F5: wrong bytes of the upstream are never stored, the client sees the failure, and the next try heals.
 *
 *     npm run acceptance f5 -- [--count TIMES-OF-EACH-KIND]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { emptyResult, fetchBlob } from './site-cache/fetching.mjs';
import { makeImage } from './site-cache/image.mjs';
import { damagedBlobs, startCache, storedBlobs } from './site-cache/processes.mjs';
import { Upstream } from './site-cache/upstream.mjs';

/** What each does with an answer that begins at a byte. */
const KINDS = {
  'one bit flipped': () => ({ wrong: 'bit' }),
  'another blob': () => ({ wrong: 'another' }),
  'more than there is': () => ({ wrong: 'longer' }),
  'half of another one': ({ from, size }) => (from === 0 ? { cutAt: Math.floor(size / 2) } : { wrong: 'another' }),
};
/** Broken off, and then well: that is healed within the first try. */
const SHORTER = ({ from }) => (from === 0 ? { wrong: 'shorter' } : undefined);

/** @returns the exit code. */
export async function main(args) {
  const { values } = parseArgs({ args, options: { count: { type: 'string', default: '25' } } });
  const count = Number(values.count);
  const image = makeImage({ seed: 'f5', layers: count * 5, layerBytes: 300_000 });
  const upstream = await new Upstream(image, 1e9).start();
  const directory = mkdtempSync(path.join(tmpdir(), 'tartlet-f5-'));
  const cache = await startCache(directory, upstream.port);
  const agent = new Agent();
  const blobs = [...image.blobs.values()];
  const tried = async (blob) => {
    const result = emptyResult();
    await fetchBlob(agent, cache.port, blob, 0, result);
    return result.whole === 1;
  };
  const found = { seen: 0, stored: 0, healed: 0, resumed: 0 };
  try {
    for (const meddle of Object.values(KINDS)) {
      for (const blob of blobs.splice(0, count)) {
        upstream.meddle = ({ digest, from }) => meddle({ from, size: image.blobs.get(digest).size });
        if (!(await tried(blob))) found.seen += 1;
        if (storedBlobs(directory).some(({ digest }) => digest === blob.digest)) found.stored += 1;
        upstream.meddle = () => undefined;
        if (await tried(blob)) found.healed += 1;
      }
    }
    upstream.meddle = SHORTER;
    for (const blob of blobs.splice(0, count)) if (await tried(blob)) found.resumed += 1;
  } finally {
    agent.destroy();
    await cache.stop();
    await upstream.stop();
  }
  const damaged = damagedBlobs(directory).length;
  rmSync(directory, { recursive: true, force: true });
  const all = Object.keys(KINDS).length * count;
  console.log(
    `| F5 | ${Object.keys(KINDS).join(', ')}, ${count} times each: ${found.seen}/${all} failures seen by the client, ` +
      `${found.stored + damaged} stored, ${found.healed}/${all} healed by the next try; ended early: ` +
      `${found.resumed}/${count} resumed within the try |`,
  );
  const isMet = found.seen === all && found.healed === all && found.stored + damaged === 0 && found.resumed === count;
  return isMet ? 0 : 1;
}
