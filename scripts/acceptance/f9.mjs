/**
 * F9: a rollout that is killed at every step leaves the old image or the new one, and the rate that a command was given
 * is kept within a tenth, in both directions.
 *
 *     npm run acceptance f9 -- [--count KILLS] [--seconds SECONDS] [--rate-only] [--over PERCENT] [--slack PERCENT]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { measureRates } from './f9/rate.mjs';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** @returns the exit code. */
export async function main(args) {
  const { values } = parseArgs({
    args,
    options: {
      count: { type: 'string', default: '50' },
      seconds: { type: 'string', default: '6' },
      // How much faster it may be: a fifth of a second may be caught up with, whatever the run takes.
      over: { type: 'string', default: '10' },
      // How much slower it may be: a machine that has other things to do as well does not keep up.
      slack: { type: 'string', default: '10' },
      'rate-only': { type: 'boolean', default: false },
    },
  });
  const rates = await measureRates(Number(values.seconds));
  const [most, least] = [100 + Number(values.over), 100 - Number(values.slack)];
  const isKept = rates.every(({ percent }) => percent <= most && percent >= least);
  const told = rates.map(({ what, percent }) => `${what} ${percent.toFixed(1)} %`).join(', ');
  if (values['rate-only']) {
    console.log(`rates of what was asked for: ${told}`);
    return isKept ? 0 : 1;
  }
  const kills = killRollouts(Number(values.count));
  console.log(`| F9 | ${kills.told}; rates of what was asked for: ${told} |`);
  return isKept && kills.isGood ? 0 : 1;
}

/** By the harness of the tests: before each change on the disk, spread over all of them. */
function killRollouts(count) {
  const directory = mkdtempSync(path.join(tmpdir(), 'tartlet-f9-'));
  const report = path.join(directory, 'report');
  writeFileSync(report, '');
  try {
    const { status } = spawnSync('npx', ['vitest', 'run', 'test/crash/sweep.test.ts', '-t', "'(prefetch|rollback)'"], {
      cwd: ROOT,
      stdio: ['ignore', process.stderr, process.stderr],
      env: { ...process.env, TARTLET_SWEEP_KILLS: String(count), TARTLET_SWEEP_REPORT: report },
    });
    const lines = readFileSync(report, 'utf8')
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    const counts = lines.map(({ name, count: done }) => `${name} ${done}`).join(', ');
    return { isGood: status === 0 && lines.length === 2, told: `SIGKILL at points of ${counts}: old or new at each` };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
