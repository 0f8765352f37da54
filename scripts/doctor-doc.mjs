/**
 * Writes the tables of what the doctor finds into docs/guide/cache.md and docs/guide/running.md from those in the code.
 * With `--check`, writes nothing and fails when a document says something else.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadTable } from './load-table.mjs';

const { FINDINGS } = await loadTable('src/doctor/finding-kind.ts');
const findings = Object.entries(FINDINGS).map(
  ([id, { severity, meaning, fix }]) => `| \`${id}\` | ${severity} | ${meaning} | ${fix ?? ''} |\n`,
);
writeTable(
  'docs/guide/cache.md',
  'src/doctor/finding-kind.ts',
  `| id | severity | what it means | what \`--fix\` does |\n| --- | --- | --- | --- |\n${findings.join('')}`,
);

const { HOST_FINDINGS } = await loadTable('src/host/host-finding-kind.ts');
const checks = Object.entries(HOST_FINDINGS).map(
  ([id, { severity, meaning }]) => `| \`${id}\` | ${meaning} | ${severity} |\n`,
);
writeTable(
  'docs/guide/running.md',
  'src/host/host-finding-kind.ts',
  `| id | what is looked at | where it is not so |\n| --- | --- | --- |\n${checks.join('')}`,
);

/** A table follows its mark, up to the next empty line. */
function writeTable(document, source, table) {
  const mark = `<!-- Made by \`npm run doctor-doc\` from ${source}: change it there. -->\n\n`;
  const file = path.resolve(import.meta.dirname, '..', document);
  const text = readFileSync(file, 'utf8');
  const start = text.indexOf(mark) + mark.length;
  if (start < mark.length) throw new Error(`${document} has no line ${mark}`);
  const rest = /^(?:\|.*\n)*/.exec(text.slice(start))?.[0].length ?? 0;
  const made = `${text.slice(0, start)}${table}${text.slice(start + rest)}`;
  if (!process.argv.includes('--check')) writeFileSync(file, made);
  else if (made !== text) {
    console.error(`${document} is stale: npm run doctor-doc`);
    process.exitCode = 1;
  }
}
