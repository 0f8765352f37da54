/**
 * F12: a deletion by digest and a page of tags take no longer for many tags than for few, and what the index of 100,000
 * tags takes in memory. Both in one run of one registry, in turn, so that a machine with other work does not decide.
 *
 *     npm run acceptance f12 [TAGS] [ROUNDS] [TAGS FOR THE MEMORY]
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { start } from './debian.mjs';

const FEW = 50;
const LAYERS = 60;

/** @returns the exit code. */
export async function main([count = '5000', rounds = '20', large = '100000']) {
  const directory = mkdtempSync(`${tmpdir()}/tartlet-f12-`);
  const tags = { few: FEW, many: Number(count), large: Number(large) };
  const digests = {};
  for (const [name, each] of Object.entries(tags)) digests[name] = plant(directory, name, each);
  const serving = start(directory, 'serve', '--data', directory, '--listen', '127.0.0.1:0');
  try {
    const port = await portOf(serving);
    const row = await compare(port, digests, Number(rounds));
    const memory = await memoryOf(port, serving.child.pid, digests.large);
    console.log(
      `| F12 | ${count} tags against ${FEW}, medians of ${rounds} in turn: DELETE by digest ${row.deletion}, page of tags ${row.page}; ` +
        `the first of each after a start ${row.first}; index of ${large} tags with ${LAYERS} layers each: ${memory} |`,
    );
    return row.good ? 0 : 1;
  } finally {
    serving.child.kill('SIGTERM');
    await serving.ended;
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A repository as a registry leaves it. @returns the digests of its manifests, one for each tag. */
function plant(directory, repository, count) {
  const made = new Set();
  const write = (file, content) => {
    const parent = path.dirname(file);
    if (!made.has(parent)) mkdirSync(parent, { recursive: true });
    made.add(parent);
    writeFileSync(file, content);
  };
  const root = path.join(directory, 'repositories', repository);
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const layer = (text) => ({ mediaType: 'application/octet-stream', digest: `sha256:${sha256(text)}`, size: 1 });
  return Array.from({ length: count }, (_, each) => {
    // Nine layers of ten are those of an image before, as for images that are built upon each other.
    const layers = Array.from({ length: LAYERS }, (_each, at) =>
      layer(`${repository} ${at % 10 === 0 ? each : 'base'} ${at}`),
    );
    const bytes = JSON.stringify({ schemaVersion: 2, mediaType: type, config: layer('config'), layers });
    const hex = sha256(bytes);
    write(path.join(directory, 'blobs/sha256', hex.slice(0, 2), hex), bytes);
    write(path.join(root, '_manifests/sha256', hex), JSON.stringify({ mediaType: type }));
    write(path.join(root, '_tags', `t${String(each).padStart(6, '0')}`), `sha256:${hex}`);
    return `sha256:${hex}`;
  });
}

function sha256(text) {
  return createHash('sha256').update(text).digest('hex');
}

async function portOf(serving) {
  for (;;) {
    const port = /:(\d+)/.exec(serving.stdout + serving.stderr)?.[1];
    if (port !== undefined) return Number(port);
    if (serving.child.exitCode !== null) throw new Error(serving.stderr);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function compare(port, digests, rounds) {
  const times = { few: { deletion: [], page: [] }, many: { deletion: [], page: [] } };
  const first = {};
  for (const name of ['few', 'many']) {
    const page = await timed(port, 'GET', `/v2/${name}/tags/list?n=20&last=t000010`, 200);
    first[name] = { page, deletion: await timed(port, 'DELETE', `/v2/${name}/manifests/${digests[name][0]}`, 202) };
  }
  for (let round = 1; round <= rounds; round += 1) {
    for (const name of round % 2 === 0 ? ['few', 'many'] : ['many', 'few']) {
      const { deletion, page } = times[name];
      deletion.push(await timed(port, 'DELETE', `/v2/${name}/manifests/${digests[name][round]}`, 202));
      page.push(await timed(port, 'GET', `/v2/${name}/tags/list?n=20&last=t000010`, 200));
    }
  }
  const told = (kind) => {
    const [few, many] = [median(times.few[kind]), median(times.many[kind])];
    return {
      text: `${(many / few).toFixed(2)} × (${few.toFixed(1)} and ${many.toFixed(1)} ms)`,
      good: many <= 2 * few,
    };
  };
  const [deletion, page] = [told('deletion'), told('page')];
  const firsts = `${first.many.page.toFixed(0)} ms for a page and ${first.many.deletion.toFixed(0)} ms for a DELETE`;
  return { deletion: deletion.text, page: page.text, first: firsts, good: deletion.good && page.good };
}

async function memoryOf(port, pid, digests) {
  const resident = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
  const before = resident();
  await timed(port, 'GET', '/v2/large/tags/list?n=20', 200);
  const deletion = await timed(port, 'DELETE', `/v2/large/manifests/${digests[0]}`, 202);
  return `${(resident() - before).toFixed(0)} MiB more resident, ${(deletion / 1000).toFixed(1)} s once`;
}

async function timed(port, method, target, status) {
  const begun = performance.now();
  await new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, method, path: target }, (response) => {
      if (response.statusCode !== status) reject(new Error(`${method} ${target}: ${response.statusCode}`));
      response.resume().once('end', resolve);
    });
    request.once('error', reject);
    request.end();
  });
  return performance.now() - begun;
}

function median(values) {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)];
}
