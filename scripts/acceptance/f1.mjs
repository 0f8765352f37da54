/**
 * F1: where images come from by `registries.conf`, compared with Debian's skopeo, which is made of the library that
 * this file belongs to: which host saw which request in which order, with whose login, and whether it went well.
 *
 *     npm run acceptance f1 -- --count 200 [--seed 1]
 *
 * Needs skopeo, openssl and a build.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { makeCase } from './f1/cases.mjs';
import { HOSTS, startHosts, userOf } from './f1/hosts.mjs';
import { Chance } from './f1/random.mjs';

const TARTLET = path.resolve(import.meta.dirname, '../../bin/tartlet');

/** @returns the exit code. */
export async function main(args) {
  const { values } = parseArgs({ args, options: { count: { type: 'string' }, seed: { type: 'string' } } });
  const count = Number(values.count ?? '200');
  const seed = Number(values.seed ?? '1');
  const directory = mkdtempSync(`${tmpdir()}/tartlet-f1-`);
  const hosts = await startHosts(directory);
  const sink = await startSink(directory);
  const chance = new Chance(seed);
  let differences = 0;
  const seen = { requests: 0, mirrored: 0, inspect: 0, copy: 0 };
  try {
    for (let number = 1; number <= count; number += 1) {
      const each = makeCase(chance, hosts.port);
      const user = userDirectory(directory, number, each, hosts);
      const theirs = await observe(hosts, each, () => skopeo(user, each));
      const ours = await observe(hosts, each, () => tartlet(user, each, sink, number));
      seen.requests += theirs.requests.length;
      if (new Set(theirs.requests.map((line) => line.split(' ')[0])).size > 1) seen.mirrored += 1;
      if (theirs.isWell) seen[each.action] += 1;
      if (ours.isWell === theirs.isWell && ours.requests.join('\n') === theirs.requests.join('\n')) continue;
      differences += 1;
      show(number, each, { skopeo: theirs, tartlet: ours });
    }
  } finally {
    hosts.close();
    await sink.close();
    rmSync(directory, { recursive: true, force: true });
  }
  console.log(
    `| F1 | ${count} generated registries.conf and names (seed ${seed}) against skopeo: ${differences} differences; ` +
      `${seen.requests} requests, ${seen.mirrored} cases with several hosts, ${seen.inspect} manifests and ${seen.copy} whole images were had |`,
  );
  return differences === 0 ? 0 : 1;
}

/** A registry that copies are sent to. */
async function startSink(directory) {
  const child = spawn(TARTLET, ['serve', '--listen', '127.0.0.1:0', '--data', `${directory}/sink`], {
    env: { PATH: process.env.PATH, HOME: directory },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece) => {
      said += piece;
    });
  }
  for (;;) {
    const port = /127\.0\.0\.1:(\d+)/.exec(said)?.[1];
    if (port !== undefined) return { authority: `127.0.0.1:${port}`, close: async () => end(child) };
    if (child.exitCode !== null) throw new Error(`serve ended: ${said}`);
    await delay(20);
  }
}

async function end(child) {
  const ended = once(child, 'exit');
  child.kill();
  await ended;
}

/** A user with the files of a case, logins for every host, and nothing else. */
function userDirectory(directory, number, { files }, { port, authority }) {
  const home = `${directory}/${number}`;
  const containers = `${home}/.config/containers`;
  mkdirSync(`${containers}/registries.conf.d`, { recursive: true });
  mkdirSync(`${home}/docker`);
  for (const [name, text] of files) writeFileSync(`${containers}/${name}`, text);
  writeFileSync(`${home}/authority.pem`, authority);
  const auths = Object.fromEntries(
    HOSTS.map(({ address }) => [`${address}:${port}`, { auth: btoa(`${userOf(address)}:secret`) }]),
  );
  writeFileSync(`${home}/auth.json`, JSON.stringify({ auths }), { mode: 0o600 });
  return {
    home,
    environment: {
      PATH: process.env.PATH,
      HOME: home,
      DOCKER_CONFIG: `${home}/docker`,
      REGISTRY_AUTH_FILE: `${home}/auth.json`,
      SSL_CERT_FILE: `${home}/authority.pem`,
      TART_HOME: `${home}/tart`,
      NODE_DISABLE_COMPILE_CACHE: process.env.NODE_DISABLE_COMPILE_CACHE,
    },
  };
}

/** What hosts saw while something ran, and whether it went well. */
async function observe({ record, behaviours }, each, act) {
  for (const [address, behaviour] of each.behaviours) behaviours.set(address, behaviour);
  record.length = 0;
  const { isWell, said } = await act();
  return { isWell, said, requests: comparable([...record]) };
}

/**
 * Manifests in their order, then blobs by name, each once: both fetch several at a time. A question that was repeated
 * with a login counts once: skopeo learns from a ping that it needs one, and Tartlet from the answer. What a copy asks
 * about boot orders has no like in skopeo: it goes to the host that gave the image.
 */
function comparable(record) {
  const answered = record.filter(
    (one, index) =>
      one.status !== 401 || !record.slice(index + 1).some((other) => other.host === one.host && other.url === one.url),
  );
  const common = answered.filter(({ url }) => !/\/referrers\/|\/manifests\/sha256-/.test(url));
  const lines = common.map(({ host, method, url, user }) => `${host} ${method} ${url} ${user}`);
  const unique = lines.filter((line, index) => lines.indexOf(line) === index);
  const isBlob = (line) => line.includes('/blobs/');
  return [...unique.filter((line) => !isBlob(line)), ...unique.filter(isBlob).toSorted()];
}

async function skopeo({ home, environment }, { name, action }) {
  const args =
    action === 'inspect' ? ['inspect', '--raw', `docker://${name}`] : ['copy', `docker://${name}`, `dir:${home}/copy`];
  return run('skopeo', ['--insecure-policy', ...args], environment);
}

async function tartlet({ environment }, { name, action }, sink, number) {
  const args =
    action === 'inspect'
      ? ['inspect', '--remote', name]
      : ['copy', '--quiet', name, `${sink.authority}/copies/${number}:1`];
  return run(TARTLET, args, environment);
}

async function run(program, args, env) {
  return new Promise((resolve) => {
    execFile(program, args, { env, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ isWell: error === null, said: stderr }),
    );
  });
}

function show(number, { name, action, behaviours, files }, outcomes) {
  console.error(`\n--- ${number}: ${action} ${name}`);
  console.error([...behaviours].map(([address, behaviour]) => `${address} ${behaviour}`).join(', '));
  for (const [file, text] of files) console.error(`# ${file}\n${text}`);
  for (const [who, { isWell, said, requests }] of Object.entries(outcomes)) {
    console.error(
      `${who}: ${isWell ? 'well' : 'failed'}\n${requests.map((line) => `  ${line}`).join('\n')}\n${said.trim()}`,
    );
  }
}
