/**
 * Writes docs/maintainers/faults.md: each row of the catalogue with the tests that cover it, or why it cannot happen
 * here. With `--check`, writes nothing and fails when the document is not what it would write, or a test names a row
 * that does not exist.
 *
 * A test covers a row by naming its id in parentheses in its title, in the title of a `describe` around it, or in the
 * table it is made from: `(N14)`, `(N14, S22)`. Tests that are skipped cover nothing. Numbers that a longer run
 * measured come from test/faults/measured/*.json:
 * `{ "title": "…", "measured": "…", "counts": [["kill points", 120], …] }`.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { loadTable } from './load-table.mjs';

const root = path.resolve(import.meta.dirname, '..');
const DOCUMENT = 'docs/maintainers/faults.md';
/** What stands in parentheses: `N14`, `N39–N42`, `reliability C5`, several with commas. */
const IN_PARENTHESES = /\(([^()]*)\)/g;
const IDS = /^(?:reliability )?([NQDPCS])(\d{1,3})(?:–\1(\d{1,3}))?$/;
/** Calls that make tests, and calls whose titles count for the tests in them. */
const MAKERS = new Set(['test', 'it', 'row', 'fuzz', 'describe', 'describeWithParts']);
const SKIPPING = new Set(['skip', 'todo', 'fails']);

/** By id: the files whose tests name it. */
function coverage() {
  const found = new Map();
  const files = readdirSync(path.join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => `test/${file.split(path.sep).join('/')}`)
    .sort();
  for (const file of files) {
    const source = ts.createSourceFile(file, readFileSync(path.join(root, file), 'utf8'), ts.ScriptTarget.Latest, true);
    walk(source, [], (ids) => {
      for (const id of ids) found.set(id, (found.get(id) ?? new Set()).add(file));
    });
  }
  return found;
}

/** Tells of each test the ids in its own titles and in those around it. */
function walk(node, around, tell) {
  const made = ts.isCallExpression(node) ? makerOf(node) : undefined;
  if (made === undefined) {
    ts.forEachChild(node, (child) => walk(child, around, tell));
    return;
  }
  if (made.skipped) return;
  const ids = [...around, ...made.ids];
  if (!made.name.startsWith('describe')) tell(ids);
  // Tests may be made inside: by a describe, or by a loop in one.
  for (const argument of node.arguments) ts.forEachChild(argument, (child) => walk(child, ids, tell));
}

/** What kind of test a call makes, and the ids that its title and its table name. */
function makerOf(call) {
  let at = call.expression;
  const texts = textsOf(call.arguments[0]);
  let skipped = false;
  // From the outside in, past any number of modifiers and tables.
  while (!ts.isIdentifier(at)) {
    if (ts.isCallExpression(at)) {
      texts.push(...at.arguments.flatMap((argument) => [...textsOf(argument), ...rowsOfTable(argument)]));
      at = at.expression;
    } else if (ts.isPropertyAccessExpression(at)) {
      skipped ||= SKIPPING.has(at.name.text);
      at = at.expression;
    } else if (ts.isTaggedTemplateExpression(at)) at = at.tag;
    else return undefined;
  }
  if (!MAKERS.has(at.text) || call.arguments.length < 2) return undefined;
  if (at.text !== 'row') return { name: at.text, ids: texts.flatMap(idsIn), skipped };
  const [id, title] = call.arguments;
  const own = ts.isStringLiteral(id) ? [id.text] : idsOfLoop(call);
  return { name: 'row', ids: [...own.filter((text) => IDS.test(text)), ...textsOf(title).flatMap(idsIn)], skipped };
}

/** The ids in the table that a loop around a call goes through. */
function idsOfLoop(call) {
  let loop = call.parent;
  while (loop !== undefined && !ts.isForOfStatement(loop)) loop = loop.parent;
  if (loop === undefined) return [];
  const declarations = call.getSourceFile().statements.filter((one) => ts.isVariableStatement(one));
  const table = declarations
    .flatMap(({ declarationList }) => declarationList.declarations)
    .find(({ name }) => name.text === loop.expression.text);
  return textsOf(table);
}

/** The `rows` that the entries of a table name, where a test is made from a table of another file. */
function rowsOfTable(node) {
  if (!ts.isIdentifier(node)) return [];
  const source = node.getSourceFile();
  const origin = source.statements
    .filter((one) => ts.isImportDeclaration(one))
    .find((one) => namesOf(one).includes(node.text));
  if (origin === undefined || !origin.moduleSpecifier.text.startsWith('.')) return [];
  const file = path.join(path.dirname(source.fileName), origin.moduleSpecifier.text);
  const table = ts.createSourceFile(file, readFileSync(path.join(root, file), 'utf8'), ts.ScriptTarget.Latest, true);
  const rows = [];
  const collect = (child) => {
    if (ts.isPropertyAssignment(child) && child.name.text === 'rows') rows.push(`(${child.initializer.text})`);
    ts.forEachChild(child, collect);
  };
  collect(table);
  return rows;
}

