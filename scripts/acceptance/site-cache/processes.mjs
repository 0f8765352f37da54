/** The processes of an acceptance: the site cache, Debian's registry as a proxy, and clients. */
import { fork, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const root = path.resolve(import.meta.dirname, '../../..');
const CLIENT = new URL('./client.mjs', import.meta.url);

/** Starts `serve --proxy-for` the upstream. */
export async function startCache(directory, upstreamPort, { port, options = [] } = {}) {
  const own = port ?? (await freePort());
  const words = ['serve', '--proxy-for', `127.0.0.1:${upstreamPort}`, '--data', directory, '--listen', String(own)];
  return started(process.execPath, [path.join(root, 'bin/tartlet'), ...words, ...options], own);
}

/** Debian's docker-registry as a pull-through proxy of the upstream. */
export async function startDistribution(directory, upstreamPort) {
  const own = await freePort();
  const config = path.join(directory, 'config.yml');
  const lines = [
    'version: 0.1',
    'log: {level: error}',
    `storage: {filesystem: {rootdirectory: ${path.join(directory, 'data')}}}`,
    `http: {addr: "127.0.0.1:${own}"}`,
    `proxy: {remoteurl: "http://127.0.0.1:${upstreamPort}"}`,
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  return started('docker-registry', ['serve', config], own);
}

async function started(program, words, port) {
  const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (bytes) => (said = (said + bytes).slice(-4000)));
  const ended = new Promise((resolve) => child.once('close', resolve));
  const proxy = {
    port,
    pid: child.pid,
    said: () => said,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
  for (const until = Date.now() + 30_000; ; await delay(20)) {
    if (child.exitCode !== null || Date.now() > until) throw new Error(`${program} did not start: ${said}`);
    const answer = await fetch(`http://127.0.0.1:${port}/v2/`).catch(() => undefined);
    if (answer !== undefined) return proxy;
  }
}

/** A process with so many clients, ready to begin. */
export async function makeClients(port, clients, image, retry = 0) {
  const child = fork(CLIENT, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const ready = new Promise((resolve) => child.once('message', resolve));
  child.send({ port, clients, image, retry });
  await ready;
  return {
    /** @returns what each met; undefined when they were killed. */
    async fetchAll() {
      const done = new Promise((resolve) => {
        child.once('message', ({ results }) => resolve(results));
        child.once('close', () => resolve(undefined));
      });
      child.send('go');
      return done;
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** The most memory that a process had, in MB; NaN where the system does not tell. */
export function mostMemory(pid) {
  const status = existsSync(`/proc/${pid}/status`) ? readFileSync(`/proc/${pid}/status`, 'utf8') : '';
  return Math.round(Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024);
}

/** Digests of the blobs that are stored. */
export function storedBlobs(directory) {
  const blobs = path.join(directory, 'blobs/sha256');
  if (!existsSync(blobs)) return [];
  return readdirSync(blobs, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => ({ digest: `sha256:${entry.name}`, file: path.join(entry.parentPath, entry.name) }));
}

/** Of the stored blobs, those that are not what their name says. */
export function damagedBlobs(directory) {
  return storedBlobs(directory).filter(
    ({ digest, file }) => `sha256:${createHash('sha256').update(readFileSync(file)).digest('hex')}` !== digest,
  );
}

/** Bytes of blobs and spools, those included that are open and have no name any more. */
export function heldBytes(directory, pid) {
  let bytes = 0;
  const add = (file) => {
    try {
      bytes += statSync(file).size;
    } catch {
      // It went meanwhile.
    }
  };
  for (const part of ['blobs', 'spool']) {
    const at = path.join(directory, part);
    for (const entry of readdirSync(at, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) add(path.join(entry.parentPath, entry.name));
  }
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const file = `/proc/${pid}/fd/${fd}`;
      const target = readlinkSync(file);
      if (target.startsWith(directory) && target.endsWith(' (deleted)')) add(file);
    } catch {
      // It was closed meanwhile.
    }
  }
  return bytes;
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
