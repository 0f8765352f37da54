/**
 * R4: what Orchard, Packer, the GitLab executor and Cirrus CLI call, by a Go program (r4/main.go) as those are: with
 * Go's own processes, JSON and SSH. Fetches golang.org/x/crypto as Go is configured to.
 */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createRegistry } from '../../dist/server/server.js';

const root = path.resolve(import.meta.dirname, '../..');
const command = path.join(root, 'bin/tartlet');

/** @returns the exit code. The argument says how often each sequence is gone through. */
export async function main([times = '1']) {
  const work = mkdtempSync(path.join(tmpdir(), 'tartlet-drivers-'));
  try {
    return await runIn(work, times);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function runIn(work, times) {
  const source = path.join(work, 'source');
  cpSync(path.join(import.meta.dirname, 'r4'), source, { recursive: true });
  execFileSync('go', ['build', '-o', path.join(work, 'drivers'), '.'], { cwd: source, stdio: 'inherit' });
  const bin = path.join(work, 'bin');
  mkdirSync(bin);
  for (const name of ['tart', 'vetu']) symlinkSync(command, path.join(bin, name));
  const home = (name) => ({ ...process.env, PATH: `${bin}:${process.env.PATH}`, TART_HOME: path.join(work, name) });
  execFileSync(process.execPath, [path.join(root, 'scripts/guest.mjs'), path.join(work, 'publisher/vms/guest')]);
  const registry = createRegistry({ dataDirectory: path.join(work, 'data') });
  const { address, port } = await registry.listen();
  try {
    const image = `${address}:${port}/team/guest:latest`;
    await ended(['tart', 'push', 'guest', image], home('publisher'));
    return await ended([path.join(work, 'drivers'), image, times, work], home('home'));
  } finally {
    await registry.close();
  }
}

/** The registry answers from this process meanwhile. */
async function ended([program, ...words], env) {
  const child = spawn(program, words, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}
