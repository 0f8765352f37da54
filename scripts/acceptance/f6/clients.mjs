/** Clients of registries, each as its users run it: how one pulls an image by way of a cache, and what it then has. */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

/** Modules of Go clients that Debian has no packages of. */
const GO_CLIENTS = {
  crane: { module: 'github.com/google/go-containerregistry', version: 'v0.20.3', program: 'cmd/crane' },
  oras: { module: 'oras.land/oras', version: 'v1.2.0', program: 'cmd/oras' },
};

/**
 * By name: pulls `image` into a directory, and gives the digests that it then has there, each hashed anew.
 * `image.registry` is the upstream `host:port`, `image.cache` the cache's, `image.name` `org/image:tag`.
 */
export const CLIENTS = { skopeo, podman, containerd, crane, oras };

/** Names stay those of the registry; the configuration leads to the cache. */
async function skopeo({ registry, name }, directory, environment) {
  const out = path.join(directory, 'out');
  await run(
    'skopeo',
    ['--insecure-policy', 'copy', '--quiet', `docker://${registry}/${name}`, `dir:${out}`],
    environment,
  );
  return digestsOf(readdirSync(out).map((file) => path.join(out, file)));
}

async function podman({ registry, name }, directory, environment) {
  const store = ['--root', `${directory}/root`, '--runroot', `${directory}/run`, '--storage-driver', 'vfs'];
  await run('podman', [...store, '--log-level=error', 'pull', '--quiet', `${registry}/${name}`], environment);
  const [image] = JSON.parse(await run('podman', [...store, 'image', 'inspect', `${registry}/${name}`], environment));
  // It unpacks layers, after it has hashed them: what it keeps as they came are manifest and configuration.
  const kept = path.join(directory, 'root/vfs-images', image.Id);
  return digestsOf(readdirSync(kept).map((file) => path.join(kept, file)));
}

async function containerd({ registry, cache, name }, directory, environment) {
  const hosts = path.join(directory, 'certs.d', registry);
  mkdirSync(hosts, { recursive: true });
  const mirror = `[host."http://${cache}"]\n  capabilities = ["pull", "resolve"]\n`;
  writeFileSync(path.join(hosts, 'hosts.toml'), `server = "http://${registry}"\n${mirror}`);
  const address = path.join(directory, 'c.sock');
  const places = ['--root', `${directory}/root`, '--state', `${directory}/state`, '--address', address];
  const daemon = spawn('containerd', places, { env: environment, stdio: 'ignore' });
  try {
    for (let tries = 0; !existsSync(address); tries += 1) {
      if (tries > 200) throw new Error('containerd has no socket');
      await delay(50);
    }
    const at = ['--address', address, 'content'];
    await run('ctr', [...at, 'fetch', '--hosts-dir', `${directory}/certs.d`, `${registry}/${name}`], environment);
    const list = await run('ctr', [...at, 'ls', '--quiet'], environment);
    const contents = [];
    for (const digest of list.trim().split('\n')) {
      contents.push(await run('ctr', [...at, 'get', digest], environment, 'buffer'));
    }
    return contents.map(digestOf);
  } finally {
    daemon.kill('SIGKILL');
  }
}

async function crane(image, directory, environment) {
  const out = path.join(directory, 'out');
  await run(
    await goClient('crane', directory),
    ['pull', '--insecure', '--format=oci', throughCache(image), out],
    environment,
  );
  return digestsOf(filesBelow(path.join(out, 'blobs')));
}

async function oras(image, directory, environment) {
  const out = `${directory}/out`;
  const options = ['--from-plain-http', '--to-oci-layout', throughCache(image), `${out}:1`];
  await run(await goClient('oras', directory), ['copy', ...options], environment);
  return digestsOf(filesBelow(path.join(out, 'blobs')));
}

function throughCache({ registry, cache, name }) {
  return `${cache}/${registry.replace(':', '_')}/${name}`;
}

/** Built in a module of its own, because the proxy of modules refuses what `go install` asks it. */
async function goClient(client, directory) {
  const { module, version, program } = GO_CLIENTS[client];
  const work = path.join(directory, 'go');
  mkdirSync(work);
  writeFileSync(path.join(work, 'go.mod'), 'module build\n\ngo 1.24\n');
  const options = { cwd: work, env: { ...process.env, GOFLAGS: '-mod=mod' } };
  await promisify(execFile)('go', ['get', `${module}/${program}@${version}`], options);
  await promisify(execFile)('go', ['build', '-o', `${work}/${client}`, `${module}/${program}`], options);
  return `${work}/${client}`;
}

/** Not synchronously: the registries are in this process. */
async function run(program, args, environment, encoding = 'utf8') {
  const options = { env: environment, encoding, maxBuffer: 64 * 1024 * 1024 };
  return (await promisify(execFile)(program, args, options)).stdout;
}

function filesBelow(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

function digestsOf(files) {
  return files.map((file) => digestOf(readFileSync(file)));
}

function digestOf(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
