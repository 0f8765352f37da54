/** A client of a registry: it fetches as Tartlet does, four blobs at a time, and compares every byte. */
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const AT_A_TIME = 4;

/**
 * Fetches a whole image, and goes on where it broke off up to `retry` times for each part.
 * @returns what it met: blobs that were `whole`, those that came to their end and were `wrong`, answers that were
 * `broken`, and `firstBytes` in epoch milliseconds.
 */
export async function fetchImage(image, { port, retry = 0 }) {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_A_TIME });
  const began = Date.now();
  const result = emptyResult();
  const manifest = await again(retry, result, async () => fetchManifest(agent, port, image));
  const left = manifest === undefined ? [] : [...image.blobs.values()];
  const worker = async () => {
    for (let blob = left.shift(); blob !== undefined; blob = left.shift())
      await fetchBlob(agent, port, blob, retry, result);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  result.milliseconds = Date.now() - began;
  agent.destroy();
  return result;
}

/** Before anything was met. */
export function emptyResult() {
  return { milliseconds: 0, wrong: 0, broken: 0, whole: 0, firstBytes: [], why: [] };
}

/** Fetches one blob, likewise. */
export async function fetchBlob(agent, port, blob, retry, result) {
  let from = 0;
  let isRight = true;
  await again(retry, result, async () => {
    const asked = Date.now();
    await get(agent, port, `blobs/${blob.digest}`, from, (bytes) => {
      if (from === 0) result.firstBytes.push({ digest: blob.digest, asked, came: Date.now() });
      // As a client that hashes, it knows at the end only.
      isRight &&= blob.matches(bytes, from);
      from += bytes.length;
    });
    if (from !== blob.size) throw new Error(`the blob ended at ${from} of ${blob.size}`);
    if (isRight) result.whole += 1;
    else result.wrong += 1;
  });
}

async function fetchManifest(agent, port, image) {
  const pieces = [];
  await get(agent, port, 'manifests/latest', 0, (bytes) => pieces.push(bytes));
  if (!Buffer.concat(pieces).equals(image.manifest)) throw new Error('the manifest is another one');
  return true;
}

async function again(times, result, work) {
  for (let left = times; ; left -= 1) {
    try {
      return await work();
    } catch (error) {
      result.broken += 1;
      if (result.why.length < 3) result.why.push(error.message);
      if (left === 0) return undefined;
      await delay(100);
    }
  }
}

async function get(agent, port, what, from, take) {
  await new Promise((resolve, reject) => {
    const headers = {
      accept: 'application/vnd.oci.image.manifest.v1+json, */*',
      ...(from > 0 ? { range: `bytes=${from}-` } : {}),
    };
    const sent = request({ agent, port, host: '127.0.0.1', path: `/v2/team/macos/${what}`, headers }, (response) => {
      if (response.statusCode !== (from > 0 ? 206 : 200)) {
        response.resume();
        reject(new Error(`status ${response.statusCode}`));
        return;
      }
      response.on('data', take);
      response.once('end', resolve);
      response.once('error', reject);
      response.once('close', () => reject(new Error('the connection broke')));
    });
    sent.once('error', reject);
    sent.end();
  });
}
