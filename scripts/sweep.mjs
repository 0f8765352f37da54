/**
 * The full crash sweep: a kill, a full disk and a broken one before every change that each operation makes, and two commands at once held at
 * every change of either (`npm run sweep`; half an hour or more). Its counts go into docs/faults.md, by test/crash/last-sweep.json.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const folder = mkdtempSync(path.join(tmpdir(), 'tartlet-sweep-'));
const report = path.join(folder, 'report');
try {
  writeFileSync(report, '');
  const { status } = spawnSync('npx', ['vitest', 'run', 'test/crash', ...process.argv.slice(2)], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, TARTLET_SWEEP: 'full', TARTLET_SWEEP_REPORT: report },
  });
  const counts = readFileSync(report, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
    .sort((a, b) => (a.what + a.name < b.what + b.name ? -1 : 1));
  const result = { date: new Date().toISOString().slice(0, 10), node: process.version, passed: status === 0, counts };
  writeFileSync(path.join(root, 'test/crash/last-sweep.json'), `${JSON.stringify(result, null, 2)}\n`);
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
