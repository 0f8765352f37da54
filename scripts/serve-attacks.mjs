/**
 * How long another client's pull of 64 MiB takes while `serve` is attacked, and what the server needs meanwhile (issue
 * 14, items 5, 6 and 8). Two servers, one of them with TLS, are processes of their own; the attacks come from
 * 127.0.0.2, the pulls from 127.0.0.1. With `--keep`, the figures go into docs/maintainers/faults.md (see
 * faults-doc.mjs). Fails when a pull takes more than twice as long as without an attack.
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import tls from 'node:tls';
import bcrypt from 'bcryptjs';
import { keepMeasured } from './measured.mjs';

const ATTACKER = '127.0.0.2';
const LOGIN = `Basic ${Buffer.from('ana:secret').toString('base64')}`;
const PULLS = 5;
const blob = randomBytes(64 * 1024 * 1024);
const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`;
const work = mkdtempSync(path.join(tmpdir(), 'tartlet-serve-attacks-'));
const sockets = [];
const servers = [];

/** A certificate for 127.0.0.1 that vouches for itself, as options of `serve`; the pulls trust it. */
function certificate() {
  const pair = { certificate: path.join(work, 'tls.pem'), key: path.join(work, 'tls.key') };
  const algorithm = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync(
    'openssl',
    ['req', '-x509', '-nodes', '-days', '2', ...algorithm, ...subject, '-keyout', pair.key, '-out', pair.certificate],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  return pair;
}

/** Each server takes at most 1,024 descriptors, as many systems allow. @param options of TLS. */
async function start(name, options = []) {
  const users = path.join(work, 'users');
  writeFileSync(users, `ana:${bcrypt.hashSync('secret', 10)}\n`);
  const command = path.resolve(import.meta.dirname, '../bin/tartlet');
  const words = ['serve', '--listen', '127.0.0.1:0', '--data', path.join(work, name), '--htpasswd', users, ...options];
  const child = spawn('sh', ['-c', 'ulimit -n 1024; exec "$0" "$@"', process.execPath, command, ...words], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  servers.push(child);
  const [line] = await once(child.stdout, 'data');
  return { port: Number(new URL(String(line).trim()).port), pid: child.pid };
}

async function ask({ port, authority }, method, target, body, headers = {}) {
  const { request: send } = authority === undefined ? http : https;
  const trust = authority === undefined ? {} : { ca: authority };
  return new Promise((resolve, reject) => {
    const request = send(
      {
        host: '127.0.0.1',
        port,
        method,
        path: target,
        agent: false,
        headers: { authorization: LOGIN, ...headers },
        ...trust,
      },
      (response) => {
        let length = 0;
        response.on('data', (piece) => (length += piece.length));
        response.once('error', reject);
        response.once('end', () => resolve({ status: response.statusCode, headers: response.headers, length }));
      },
    );
    request.once('error', reject);
    request.end(body);
  });
}

/** Milliseconds, the middle of some pulls. */
async function pull(server) {
  const times = [];
  for (let each = 0; each < PULLS; each += 1) {
    const began = performance.now();
    const { status, length } = await ask(server, 'GET', `/v2/a/blobs/${digest}`);
    if (status !== 200 || length !== blob.length) throw new Error(`a pull got ${status} and ${length} bytes`);
    times.push(performance.now() - began);
  }
  return times.sort((one, other) => one - other)[Math.floor(PULLS / 2)];
}

function attack({ port }, text, { reads = true } = {}) {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress: ATTACKER });
  socket.on('error', () => undefined);
  if (reads) socket.resume();
  else socket.pause();
  if (text !== '') socket.write(text);
  sockets.push(socket);
  return socket;
}

