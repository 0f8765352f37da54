/**
 * F6: skopeo, podman, containerd, crane and oras pull by way of a site cache, and have the bytes of the registry, which
 * gave each blob once for all of them. Arguments: the clients; default all, and the conformance suite. crane, oras and
 * the suite are built with Go.
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { CLIENTS } from './f6/clients.mjs';

const DIST = path.resolve(import.meta.dirname, '../../dist/entry/server.js');
const IMAGE = 'team/image';

/** @returns the exit code. */
export async function main(clients = []) {
  const names = clients.length === 0 ? Object.keys(CLIENTS) : clients;
  const { createRegistry, createSiteCache } = await import(pathToFileURL(DIST).href);
  const work = mkdtempSync(`${tmpdir()}/tartlet-f6-`);
  const asked = [];
  const registry = createRegistry({
    dataDirectory: `${work}/registry`,
    log: (event) => asked.push(`${event.method} ${event.path}`),
  });
  let cache;
  try {
    const { port } = await registry.listen();
    const upstream = `127.0.0.1:${port}`;
    cache = createSiteCache({ dataDirectory: `${work}/cache`, upstreams: { allowed: [upstream] }, freeBytes: 0 });
    const { port: cachePort } = await cache.listen();
    const { blobs, manifest } = await pushImage(upstream);
    asked.length = 0;
    const image = { registry: upstream, cache: `127.0.0.1:${cachePort}`, name: `${IMAGE}:1` };
    let good = 0;
    for (const name of names) {
      const directory = path.join(work, name);
      const environment = environmentOf(image, directory);
      // Its files are hashed anew; what is not of the registry (a list of what there is) does not count.
      const found = new Set(await CLIENTS[name](image, directory, environment));
      // podman unpacks layers, so that only their hashing by podman itself says that they are right.
      const wanted = name === 'podman' ? [manifest, blobs[0]] : [manifest, ...blobs];
      const isGood = wanted.every((digest) => found.has(digest));
      console.error(
        `${name}: ${isGood ? 'bytes equal' : `lacks ${wanted.filter((digest) => !found.has(digest)).join(', ')}`}`,
      );
      if (isGood) good += 1;
    }
    const gets = asked.filter((request) => request.startsWith('GET') && request.includes('/blobs/'));
    const once = gets.length === blobs.length && new Set(gets).size === blobs.length;
    const suite = clients.length === 0 ? await conformance() : { isGreen: true, text: '' };
    console.log(
      `| F6 | ${names.join(', ')} through the cache: bytes equal ${good}/${names.length}; ` +
        `${gets.length} GETs of ${blobs.length} blobs upstream${suite.text} |`,
    );
    return good === names.length && once && suite.isGreen ? 0 : 1;
  } finally {
    await cache?.close();
    await registry.close();
    rmSync(work, { recursive: true, force: true });
  }
}

/** The suite of the distribution spec, of which what reads goes through a cache. */
async function conformance() {
  const args = [path.resolve(import.meta.dirname, '../conformance.mjs'), '--through-cache'];
  const { stdout, code = 0 } = await promisify(execFile)(process.execPath, args, {
    env: { ...process.env, CI: '1' },
  }).catch((error) => error);
  return { isGreen: code === 0, text: `; conformance: ${String(stdout).trim().split('\n').join(', ')}` };
}

/** A home of its own, with the cache as a mirror. */
function environmentOf({ registry, cache }, directory) {
  mkdirSync(`${directory}/.config/containers`, { recursive: true });
  writeFileSync(
    `${directory}/.config/containers/registries.conf`,
    [
      '[[registry]]',
      `location = "${registry}"`,
      'insecure = true',
      '[[registry.mirror]]',
      `location = "${cache}/${registry.replace(':', '_')}"`,
      'insecure = true',
      '',
    ].join('\n'),
  );
  const { PATH, TMPDIR = '' } = process.env;
  return { PATH: `${PATH}:/usr/sbin:/sbin`, TMPDIR, HOME: directory };
}

/** Two layers of 2 MiB that compress badly, and are archives, because podman unpacks them. */
async function pushImage(registry) {
  const tars = ['one', 'two'].map((name) => tarOf(name, randomBytes(2 * 1024 * 1024)));
  const config = {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: tars.map(digestOf) },
  };
  const contents = [Buffer.from(JSON.stringify(config)), ...tars.map((tar) => gzipSync(tar))];
  const types = ['image.config.v1+json', 'image.layer.v1.tar+gzip', 'image.layer.v1.tar+gzip'];
  const descriptors = contents.map((bytes, index) => ({
    mediaType: `application/vnd.oci.${types[index]}`,
    digest: digestOf(bytes),
    size: bytes.length,
  }));
  for (const [index, bytes] of contents.entries()) {
    const { digest } = descriptors[index];
    await send('POST', `http://${registry}/v2/${IMAGE}/blobs/uploads/?digest=${digest}`, bytes);
  }
  const [first, ...layers] = descriptors;
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: first, layers }));
  await send('PUT', `http://${registry}/v2/${IMAGE}/manifests/1`, bytes, { 'Content-Type': mediaType });
  return { manifest: digestOf(bytes), blobs: descriptors.map(({ digest }) => digest) };
}

async function send(method, url, body, headers = {}) {
  const response = await fetch(url, { method, body, headers });
  if (response.status !== 201) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
}

/** One file, in the format of POSIX (ustar). */
function tarOf(name, bytes) {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar', 257);
  header.write('00', 263);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, bytes, Buffer.alloc(1024)]);
}

function digestOf(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
