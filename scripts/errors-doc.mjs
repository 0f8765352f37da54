/**
 * Writes docs/guide/errors.md from the table of error codes in the command's code. With `--check`, writes nothing and
 * fails when the document is not what it would write, or when the code throws no error of some kind: an error that
 * cannot happen must not be explained.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadTable } from './load-table.mjs';

const root = path.resolve(import.meta.dirname, '..');
const DOCUMENT = path.join(root, 'docs/guide/errors.md');
const TABLE = 'src/cli/render/error-kind.ts';

const HEAD = `# Errors

Made by \`npm run errors-doc\` from \`${TABLE}\`: change it there.

An error is told on stderr, in up to three lines: what failed and why, what was kept, what to do next.

\`\`\`console
$ tartlet pull https://registry.example:8221/macos/base:15
error[NAME_MALFORMED]: "https://registry.example:8221/macos/base:15" is not a valid name: a name has no "https://" (at character 1).
next: write it as registry.example:8221/macos/base:15
\`\`\`

The first line says it all, for programs that show no more. The code in brackets is stable; the library throws the same
codes as \`TartletError.code\`, with \`facts\` to decide on. With \`TARTLET_DEBUG=1\` the places in the code follow.
What to do is said more precisely by the error itself where it knows more than its code.

| code | exit code | what happened | what to do |
| --- | --- | --- | --- |
`;

const { ERROR_KINDS } = await loadTable(TABLE);
const rows = Object.entries(ERROR_KINDS).map(
  ([code, { exitCode, meaning, next }]) => `| \`${code}\` | ${exitCode} | ${meaning} | ${next} |\n`,
);
const text = `${HEAD}${rows.join('')}`;
if (process.argv.includes('--check')) {
  const never = Object.keys(ERROR_KINDS).filter((code) => !sources().some((source) => source.includes(`'${code}'`)));
  if (never.length > 0) fail(`nothing throws ${never.join(', ')}`);
  if (readFileSync(DOCUMENT, 'utf8') !== text) fail('docs/guide/errors.md is stale: npm run errors-doc');
} else {
  writeFileSync(DOCUMENT, text);
}

/** The code that may throw: all of it but the two files that list every code. */
function sources() {
  return readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && file !== 'errors.ts' && `src/${file}` !== TABLE)
    .map((file) => readFileSync(path.join(root, 'src', file), 'utf8'));
}

function fail(why) {
  console.error(why);
  process.exitCode = 1;
}
