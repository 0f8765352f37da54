import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { PLANTED, SEARCHED_LOG } from './canary.ts';

/**
 * Before all tests: worker threads and the command itself run from `dist`, which is built once, so that tests never see
 * an older program. After them: says how many outputs were searched for planted secrets; each that told one has failed
 * its test.
 */
export default function aroundAllTests(): () => void {
  // Each project of vitest calls this, in one process: the first one does it for all.
  if (process.env[SEARCHED_LOG] !== undefined) return () => undefined;
  if (process.env['TARTLET_SKIP_BUILD'] === undefined) {
    execFileSync(process.execPath, ['scripts/build.mjs'], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const directory = mkdtempSync(path.join(os.tmpdir(), 'tartlet-searched-'));
  const log = path.join(directory, 'log');
  writeFileSync(log, '');
  process.env[SEARCHED_LOG] = log;
  return () => {
    const searched = readFileSync(log, 'utf8').length;
    rmSync(directory, { recursive: true });
    if (searched === 0) return;
    process.stdout.write(
      `${searched} outputs of commands were searched for ${PLANTED.secrets} secrets in ${PLANTED.spellings} spellings.\n`,
    );
    const keep = process.env['TARTLET_KEEP_COUNTS'];
    if (keep === undefined) return;
    const measured = `${new Date().toISOString().slice(0, 10)}, TARTLET_KEEP_COUNTS=1 npm test`;
    const counts = [
      ['secrets planted for every command', PLANTED.secrets],
      ['spellings of them looked for', PLANTED.spellings],
      ['outputs of commands searched', searched],
      ['secrets told', 0],
    ];
    const file = path.resolve(import.meta.dirname, '../faults/measured/secrets.json');
    writeFileSync(file, `${JSON.stringify({ title: 'Planted secrets', measured, counts }, null, 2)}\n`);
  };
}
