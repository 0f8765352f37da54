/**
 * Keeps what V8 makes of the command's files when it compiles them (src/cli/code-cache.ts loads it). V8 compiles a function when it
 * runs first: so the commands that programs call most are run here once, and what that compiled is kept as well.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const RECORDER = pathToFileURL(path.join(import.meta.dirname, 'record-code.mjs')).href;

/**
 * Compiles the bundle in the folder `bin` with this Node, for this Node. It stays out of the package, which is for every Node and the
 * same wherever it is built.
 */
export async function makeCodeCache(bin) {
  const work = mkdtempSync(path.join(tmpdir(), 'tartlet-code-cache-'));
  const main = path.join(bin, 'main.js');
  const registry = spawn(process.execPath, [main, 'serve', '--listen', '127.0.0.1:0', '--data', `${work}/registry`], {
    env: environment(work, 'server'),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [url] = await once(registry.stdout, 'data');
    const name = `127.0.0.1:${new URL(String(url).trim()).port}/sample/vm:1`;
    const run = (home, recorded, ...command) =>
      execFileSync(process.execPath, ['--import', RECORDER, main, ...command], {
        env: { ...environment(work, home), TARTLET_RECORD: recorded, TARTLET_BIN: bin },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    makeVm(`${work}/made/vms/vm`);
    run('made', 'process', 'push', 'vm', name);
    run('made', 'threads', 'push', 'vm', `${name}b`);
    run('pulled', 'process', 'pull', name);
    run('pulled-again', 'threads', 'pull', name);
    run('pulled', 'process', 'list');
  } finally {
    registry.kill();
    rmSync(work, { recursive: true, force: true });
  }
}

/** Nothing of whoever builds: neither their logins nor their images. */
function environment(work, home) {
  return { PATH: process.env.PATH, HOME: work, TART_HOME: path.join(work, home) };
}

/** A VM that can be pushed. Its disk is text, so that it is encoded and not all zero. */
function makeVm(folder) {
  mkdirSync(folder, { recursive: true });
  const config = {
    version: 1,
    os: 'linux',
    arch: 'arm64',
    cpuCountMin: 4,
    cpuCount: 4,
    memorySizeMin: 2 ** 32,
    memorySize: 2 ** 32,
  };
  writeFileSync(
    `${folder}/config.json`,
    JSON.stringify({ ...config, macAddress: '7e:12:34:56:78:9a', diskFormat: 'raw' }),
  );
  writeFileSync(`${folder}/nvram.bin`, 'nvram');
  writeFileSync(`${folder}/disk.img`, Array.from({ length: 100_000 }, (_, line) => `line ${line}\n`).join(''));
}
