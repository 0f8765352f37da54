/**
 * Keeps what V8 makes of the command's files when it compiles them (src/cli/code-cache.ts loads it). V8 compiles a function when it
 * runs first: so the commands that programs call most are run here once, and what that compiled is kept as well.
 */
import { execFile } from 'node:child_process';
import { closeSync, fsyncSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { makeSampleVm } from './sample-vm.mjs';

/** What one command may take, in milliseconds; it takes a fraction of a second. */
const MOST_MS = 60_000;

const RECORDER = pathToFileURL(path.join(import.meta.dirname, 'record-code.mjs')).href;

/**
 * Compiles the bundle in the folder `bin` of a finished build with this Node, for this Node. It stays out of the package, which is for every
 * Node and the same wherever it is built. Where it cannot be made, e.g. without a loopback network, every start compiles, and nothing else
 * is different.
 */
export async function makeCodeCache(bin) {
  const work = mkdtempSync(path.join(tmpdir(), 'tartlet-code-cache-'));
  try {
    await record(bin, work);
    for (const file of readdirSync(bin, { recursive: true })) if (file.endsWith('.cache')) flush(path.join(bin, file));
  } catch (error) {
    console.error(
      `note: there is no cache of compiled code, so that each start takes longer: ${error.stderr || error.message}`,
    );
    rmSync(path.join(bin, 'code-cache'), { recursive: true, force: true });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** In this process is the registry, so that nothing can be left running. */
async function record(bin, work) {
  const { createRegistry } = await import(pathToFileURL(path.join(bin, '../entry/server.js')).href);
  const registry = createRegistry({ dataFolder: `${work}/registry` });
  const { port } = await registry.listen();
  const name = `127.0.0.1:${port}/sample/vm:1`;
  const run = async (home, recorded, ...command) =>
    promisify(execFile)(process.execPath, ['--import', RECORDER, path.join(bin, 'main.js'), ...command], {
      env: { ...environment(work, home), TARTLET_RECORD: recorded, TARTLET_BIN: bin },
      timeout: MOST_MS,
    });
  try {
    // Text, so that it is encoded and not all zero.
    const disk = Array.from({ length: 100_000 }, (_, line) => `line ${line}\n`).join('');
    writeFileSync(makeSampleVm(`${work}/made/vms/vm`), disk);
    await run('made', 'process', 'push', 'vm', name);
    await run('made', 'threads', 'push', 'vm', `${name}b`);
    await run('pulled', 'process', 'pull', name);
    await run('pulled-again', 'threads', 'pull', name);
    await run('pulled', 'process', 'list');
  } finally {
    await registry.close();
  }
}

/** What is not whole after a loss of power is found out, but helps nobody. */
function flush(file) {
  const handle = openSync(file, 'r+');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Nothing of whoever builds: neither their logins nor their images. */
function environment(work, home) {
  return { PATH: process.env.PATH, HOME: work, TART_HOME: path.join(work, home) };
}
