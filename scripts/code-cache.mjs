/**
 * Keeps what V8 makes of the command's files when it compiles them (src/cli/code-cache.ts loads it). V8 compiles a function when it
 * runs first: so the command that programs call most is run here once, and what that compiled is kept as well.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Files that Node loads by itself. */
const STARTERS = new Set(['main.js', 'chunk-worker.js', 'code-cache.js']);

/**
 * Compiles the bundle in the folder `bin` with this Node, for this Node. It stays out of the package, which is for every Node and the
 * same wherever it is built.
 */
export function makeCodeCache(bin) {
  const home = mkdtempSync(path.join(tmpdir(), 'tartlet-code-cache-'));
  try {
    makeImage(path.join(home, 'cache/OCIs/registry.example%3A8221/org/image'));
    const env = { ...process.env, TART_HOME: home, NODE_OPTIONS: '' };
    execFileSync(process.execPath, [import.meta.filename, bin, 'list'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** An image with a tag, as a pull leaves it (docs/formats.md), but empty. */
function makeImage(repository) {
  const image = path.join(repository, `sha256:${'0'.repeat(64)}`);
  mkdirSync(image, { recursive: true });
  for (const file of ['config.json', 'disk.img', 'nvram.bin', '.last-used']) writeFileSync(path.join(image, file), '');
  symlinkSync(image, path.join(repository, 'latest'));
}

/** Runs a command of the bundle in this process, and writes all that is compiled when it ends. */
function record(bin, command) {
  const { load, compiled, cacheFolder } = createRequire(import.meta.url)(path.join(bin, 'code-cache.js'));
  process.argv = [process.execPath, path.join(bin, 'main.js'), ...command];
  process.on('exit', () => {
    mkdirSync(cacheFolder, { recursive: true });
    for (const name of readdirSync(bin)) {
      if (name.endsWith('.js') && !STARTERS.has(name))
        writeFileSync(path.join(cacheFolder, `${name}.cache`), compiled(name));
    }
  });
  load('process.js').runProcess();
}

const [, program, bin, ...command] = process.argv;
if (program === import.meta.filename) record(bin, command);