const head = (method, target, more = '') => `${method} ${target} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;

/** Each on the server without TLS, or on the one with it. */
const ATTACKS = {
  'passwords guessed: 20 connections, 780 requests ahead on each': async ({ plain }) => {
    for (let each = 0; each < 20; each += 1) {
      const guesses = Array.from({ length: 780 }, (_, at) => Buffer.from(`ana:${each}-${at}`).toString('base64'));
      attack(plain, guesses.map((login) => head('GET', '/v2/', `Authorization: Basic ${login}\r\n`)).join(''));
    }
    return plain;
  },
  'a blob asked for 500 times ahead and not read, on 100 connections': async ({ plain }) => {
    const get = head('GET', `/v2/a/blobs/${digest}`, `Authorization: ${LOGIN}\r\n`);
    for (let each = 0; each < 100; each += 1) attack(plain, get.repeat(500), { reads: false });
    return plain;
  },
  '1,024 silent connections': async ({ plain }) => {
    for (let each = 0; each < 1_024; each += 1) attack(plain, '');
    return plain;
  },
  '1,024 silent TLS connections, no greeting': async ({ secure }) => {
    for (let each = 0; each < 1_024; each += 1) attack(secure, '');
    return secure;
  },
  '1,024 silent TLS connections, greeted': async ({ secure }) => {
    const greetings = Array.from({ length: 1_024 }, async () => greet(secure));
    await Promise.allSettled(greetings);
    return secure;
  },
  '1,000 uploads of a byte': async ({ plain }) => {
    for (let each = 0; each < 1_000; each += 1) {
      const { headers } = await ask(plain, 'POST', '/v2/a/blobs/uploads/');
      const more = `Authorization: ${LOGIN}\r\nContent-Length: 1000000\r\n`;
      attack(plain, `${head('PATCH', headers.location, more)}x`);
    }
    return plain;
  },
};

/** A connection that shakes hands, and says nothing afterwards. @returns when it has, or was ended before. */
async function greet({ port, authority }) {
  const socket = tls.connect({ socket: attack({ port }, '', { reads: false }), ca: authority, host: '127.0.0.1' });
  socket.on('error', () => undefined);
  await Promise.race([once(socket, 'secureConnect'), once(socket, 'close')]);
}

function needs({ pid }) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = Number(/VmRSS:\s+(\d+)/.exec(status)[1]);
  return { files: readdirSync(`/proc/${pid}/fd`).length, mib: Math.round(kib / 1024) };
}

const counts = [];
let failed = false;
try {
  const { certificate: file, key } = certificate();
  const authority = readFileSync(file, 'utf8');
  const plain = await start('plain');
  const secure = { ...(await start('secure', ['--tls-cert', file, '--tls-key', key])), authority };
  const calm = new Map();
  for (const server of [plain, secure]) {
    await ask(server, 'POST', `/v2/a/blobs/uploads/?digest=${digest}`, blob, { 'content-length': blob.length });
    await pull(server);
    calm.set(server, await pull(server));
    const how = server === secure ? ' over TLS' : '';
    counts.push([`pull of 64 MiB${how} without an attack, ms`, Math.round(calm.get(server))]);
  }
  for (const [name, begin] of Object.entries(ATTACKS)) {
    const before = new Map();
    for (const server of [plain, secure]) before.set(server, await pull(server));
    const attacked = await begin({ plain, secure });
    await delay(500);
    const during = await pull(attacked);
    const { files, mib } = needs(attacked);
    for (const socket of sockets.splice(0)) socket.destroy();
    await delay(500);
    const reference = Math.max(calm.get(attacked), before.get(attacked));
    const ratio = Math.round((during / reference) * 100) / 100;
    failed ||= ratio > 2;
    counts.push([`${name}: pull, ms`, Math.round(during)], ['— times as long as without', ratio]);
    counts.push(['— descriptors of the server', files], ['— memory of the server, MiB', mib]);
    console.log(
      `${name}: ${Math.round(during)} ms (${ratio} times ${Math.round(reference)}), ${files} descriptors, ${mib} MiB`,
    );
  }
  if (process.argv.includes('--keep')) {
    keepMeasured('serve-attacks', 'A pull beside attacks on `serve`', 'npm run serve-attacks -- --keep', counts);
  }
} finally {
  for (const server of servers) server.kill('SIGKILL');
  rmSync(work, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
