/**
 * Refuses a directory of `src` with more files than one sees at a glance, and a file that is longer than is read at
 * once without saying why in its first lines: "More than 250 lines, because ...". A reason that is not needed any
 * more is refused as well. So are lines that are too wide, and sentences that do not say who does it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Files that lie directly in a directory. */
const MOST_FILES = 25;
/** With comments and empty lines: they are read as well. */
const MOST_LINES = 250;

const REASON = /\bmore than 250 lines,[\s*]+because[\s*]+\S/i;
/** Where the reason stands. */
const TOP_LINES = 8;

const root = path.resolve(import.meta.dirname, '..');
const entries = readdirSync(path.join(root, 'src'), { recursive: true, withFileTypes: true });
const files = entries
  .filter((entry) => entry.isFile())
  .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));

const inDirectory = new Map();
for (const file of files) inDirectory.set(path.dirname(file), (inDirectory.get(path.dirname(file)) ?? 0) + 1);
const findings = [...inDirectory]
  .filter(([, count]) => count > MOST_FILES)
  .map(([directory, count]) => `${directory}: ${count} files directly in it, and ${MOST_FILES} are the most`);

for (const file of files) {
  const lines = readFileSync(path.join(root, file), 'utf8').trimEnd().split('\n');
  const hasReason = REASON.test(lines.slice(0, TOP_LINES).join('\n'));
  if (lines.length > MOST_LINES && !hasReason)
    findings.push(`${file}: ${lines.length} lines, and ${MOST_LINES} are the most without a reason at its top`);
  if (lines.length <= MOST_LINES && hasReason)
    findings.push(`${file}: the reason for its length is not needed any more`);
}

/**
 * Columns of sources and documents. Tables, output of commands and lines that end with an address cannot be wrapped.
 */
const MOST_COLUMNS = 120;
const documents = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].concat(
  readdirSync(path.join(root, 'docs'), { recursive: true })
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
);
/** A contract has a subject: a caller, a client, another process. The documents of others keep their words. */
const NO_SUBJECT = /\b(?:whoever|nobody|somebody)\b/i;
for (const file of [...files, ...documents]) {
  let isOutput = false;
  for (const [index, line] of readFileSync(path.join(root, file), 'utf8').split('\n').entries()) {
    if (file.endsWith('.md') && line.trimStart().startsWith('```')) isOutput = !isOutput;
    const isTable = file.endsWith('.md') && (isOutput || line.trimStart().startsWith('|'));
    if (line.length > MOST_COLUMNS && !isTable && !/https?:\S+$/.test(line))
      findings.push(`${file}:${index + 1}: ${line.length} columns, and ${MOST_COLUMNS} are the most`);
    if (!isOutput && !file.startsWith('docs/reference/') && NO_SUBJECT.test(line))
      findings.push(`${file}:${index + 1}: "${NO_SUBJECT.exec(line)?.[0]}" is no subject: say which program or user`);
  }
}

for (const finding of findings.sort()) console.error(finding);
process.exitCode = findings.length === 0 ? 0 : 1;
