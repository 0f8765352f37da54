/**
 * Runs the fuzzers of test/fuzz for longer than the test suite does:
 * `npm run fuzz -- [--seconds N] [--runs N] [--seed N] [pattern]`. `--seconds` is per fuzzer (default 30); `--runs`
 * bounds by count instead; `--seed` repeats what a failure printed. A run of all fuzzers writes its counts to
 * test/faults/measured/fuzz.json, from where they come into docs/maintainers/faults.md.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { keepMeasured } from './measured.mjs';

const root = path.resolve(import.meta.dirname, '..');
const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string' }, runs: { type: 'string' }, seed: { type: 'string' } },
  allowPositionals: true,
});
const seconds = values.runs === undefined ? (values.seconds ?? '30') : undefined;
const directory = mkdtempSync(path.join(os.tmpdir(), 'tartlet-fuzz-'));
try {
  const report = path.join(directory, 'report.jsonl');
  writeFileSync(report, '');
  const { status } = spawnSync('npx', ['vitest', 'run', 'test/fuzz', ...positionals.flatMap((each) => ['-t', each])], {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      TARTLET_SKIP_BUILD: '1',
      FUZZ_REPORT: report,
      ...(seconds === undefined ? { FUZZ_RUNS: values.runs } : { FUZZ_SECONDS: seconds }),
      ...(values.seed === undefined ? {} : { FUZZ_SEED: values.seed }),
    },
  });
  process.exitCode = status ?? 1;
  if (status === 0 && positionals.length === 0 && seconds !== undefined) keep(readFileSync(report, 'utf8'));
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function keep(lines) {
  const counts = lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  // The rows of a title say what is proved, not what was counted.
  const named = counts.map(([title, count]) => [title.replace(/ \([^)]*\)$/, ''), count]);
  keepMeasured('fuzz', 'Fuzzing: inputs tried', `npm run fuzz, ${seconds} s each`, named);
}
