/**
 * Builds `dist/`: the library file by file with declarations (tsc), the command as one bundle with its worker (rolldown).
 * Both are written beside the old build and swapped in, so that a running command or a parallel test never sees half of one.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { rolldown } from 'rolldown';

const root = path.resolve(import.meta.dirname, '..');
const out = mkdtempSync(path.join(root, '.build-'));
try {
  execFileSync(
    process.execPath,
    [path.join(root, 'node_modules/typescript7/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', out],
    { cwd: root, stdio: 'inherit' },
  );
  const bundle = await rolldown({
    input: {
      main: path.join(root, 'src/cli/main.ts'),
      'chunk-worker': path.join(root, 'src/transfer/chunk-worker.ts'),
    },
    platform: 'node',
    external: [/^node:/, 'fs-native-extensions'],
    logLevel: 'warn',
  });
  await bundle.write({
    dir: path.join(out, 'bin'),
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    minify: { compress: true, mangle: false, codegen: false },
  });
  await bundle.close();
  chmodSync(out, 0o755);
  const dist = path.join(root, 'dist');
  const old = `${out}-old`;
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(out, dist);
  rmSync(old, { recursive: true, force: true });
} finally {
  rmSync(out, { recursive: true, force: true });
}
