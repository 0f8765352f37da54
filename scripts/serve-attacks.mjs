/**
 * How long another client's pull of 64 MiB takes while `serve` is attacked, and what the server needs meanwhile (issue 14, items 5, 6
 * and 8). The server is a process of its own; the attacks come from 127.0.0.2, the pull from 127.0.0.1. With `--keep`, the figures go into
 * docs/faults.md (see faults-doc.mjs). Fails when a pull takes more than twice as long as without an attack.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import bcrypt from 'bcryptjs';
import { keepMeasured } from './measured.mjs';

const ATTACKER = '127.0.0.2';
const LOGIN = `Basic ${Buffer.from('ana:secret').toString('base64')}`;
const PULLS = 5;
const blob = randomBytes(64 * 1024 * 1024);
const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`;
const work = mkdtempSync(path.join(tmpdir(), 'tartlet-serve-attacks-'));
const sockets = [];
let server;

/** The server takes at most 1,024 descriptors, as many systems allow. */
async function start() {
  writeFileSync(path.join(work, 'users'), `ana:${bcrypt.hashSync('secret', 10)}\n`);
  const command = path.resolve(import.meta.dirname, '../bin/tartlet');
  const serve = `ulimit -n 1024; exec "$0" "$1" serve --listen 127.0.0.1:0 --data "$2" --htpasswd "$3"`;
  server = spawn('sh', ['-c', serve, process.execPath, command, path.join(work, 'data'), path.join(work, 'users')], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = await once(server.stdout, 'data');
  return Number(new URL(String(line).trim()).port);
}

async function ask(port, method, target, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(
      { host: '127.0.0.1', port, method, path: target, agent: false, headers: { authorization: LOGIN, ...headers } },
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
async function pull(port) {
  const times = [];
  for (let each = 0; each < PULLS; each += 1) {
    const began = performance.now();
    const { status, length } = await ask(port, 'GET', `/v2/a/blobs/${digest}`);
    if (status !== 200 || length !== blob.length) throw new Error(`a pull got ${status} and ${length} bytes`);
    times.push(performance.now() - began);
  }
  return times.sort((one, other) => one - other)[Math.floor(PULLS / 2)];
}

function attack(port, text, { reads = true } = {}) {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress: ATTACKER });
  socket.on('error', () => undefined);
  if (reads) socket.resume();
  else socket.pause();
  if (text !== '') socket.write(text);
  sockets.push(socket);
  return socket;
}

const head = (method, target, more = '') => `${method} ${target} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;

const ATTACKS = {
  'passwords guessed: 20 connections, 780 requests ahead on each': async (port) => {
    for (let each = 0; each < 20; each += 1) {
      const guesses = Array.from({ length: 780 }, (_, at) => Buffer.from(`ana:${each}-${at}`).toString('base64'));
      attack(port, guesses.map((login) => head('GET', '/v2/', `Authorization: Basic ${login}\r\n`)).join(''));
    }
  },
  'a blob asked for 500 times ahead and not read, on 100 connections': async (port) => {
    const get = head('GET', `/v2/a/blobs/${digest}`, `Authorization: ${LOGIN}\r\n`);
    for (let each = 0; each < 100; each += 1) attack(port, get.repeat(500), { reads: false });
  },
  '1,024 silent connections': async (port) => {
    for (let each = 0; each < 1_024; each += 1) attack(port, '');
  },
  '1,000 uploads of a byte': async (port) => {
    for (let each = 0; each < 1_000; each += 1) {
      const { headers } = await ask(port, 'POST', '/v2/a/blobs/uploads/');
      const more = `Authorization: ${LOGIN}\r\nContent-Length: 1000000\r\n`;
      attack(port, `${head('PATCH', headers.location, more)}x`);
    }
  },
};

function needs() {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  const kib = Number(/VmRSS:\s+(\d+)/.exec(status)[1]);
  return { files: readdirSync(`/proc/${server.pid}/fd`).length, mib: Math.round(kib / 1024) };
}

const counts = [];
let failed = false;
try {
  const port = await start();
  await ask(port, 'POST', `/v2/a/blobs/uploads/?digest=${digest}`, blob, { 'content-length': blob.length });
  await pull(port);
  const calm = await pull(port);
  counts.push(['pull of 64 MiB without an attack, ms', Math.round(calm)]);
  for (const [name, begin] of Object.entries(ATTACKS)) {
    const before = await pull(port);
    await begin(port);
    await delay(500);
    const during = await pull(port);
    const { files, mib } = needs();
    for (const socket of sockets.splice(0)) socket.destroy();
    await delay(500);
    const reference = Math.max(calm, before);
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
  server?.kill('SIGKILL');
  rmSync(work, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
