/** Where a storm (`storm.mjs`) happens: a registry, a home, and two installations of the command. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { makeSampleVm } from '../sample-vm.mjs';
import { sha256 } from './oracle.mjs';

const ROOT = path.resolve(import.meta.dirname, '../..');
const VERSIONS = ['v1', 'v2', 'v3', 'v4'];
const DISK_BYTES = 2 * 1024 * 1024;
/** No command of a storm takes a fraction of this, in milliseconds: one that does waits for ever. */
const TOO_LONG_MS = 120_000;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** Makes all of it below `directory`; `close` ends the registry. */
export async function makePlace(directory) {
  const registry = await startRegistry(directory);
  const place = {
    directory,
    home: path.join(directory, 'home'),
    out: path.join(directory, 'out'),
    repository: `127.0.0.1:${registry.port}/storm/vm`,
    builds: [path.join(ROOT, 'bin/tartlet'), withoutBinding(path.join(directory, 'unbound'))],
    versions: [],
    close: registry.close,
  };
  mkdirSync(place.out);
  for (const name of VERSIONS) place.versions.push(await pushVersion(place, name));
  await point(place, 'moving', place.versions[0]);
  await must(place, 'pull', `${place.repository}:v1`);
  await must(place, 'pin', `${place.repository}:v1`);
  await must(place, 'clone', `${place.repository}:v2`, 'kept');
  const files = {
    [path.join(place.home, 'notes.txt')]: 'of the user',
    [path.join(directory, 'beside.txt')]: 'outside',
  };
  for (const [file, text] of Object.entries(files)) writeFileSync(file, text);
  const link = `cache/OCIs/${encodeURIComponent(`127.0.0.1:${registry.port}`)}/storm/vm/v1`;
  place.kept = { vm: { name: 'kept', version: place.versions[1] }, tag: { link, version: place.versions[0] }, files };
  return place;
}

/** Lets a tag of the registry lead to a version, as a push from another machine would. */
export async function point({ repository }, tag, version) {
  const [host, ...rest] = repository.split('/');
  const answer = await fetch(`http://${host}/v2/${rest.join('/')}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': MANIFEST },
    body: version.manifest,
  });
  if (answer.status !== 201) throw new Error(`the registry answered ${answer.status} to a push`);
}

/**
 * Runs a command to its end.
 * @param build 0: all of the installation; 1: the one without the native binding.
 * @param killAfterMs kills it, if it has not ended by then.
 */
export function run({ home, directory, builds }, build, command, killAfterMs) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [builds[build], ...command], {
      env: { PATH: process.env.PATH, HOME: directory, TART_HOME: home, NO_COLOR: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    let isLate = false;
    child.stderr.on('data', (bytes) => {
      said += bytes;
    });
    const killed = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs);
    const late = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, TOO_LONG_MS);
    child.on('close', (status) => {
      clearTimeout(killed);
      clearTimeout(late);
      resolve({ status: status ?? undefined, said, isLate });
    });
  });
}

async function must(place, ...command) {
  const { status, said } = await run(place, 0, command);
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}: ${said}`);
}

async function startRegistry(directory) {
  const { createRegistry } = await import(pathToFileURL(path.join(ROOT, 'dist/entry/server.js')).href);
  const registry = createRegistry({ dataDirectory: path.join(directory, 'registry') });
  const { port } = await registry.listen();
  return { port, close: () => registry.close() };
}

/** The same files with no packages beside them, as where optional dependencies were left out. */
function withoutBinding(directory) {
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(path.join(ROOT, part), path.join(directory, part), { recursive: true });
  return path.join(directory, 'bin/tartlet');
}

async function pushVersion(place, name) {
  const workshop = { ...place, home: path.join(place.directory, 'workshop') };
  const at = path.join(workshop.home, 'vms', name);
  // Half of it is the same in all versions, a quarter zeros.
  const disk = Buffer.alloc(DISK_BYTES, 'the same in every version\n');
  randomBytes(DISK_BYTES / 4).copy(disk);
  disk.fill(0, DISK_BYTES * (3 / 4));
  writeFileSync(makeSampleVm(at), disk);
  await must(workshop, 'push', '--layer-size', '1', name, `${place.repository}:${name}`);
  const [host, ...rest] = place.repository.split('/');
  const answer = await fetch(`http://${host}/v2/${rest.join('/')}/manifests/${name}`, {
    headers: { accept: MANIFEST },
  });
  const manifest = Buffer.from(await answer.arrayBuffer());
  const { layers } = JSON.parse(manifest.toString());
  const blob = async (type) => {
    const { digest } = layers.find(({ mediaType }) => mediaType.endsWith(type));
    return Buffer.from(await (await fetch(`http://${host}/v2/${rest.join('/')}/blobs/${digest}`)).arrayBuffer());
  };
  const files = { 'config.json': await blob('.config.v1'), 'nvram.bin': await blob('.nvram.v1'), 'disk.img': disk };
  return { name, manifest, digest: sha256(manifest), files };
}
