/** A fresh pull, beside programs that move or check the very same bytes. */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { inTurn, median, row } from './compare.mjs';
import { makeDense, makeVm, MIB } from './image.mjs';
import { takeMemory } from './warm.mjs';
import { report, tartlet, timed, together, withRegistry } from './process.mjs';

export async function pullRows({ work, runs, diskBytes }) {
  const rows = await withRegistry(work, async (at) => systemRows(work, runs, diskBytes, at));
  for (const kind of ['random', 'sparse']) {
    rows.push(
      await withRegistry(work, async (at) => otherRow(work, runs, Math.max(64 * MIB, diskBytes / 4), kind, at)),
    );
  }
  return rows;
}

/** The image as blobs in a folder, and as the frames that the `lz4` program reads: it does not know Apple's streams. */
async function publish(work, kind, diskBytes, at) {
  const disk = makeVm(`${work}/home/vms/bench`, kind, diskBytes);
  timed(work, [...tartlet, 'push', 'bench', `${at}/bench/vm:1`], { TART_HOME: `${work}/home` });
  return disk;
}

function contestants(work, at, diskBytes) {
  const fresh = (name, command, environment) => {
    rmSync(`${work}/${name}`, { recursive: true, force: true });
    takeMemory(work, diskBytes);
    return timed(work, command, environment);
  };
  return {
    tartlet: () => {
      const result = fresh('pulled', [...tartlet, 'pull', `${at}/bench/vm:1`], { TART_HOME: `${work}/pulled` });
      return { ...result, diskBytes: blocksBelow(`${work}/pulled`) };
    },
    skopeo: () =>
      fresh('copied', [
        'skopeo',
        'copy',
        '-q',
        '--src-tls-verify=false',
        `docker://${at}/bench/vm:1`,
        `dir:${work}/copied`,
      ]),
  };
}

async function systemRows(work, runs, diskBytes, at) {
  const disk = await publish(work, 'system', diskBytes, at);
  makeDense(`${work}/dense`, 'system', diskBytes);
  timed(work, ['lz4', '-q', '-f', '-1', '-BD', '-B4', disk, `${work}/disk.lz4`]);
  const basic = contestants(work, at, diskBytes);
  const results = await inTurn(runs, {
    ...basic,
    'skopeo + lz4 -d': () => {
      rmSync(`${work}/decoded`, { force: true });
      return together(basic.skopeo(), timed(work, ['lz4', '-q', '-d', '-f', `${work}/disk.lz4`, `${work}/decoded`]));
    },
    bound: () => nativeBound(work, disk, at),
    'openssl dgst -sha256 of the disk': () => hashed(work, disk),
    'cp of the bytes that are not zero': () => copied(work),
  });
  const wire = layersOf(`${work}/copied`).reduce((sum, { size }) => sum + size, 0);
  const written = median(results.tartlet.map((result) => result.diskBytes));
  const rows = [
    row('fresh pull, both digests checked', results, 'tartlet', 'skopeo', { reach: 0.65, aim: 0.45 }),
    row('the same', results, 'tartlet', 'bound', { reach: 1.5, aim: 1.15 }),
    ...['skopeo + lz4 -d', 'openssl dgst -sha256 of the disk', 'cp of the bytes that are not zero'].map((peer) =>
      row('the same', results, 'tartlet', peer),
    ),
  ];
  rmSync(`${work}/dense`);
  rmSync(`${work}/disk.lz4`);
  return rows.map((each) => ({ ...each, bytes: { wire, disk: written } }));
}

async function otherRow(work, runs, diskBytes, kind, at) {
  await publish(work, kind, diskBytes, at);
  const results = await inTurn(runs, contestants(work, at, diskBytes));
  const wire = layersOf(`${work}/copied`).reduce((sum, { size }) => sum + size, 0);
  const written = median(results.tartlet.map((result) => result.diskBytes));
  const what = `fresh pull of a ${kind} disk of ${Math.round(diskBytes / MIB)} MiB`;
  return { ...row(what, results, 'tartlet', 'skopeo'), bytes: { wire, disk: written } };
}

/**
 * What native programs need for the same work, as if every core were always busy: fetch the blobs, hash them, decode them, hash the disk, write what
 * is not zero. Their processor seconds, by the number of cores.
 */
function nativeBound(work, disk, at) {
  const layers = layersOf(`${work}/copied`);
  const urls = layers.flatMap(({ digest }) => ['-o', '/dev/null', `http://${at}/v2/bench/vm/blobs/${digest}`]);
  const files = layers.map(({ digest }) => path.join(work, 'copied', digest.replace('sha256:', '')));
  const decoding = report('decode-natively.mjs', ...files);
  const parts = together(timed(work, ['curl', '-s', ...urls]), hashed(work, ...files, disk), copied(work));
  const cpuSeconds = parts.cpuSeconds + decoding.cpuSeconds;
  return { seconds: cpuSeconds / availableParallelism(), cpuSeconds, peakBytes: parts.peakBytes };
}

/** By the fastest there is: Debian's `sha256sum` does not use the processor's own instructions. */
function hashed(work, ...files) {
  return timed(work, ['openssl', 'dgst', '-sha256', ...files]);
}

function copied(work) {
  rmSync(`${work}/copy`, { force: true });
  return timed(work, ['cp', '--reflink=never', `${work}/dense`, `${work}/copy`]);
}

/** The disk layers of an image that skopeo stored. */
function layersOf(folder) {
  const { layers } = JSON.parse(readFileSync(path.join(folder, 'manifest.json'), 'utf8'));
  return layers.filter(({ mediaType }) => mediaType.includes('disk'));
}

/** What the files of a folder occupy, by blocks: holes do not count, nor do links. */
function blocksBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).blocks * 512, 0);
}
