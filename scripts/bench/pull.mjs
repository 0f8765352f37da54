/** A fresh pull, beside programs that move or check the very same bytes. */
import { readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { inTurn, median, row } from './compare.mjs';
import { makeDense, makeVm, MIB } from './disk.mjs';
import { compileNativePull, diskLayersOf, nativePull } from './native.mjs';
import { tartlet, timed, together, withRegistry } from './process.mjs';
import { takeMemory } from './warm.mjs';

/** Where the image lies in the registry. */
const REPOSITORY = 'bench/vm';
/** A disk whose pull is mostly start, and its layers, in MiB. */
const SMALL = { disk: 64, layer: 16 };

export async function pullRows({ work, runs, diskBytes }) {
  const native = compileNativePull(work);
  const rows = await withRegistry(work, async (at) => largeRows({ work, runs, diskBytes, at, native }));
  rows.push(...(await withRegistry(work, async (at) => smallRows({ work, runs, at, native }))));
  for (const kind of ['random', 'sparse']) {
    rows.push(
      await withRegistry(work, async (at) => otherRow(work, runs, Math.max(64 * MIB, diskBytes / 4), kind, at)),
    );
  }
  return rows;
}

/** Pushes a VM with such a disk. Returns the disk. */
function publish(work, kind, diskBytes, at, ...options) {
  const disk = makeVm(`${work}/home/vms/bench`, kind, diskBytes);
  timed(work, [...tartlet, 'push', ...options, 'bench', `${at}/${REPOSITORY}:1`], { TART_HOME: `${work}/home` });
  return disk;
}

function contestants(work, at, diskBytes, native) {
  const fresh = (name, run) => {
    rmSync(`${work}/${name}`, { recursive: true, force: true });
    takeMemory(work, diskBytes);
    return run();
  };
  const image = `${at}/${REPOSITORY}:1`;
  const copy = ['skopeo', 'copy', '-q', '--src-tls-verify=false', `docker://${image}`, `dir:${work}/copied`];
  const both = {
    skopeo: () => fresh('copied', () => timed(work, copy)),
    tartlet: () =>
      fresh('pulled', () => {
        const result = timed(work, [...tartlet, 'pull', image], { TART_HOME: `${work}/pulled` });
        return { ...result, diskBytes: blocksBelow(`${work}/pulled`) };
      }),
  };
  if (native === undefined) return both;
  const manifest = `${work}/copied/manifest.json`;
  const bound = () => nativePull(native, { work, at, repository: REPOSITORY, manifest });
  return { ...both, [NATIVE]: () => fresh('native-disk', bound) };
}

const NATIVE = 'native-pull.c, both digests, fsync';

async function largeRows({ work, runs, diskBytes, at, native }) {
  const disk = publish(work, 'files', diskBytes, at);
  makeDense(disk, `${work}/dense`);
  timed(work, ['lz4', '-q', '-f', '-1', '-BD', '-B4', disk, `${work}/disk.lz4`]);
  const basic = contestants(work, at, diskBytes, native);
  const others = {
    'skopeo + lz4 -d': () => {
      rmSync(`${work}/decoded`, { force: true });
      return together(basic.skopeo(), timed(work, ['lz4', '-q', '-d', '-f', `${work}/disk.lz4`, `${work}/decoded`]));
    },
    // By the fastest there is: Debian's `sha256sum` does not use the processor's own instructions.
    'openssl dgst -sha256 of the disk': () => timed(work, ['openssl', 'dgst', '-sha256', disk]),
    'cp and sync of the bytes that are not zero': () => copied(work),
  };
  const results = await inTurn(runs, { ...basic, ...others });
  const bytes = bytesMoved(work, results);
  rmSync(`${work}/dense`);
  rmSync(`${work}/disk.lz4`);
  const goals = { skopeo: { floor: 0.65, target: 0.45 }, [NATIVE]: { floor: 1.15, target: 1.1 } };
  const peers = Object.keys(results).filter((name) => name !== 'tartlet');
  return peers.map((peer, index) => ({
    ...row(index === 0 ? `fresh pull of ${sizeOf(diskBytes)}` : 'the same', results, 'tartlet', peer, goals[peer]),
    bytes,
  }));
}

async function smallRows({ work, runs, at, native }) {
  publish(work, 'files', SMALL.disk * MIB, at, '--layer-size', String(SMALL.layer));
  // Short, so that there can be many rounds.
  const results = await inTurn(3 * runs, contestants(work, at, SMALL.disk * MIB, native));
  const bytes = bytesMoved(work, results);
  const what = `fresh pull of ${SMALL.disk} MiB in layers of ${SMALL.layer} MiB`;
  const rows = [{ ...row(what, results, 'tartlet', 'skopeo'), bytes }];
  if (native === undefined) return rows;
  return [...rows, { ...row('the same', results, 'tartlet', NATIVE, { floor: 2.5, target: 2 }), bytes }];
}

async function otherRow(work, runs, diskBytes, kind, at) {
  publish(work, kind, diskBytes, at);
  const results = await inTurn(runs, contestants(work, at, diskBytes));
  const what = `fresh pull of a ${kind} disk of ${sizeOf(diskBytes)}`;
  return { ...row(what, results, 'tartlet', 'skopeo'), bytes: bytesMoved(work, results) };
}

/** What came over the network, and what lies on the disk then. */
function bytesMoved(work, results) {
  const wire = diskLayersOf(`${work}/copied/manifest.json`).reduce((sum, { size }) => sum + size, 0);
  return { wire, disk: median(results.tartlet.map((result) => result.diskBytes)) };
}

function copied(work) {
  rmSync(`${work}/copy`, { force: true });
  return timed(work, ['sh', '-c', `cp --reflink=never ${work}/dense ${work}/copy && sync ${work}/copy`]);
}

function sizeOf(bytes) {
  return bytes < 1024 * MIB ? `${Math.round(bytes / MIB)} MiB` : `${(bytes / MIB / 1024).toFixed(0)} GiB`;
}

/** What the files of a directory occupy, by blocks: holes do not count, nor do links. */
function blocksBelow(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).blocks * 512, 0);
}
