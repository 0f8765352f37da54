/**
 * The full crash sweep: a kill, a full disk and a broken one before every change that each operation makes, and two
 * commands at once held at every change of either (`npm run sweep`; half an hour or more). Its counts go into
 * docs/maintainers/faults.md.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { keepMeasured } from './measured.mjs';

const root = path.resolve(import.meta.dirname, '..');
const directory = mkdtempSync(path.join(tmpdir(), 'tartlet-sweep-'));
const report = path.join(directory, 'report');
try {
  writeFileSync(report, '');
  const { status } = spawnSync('npx', ['vitest', 'run', 'test/crash', ...process.argv.slice(2)], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, TARTLET_SWEEP: 'full', TARTLET_SWEEP_REPORT: report },
  });
  process.exitCode = status ?? 1;
  if (status === 0 && process.argv.length === 2) keep(readFileSync(report, 'utf8'));
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function keep(lines) {
  const what = {
    points: 'a kill, a full and a broken disk',
    schedules: 'two commands, held at every change of either',
    removals: 'a command held at its looks, and what it looks at removed',
  };
  const counts = lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .map((each) => {
      if (what[each.what] === undefined) throw new Error(`no label for "${each.what}", which the tests reported`);
      return [`${what[each.what]}: ${each.name}`, each.count];
    })
    .sort(([a], [b]) => (a < b ? -1 : 1));
  keepMeasured(
    'sweep',
    'Crash sweep: runs, all with every promise kept',
    `npm run sweep, Node ${process.version}`,
    counts,
  );
}
