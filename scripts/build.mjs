/**
 * Builds `dist/`: the library file by file with declarations (tsc), the command as one bundle with its worker (rolldown), and the
 * kernel of the codec as a WebAssembly module that both load (AssemblyScript).
 * Both are written beside the old build and swapped in, so that a running command or a parallel test never sees half of one.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { main as compileAssemblyScript } from 'assemblyscript/asc';
import { rolldown } from 'rolldown';
import { lazyBuiltIns } from './lazy-built-ins.mjs';

const root = path.resolve(import.meta.dirname, '..');
const out = mkdtempSync(path.join(root, '.build-'));
try {
  execFileSync(
    process.execPath,
    [path.join(root, 'node_modules/typescript7/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', out],
    { cwd: root, stdio: 'inherit' },
  );
  await compileKernel(path.join(out, 'kernel.wasm'));
  const bundle = await rolldown({
    input: {
      main: path.join(root, 'src/cli/main.ts'),
      'chunk-worker': path.join(root, 'src/transfer/chunk-worker.ts'),
    },
    platform: 'node',
    external: [/^node:/, 'fs-native-extensions'],
    logLevel: 'warn',
    plugins: [lazyBuiltIns],
  });
  await bundle.write({
    dir: path.join(out, 'bin'),
    // Node finds, reads and links a module of its own kind (ESM) so slowly that this alone was a third of a short command.
    format: 'cjs',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    minify: { compress: true, mangle: false, codegen: false },
    comments: { legal: true, annotation: false, jsdoc: false },
    // What most commands share lies in one file: finding a file takes as long as reading ten kilobytes.
  });
  await bundle.close();
  writeFileSync(path.join(out, 'bin/package.json'), '{ "type": "commonjs" }\n');
  chmodSync(out, 0o755);
  const dist = path.join(root, 'dist');
  const old = `${out}-old`;
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(out, dist);
  rmSync(old, { recursive: true, force: true });
} finally {
  rmSync(out, { recursive: true, force: true });
}

/** The memory is ours, and nothing is ever freed in it: no allocator, no garbage collector. */
async function compileKernel(to) {
  const options = ['--runtime', 'stub', '--importMemory', '--enable', 'simd', '-O3', '--noAssert'];
  const source = path.join(root, 'kernel/index.ts');
  const streams = { stdout: process.stderr, stderr: process.stderr };
  const { error } = await compileAssemblyScript([source, '--outFile', to, '--baseDir', root, ...options], streams);
  if (error !== null) throw error;
}
