/**
 * Loaded before a command of the bundle (`node --import`): writes what V8 has compiled of it, with what was known before. Of the
 * process when it ends; of its worker threads, which are stopped without a word, at each result.
 */
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { isMainThread, parentPort, threadId } from 'node:worker_threads';

/** Files that Node loads by itself. */
const STARTERS = new Set(['main.js', 'chunk-worker.js', 'code-cache.js']);

const { TARTLET_RECORD: what, TARTLET_BIN: bin } = process.env;

function write() {
  const { compiled, cacheFolder } = createRequire(import.meta.url)(path.join(bin, 'code-cache.js'));
  mkdirSync(cacheFolder, { recursive: true });
  for (const name of readdirSync(bin)) {
    if (!name.endsWith('.js') || STARTERS.has(name)) continue;
    // Threads write at the same time.
    const temporary = path.join(cacheFolder, `.${name}-${threadId}`);
    writeFileSync(temporary, compiled(name));
    renameSync(temporary, path.join(cacheFolder, `${name}.cache`));
  }
}

if (what === 'process' && isMainThread) process.on('exit', write);

if (what === 'threads' && !isMainThread) {
  const { postMessage } = parentPort;
  parentPort.postMessage = (message, ...rest) => {
    if (message.kind === 'result') write();
    postMessage.call(parentPort, message, ...rest);
  };
}
