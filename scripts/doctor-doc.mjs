/**
 * Writes the table of findings into docs/cache.md from the one in the code. With `--check`, writes nothing and fails when the document says
 * something else.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadTable } from './load-table.mjs';

const DOCUMENT = path.resolve(import.meta.dirname, '../docs/cache.md');
/** The table follows this line, up to the next empty one. */
const MARK = '<!-- Made by `npm run doctor-doc` from src/doctor/finding-kind.ts: change it there. -->\n\n';
const HEAD = '| id | severity | what it means | what `--fix` does |\n| --- | --- | --- | --- |\n';

const { FINDINGS } = await loadTable('src/doctor/finding-kind.ts');
const rows = Object.entries(FINDINGS).map(
  ([id, { severity, meaning, fix }]) => `| \`${id}\` | ${severity} | ${meaning} | ${fix ?? ''} |\n`,
);
const text = readFileSync(DOCUMENT, 'utf8');
const start = text.indexOf(MARK) + MARK.length;
if (start < MARK.length) throw new Error(`docs/cache.md has no line ${MARK}`);
const rest = /^(?:\|.*\n)*/.exec(text.slice(start))?.[0].length ?? 0;
const made = `${text.slice(0, start)}${HEAD}${rows.join('')}${text.slice(start + rest)}`;
if (!process.argv.includes('--check')) writeFileSync(DOCUMENT, made);
else if (made !== text) {
  console.error('docs/cache.md is stale: npm run doctor-doc');
  process.exitCode = 1;
}