function namesOf({ importClause }) {
  const bindings = importClause?.namedBindings;
  return bindings !== undefined && ts.isNamedImports(bindings) ? bindings.elements.map(({ name }) => name.text) : [];
}

function idsIn(text) {
  const parts = [...text.matchAll(IN_PARENTHESES)].flatMap(([, inside]) => inside.split(', '));
  return parts.flatMap((part) => {
    const [, letter, first, last = first] = IDS.exec(part) ?? [];
    if (letter === undefined) return [];
    return Array.from({ length: last - first + 1 }, (_, index) => `${letter}${Number(first) + index}`);
  });
}

/** Every text in an expression, the fixed parts of templates included. */
function textsOf(node) {
  if (node === undefined) return [];
  if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node))
    return [node.text];
  const texts = [];
  ts.forEachChild(node, (child) => void texts.push(...textsOf(child)));
  return texts;
}

function measurements() {
  const directory = path.join(root, 'test/faults/measured');
  let names = [];
  try {
    names = readdirSync(directory).filter((name) => name.endsWith('.json'));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  return names.sort().map((name) => JSON.parse(readFileSync(path.join(directory, name), 'utf8')));
}

function render(sections, covered, measured) {
  const rows = sections.flatMap(({ faults }) => faults);
  const applicable = rows.filter(({ applies }) => applies);
  const open = applicable.filter(({ id }) => !covered.has(id));
  const files = new Set([...covered.values()].flatMap((places) => [...places]));
  const lines = [
    '# Faults and attacks',
    '',
    '<!-- Written by `npm run faults-doc` from test/faults/catalogue.ts and the titles of the tests. Do not edit. -->',
    '',
    'What can go wrong around Tartlet, what may be done to it on purpose, and which test covers what happens then. Rows',
    'that cannot happen here say why. Each test names its row, so `npx vitest run -t "(N14)"` runs the tests of one.',
    '',
    `${rows.length} rows: ${applicable.length - open.length} covered by tests in ${files.size} files, ${rows.length - applicable.length} that cannot happen here${open.length === 0 ? '' : `, **${open.length} without a test**`}.`,
  ];
  for (const { title, measured: when, counts } of measured) {
    lines.push('', `## Measured: ${title}`, '', ...wrapped(when), '', '| what | count |', '| --- | ---: |');
    for (const [what, count] of counts) lines.push(`| ${what} | ${count} |`);
  }
  for (const { title, faults } of sections) {
    lines.push('', `## ${title}`, '', '| row | what goes wrong | covered by |', '| --- | --- | --- |');
    for (const fault of faults) lines.push(`| ${fault.id} | ${fault.title} | ${coverageOf(fault, covered)} |`);
  }
  return { text: `${lines.join('\n')}\n`, open };
}

/** In lines of at most 120 columns. */
function wrapped(text) {
  return text.match(/.{1,120}(?: |$)/g).map((line) => line.trimEnd());
}

function coverageOf(fault, covered) {
  const places = covered.get(fault.id);
  if (!fault.applies) return `not here: ${fault.because}`;
  if (places === undefined) return '**nothing yet**';
  return [...places].map((file) => `[${file.replace(/^test\//, '')}](../../${file})`).join(', ');
}

const sections = (await loadTable('test/faults/catalogue.ts')).SECTIONS;
const covered = coverage();
const { text, open } = render(sections, covered, measurements());
const known = new Map(sections.flatMap(({ faults }) => faults.map((fault) => [fault.id, fault])));
const complaints = [
  ...[...covered.keys()].filter((id) => !known.has(id)).map((id) => `a test names ${id}, which is no row`),
  ...[...covered.keys()]
    .filter((id) => known.get(id)?.applies === false)
    .map((id) => `${id} has a test and a reason why it needs none`),
];
if (process.argv.includes('--check')) {
  const current = readFileSync(path.join(root, DOCUMENT), 'utf8');
  if (current !== text) complaints.push(`${DOCUMENT} is out of date: npm run faults-doc`);
} else {
  writeFileSync(path.join(root, DOCUMENT), text);
}
for (const complaint of complaints) console.error(complaint);
console.log(`${known.size} rows, ${known.size - open.length} of them covered or out of reach`);
if (open.length > 0) console.log(`open: ${open.map(({ id }) => id).join(' ')}`);
process.exitCode = process.argv.includes('--check') && complaints.length > 0 ? 1 : 0;
