/** Runs tests of `npm test` with larger counts, and reads what they report. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '../../..');

/**
 * @param file of tests, below `test`.
 * @param titles a regular expression for the titles of those that run.
 * @param environment what they are told.
 * @returns whether all passed, and a value for each line of the report.
 */
export function runTests(file, titles, environment) {
  const directory = mkdtempSync(path.join(tmpdir(), 'tartlet-by-tests-'));
  const report = path.join(directory, 'report');
  writeFileSync(report, '');
  try {
    const { status } = spawnSync('npx', ['vitest', 'run', '--maxWorkers=1', `test/${file}`, '-t', titles], {
      cwd: ROOT,
      stdio: ['ignore', process.stderr, process.stderr],
      env: { ...process.env, ...environment, TARTLET_LAZY_REPORT: report },
    });
    const lines = readFileSync(report, 'utf8').split('\n').filter(Boolean);
    return { isGood: status === 0, reports: lines.map((line) => JSON.parse(line)) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** @returns the sum of what a function tells of each. */
export function sumOf(values, tell) {
  return values.reduce((sum, value) => sum + tell(value), 0);
}
