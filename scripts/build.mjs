/**
 * Builds `dist/`: the library file by file with declarations (tsc), the command as one bundle with its worker
 * (rolldown), and the backend of the codec as a WebAssembly module that both load (AssemblyScript). Both are written
 * beside the old build and swapped in, so that a running command or a parallel test never sees half of one.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { main as compileAssemblyScript } from 'assemblyscript/asc';
import { rolldown } from 'rolldown';
import { lazyBuiltIns } from './lazy-built-ins.mjs';
import { onlyAscii } from './only-ascii.mjs';

const root = path.resolve(import.meta.dirname, '..');
const out = mkdtempSync(path.join(root, '.build-'));
try {
  execFileSync(
    process.execPath,
    [path.join(root, 'node_modules/typescript7/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', out],
    { cwd: root, stdio: 'inherit' },
  );
  await compileBackend(path.join(out, 'lz4.wasm'));
  const bin = path.join(out, 'bin');
  await bundle(bin, { process: 'src/cli/process.ts', 'chunk-work': 'src/chunks/chunk-worker.ts' });
  await bundle(bin, { 'password-worker': 'src/server/access/password-worker.ts' });
  // What Node loads by itself, and loads all the rest.
  await bundle(bin, {
    main: 'src/cli/main.ts',
    'chunk-worker': 'src/cli/chunk-worker.ts',
    'code-cache': 'src/cli/code-cache.ts',
  });
  writeFileSync(path.join(bin, 'package.json'), '{ "type": "commonjs" }\n');
  chmodSync(out, 0o755);
  const dist = path.join(root, 'dist');
  const old = `${out}-old`;
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(out, dist);
  rmSync(old, { recursive: true, force: true });
} finally {
  rmSync(out, { recursive: true, force: true });
}

/** @param entries source files by the name that the built file gets. */
async function bundle(dir, entries) {
  const built = await rolldown({
    cwd: root,
    input: entries,
    platform: 'node',
    external: [/^node:/],
    // The main file of jsonc-parser hands `require` around, where no bundler sees what it asks for.
    resolve: { alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' } },
    logLevel: 'warn',
    plugins: [lazyBuiltIns, onlyAscii],
  });
  await built.write({
    dir,
    // Node finds, reads and links a module of its own kind (ESM) so slowly that this alone was a third of a short
    // command.
    format: 'cjs',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    minify: { compress: true, mangle: false, codegen: false },
    comments: { legal: true, annotation: false, jsdoc: false },
  });
  await built.close();
}

/** The memory is ours, and nothing is ever freed in it: no allocator, no garbage collector. */
async function compileBackend(to) {
  const options = ['--runtime', 'stub', '--importMemory', '--enable', 'simd', '-O3', '--noAssert'];
  const source = path.join(root, 'wasm/index.ts');
  const streams = { stdout: process.stderr, stderr: process.stderr };
  const { error } = await compileAssemblyScript([source, '--outFile', to, '--baseDir', root, ...options], streams);
  if (error !== null) throw error;
}
