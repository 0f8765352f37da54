/** The images of the acceptance of time to ready, kept for the next time, and the registry that serves them. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { tartlet } from '../debian.mjs';

const ROOT = path.resolve(import.meta.dirname, '../../..');

/**
 * `debian`: a Debian with 2.7 GB of tools in /opt, of which a start reads nothing, as of the images of CI.
 * `tiny`: the little guest, with what does not compress behind it.
 */
const GUESTS = {
  debian: {
    sources: ['debian-guest.mjs'],
    words: (directory) => [
      'debian-guest.mjs',
      directory,
      '--tools',
      'build-essential,clang,llvm-dev,golang-go,rustc,cargo,nodejs,python3-scipy,ghc',
      '--root-mib',
      '5500',
    ],
  },
  tiny: {
    sources: ['guest.mjs', 'guest/packages.mjs', 'guest/init.mjs', 'guest/padding.mjs'],
    words: (directory, paddingMib) => ['guest.mjs', directory, 'amd64', '--padding', String(paddingMib)],
  },
};

/** As what a guest was pushed: the options of `push` for each. */
const LAYOUTS = { layers: ['--layer-size', '16'], pieces: ['--pieces'], small: ['--layer-size', '1'] };

/** What is built and pushed already is taken from there. */
export const DEFAULT_KEEP = path.join(tmpdir(), 'tartlet-ready');

/**
 * A guest, pushed in layouts as `team/LAYOUT:1` to a registry whose data lies in a directory that is kept.
 *
 * @param {'debian' | 'tiny'} guest
 * @returns the directory.
 */
export async function pushedGuest(guest, { keep, paddingMib, layouts = ['layers', 'pieces'] }) {
  const { sources, words } = GUESTS[guest];
  const made = words('VM', paddingMib);
  const hash = createHash('sha256').update(JSON.stringify([made, layouts.map((each) => LAYOUTS[each])]));
  for (const source of sources) hash.update(readFileSync(path.join(ROOT, 'scripts', source)));
  const directory = path.join(keep, `${guest}-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(directory)) return directory;
  mkdirSync(keep, { recursive: true });
  const making = mkdtempSync(`${directory}.`);
  try {
    const [script, ...rest] = words(`${making}/home/vms/guest`, paddingMib);
    console.error(`builds the guest ${guest}, and pushes it: once, kept in ${keep}`);
    mkdirSync(`${making}/home/vms`, { recursive: true });
    const stdio = ['ignore', 'ignore', 'inherit'];
    execFileSync(process.execPath, [path.join(ROOT, 'scripts', script), ...rest], { stdio });
    await withRegistryOf(`${making}/registry`, async (port) => {
      for (const layout of layouts)
        await tartlet(`${making}/home`, 'push', ...LAYOUTS[layout], 'guest', `127.0.0.1:${port}/team/${layout}:1`);
    });
    rmSync(`${making}/home`, { recursive: true });
    renameSync(making, directory);
  } catch (error) {
    rmSync(making, { recursive: true, force: true });
    throw error;
  }
  return directory;
}

/** Runs `use` with the port of a registry over a directory. */
export async function withRegistryOf(directory, use) {
  const child = spawn(
    process.execPath,
    [path.join(ROOT, 'bin/tartlet'), 'serve', '--listen', '127.0.0.1:0', '--data', directory],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const ended = once(child, 'exit');
  try {
    const [url] = await Promise.race([
      once(child.stdout, 'data'),
      ended.then(() => Promise.reject(new Error('the registry did not start'))),
    ]);
    return await use(Number(new URL(String(url).trim()).port));
  } finally {
    child.kill();
    await ended;
  }
}

/** How large an image is: its blobs in bytes, and its disk in MiB. */
export async function imageSize(port, layout) {
  const { layers } = await (await fetch(`http://127.0.0.1:${port}/v2/team/${layout}/manifests/1`)).json();
  const decoded = layers.map(({ annotations = {} }) =>
    Number(annotations['org.cirruslabs.tart.uncompressed-size'] ?? 0),
  );
  return {
    imageBytes: layers.reduce((sum, { size }) => sum + size, 0),
    diskMib: Math.ceil(decoded.reduce((sum, size) => sum + size, 0) / 1024 ** 2),
  };
}
