/**
 * What a native program needs for the work of a pull: `native-pull.c`, compiled on the spot where there is a compiler.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { availableParallelism } from 'node:os';
import { timed } from './process.mjs';

/**
 * Compiles it into `work`.
 * @returns the program, or undefined where it cannot be compiled (Debian: gcc libc6-dev liblz4-dev libssl-dev).
 */
export function compileNativePull(work) {
  const program = `${work}/native-pull`;
  const source = path.join(import.meta.dirname, 'native-pull.c');
  const libraries = ['-llz4', '-lcrypto', '-lpthread'];
  const done = spawnSync('cc', ['-O3', '-march=native', source, '-o', program, ...libraries], { stdio: 'ignore' });
  if (done.status === 0) return program;
  console.error('no native bound: apt-get install gcc libc6-dev liblz4-dev libssl-dev');
  return undefined;
}

/**
 * Pulls the disk of an image with it, by as many threads as there are processors.
 * @param manifest that of the image, as a file.
 * @param at host and port of the registry.
 */
export function nativePull(program, { work, at, repository, manifest }) {
  const layers = diskLayersOf(manifest);
  let offset = 0;
  const lines = layers.map(({ digest, size, annotations }) => {
    const bytes = Number(annotations['org.cirruslabs.tart.uncompressed-size']);
    const content = hexOf(annotations['org.cirruslabs.tart.uncompressed-content-digest']);
    const line = `/v2/${repository}/blobs/${digest} ${size} ${hexOf(digest)} ${offset} ${bytes} ${content}\n`;
    offset += bytes;
    return line;
  });
  writeFileSync(`${work}/layers`, lines.join(''));
  const port = at.split(':').at(-1);
  const command = `exec ${program} ${port} ${work}/native-disk ${offset} ${availableParallelism()} <${work}/layers`;
  return timed(work, ['sh', '-c', command]);
}

/** The disk layers of a manifest in a file. */
export function diskLayersOf(manifest) {
  const { layers } = JSON.parse(readFileSync(manifest, 'utf8'));
  return layers.filter(({ mediaType }) => mediaType.includes('disk'));
}

function hexOf(digest) {
  return digest.replace('sha256:', '');
}
