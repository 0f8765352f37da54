/**
 * Proves that every gate works: plants one fault at a time in a copy of the tree, runs the gate that must catch it, and
 * asks two things of it: a non-zero exit, and the name of the file in what it says. First, the copy without a fault
 * must pass. A gate that stays green with a fault in front of it is worth nothing, however often it is run.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { PlantedTree } from './planted-tree.mjs';

/** npm script of each gate; the tests are a gate too, run here on the planted file alone. */
const GATES = {
  lint: ['lint'],
  format: ['format:check'],
  types: ['types'],
  floors: ['floors'],
  sizes: ['sizes'],
  citations: ['citations'],
  links: ['links'],
  spelling: ['spelling'],
  unused: ['unused'],
  tests: ['test', '--', 'test/planted.test.ts'],
};

/** The directories of `src` in the order of the gate; `src/index.ts` is a floor, but no directory. */
const FLOORS = JSON.parse(readFileSync(path.resolve(import.meta.dirname, 'floors.json'), 'utf8')).filter(
  (floor) => floor !== 'index',
);

/** The whole suite runs elsewhere: here the gate is asked about one file. */
const PASSING_TEST = {
  'test/planted.test.ts': "import { expect, test } from 'vitest';\n\ntest('one', () => {\n  expect(1).toBe(1);\n});\n",
};

/** A line of a file whose length matters, and nothing else. */
const LINES = '// one more\n';

/** A file that is needed, with one export that is not. */
const PARTLY_USED = {
  'src/names/planted.ts': 'export const used = 1;\nexport const unused = 2;\n',
  'src/names/digest.ts': (text) => `import { used } from './planted.ts';\n${text}\nvoid used;\n`,
};

/**
 * What to plant and who must catch it. `files` are added to the tree (a function changes the file that is there),
 * `names` is the file that must appear in the report, and `rule` what must appear beside it, so that a fault is not
 * caught by accident.
 */
const FAULTS = [
  {
    gate: 'lint',
    fault: 'a floating promise',
    files: { 'src/oci/planted.ts': 'const work = async (): Promise<number> => 1;\nwork();\n' },
    rule: 'no-floating-promises',
  },
  {
    gate: 'lint',
    fault: 'a floating promise in a script',
    files: { 'scripts/planted.mjs': 'const work = async () => 1;\nwork();\n' },
    rule: 'no-floating-promises',
  },
  {
    gate: 'lint',
    fault: 'an explicit any',
    files: { 'src/oci/planted.ts': 'export const same = (value: any): unknown => value;\n' },
    rule: 'no-explicit-any',
  },
  {
    gate: 'lint',
    fault: 'an any that leaks out of JSON.parse',
    files: { 'src/oci/planted.ts': "export const size: number = JSON.parse('{}').size;\n" },
    rule: 'no-unsafe',
  },
  {
    gate: 'lint',
    fault: 'a switch that forgets a case',
    files: {
      'src/oci/planted.ts':
        "export function size(kind: 'flat' | 'stacked'): number {\n  switch (kind) {\n    case 'flat':\n      return 1;\n  }\n  return 0;\n}\n",
    },
    rule: 'switch-exhaustiveness-check',
  },
  {
    gate: 'lint',
    fault: 'a library that reads the environment',
    files: { 'src/home/planted.ts': "export const home = process.env['TART_HOME'];\n" },
    rule: 'process.env',
  },
  ...[
    ['the date', 'export const now = (): number => Date.now();\n', 'Date.now'],
    ['the date, by a new one', 'export const today = (): Date => new Date();\n', 'new Date()'],
    ['a clock', 'export const began = performance.now();\n', 'performance.now'],
    ['the platform', "export const isMac = process.platform === 'darwin';\n", 'process.platform'],
    ['the platform, taken apart', 'export const { platform } = process;\n', 'process'],
    ['its processors', "export { availableParallelism } from 'node:os';\n", 'node:os availableParallelism'],
    [
      'the directory for temporary files',
      "import os from 'node:os';\n\nexport const directory = os.tmpdir();\n",
      'node:os default',
    ],
    ['the process, by its module', "export { env } from 'node:process';\n", 'node:process'],
  ].map(([what, text, rule]) => ({
    gate: 'lint',
    fault: `a library that asks the machine for ${what}`,
    files: { 'src/home/planted.ts': text },
    rule: `${rule}: take it from the options`,
  })),
  {
    gate: 'lint',
    fault: 'a library that sends a signal by itself',
    files: { 'src/vm/planted.ts': "process.kill(1, 'SIGTERM');\n" },
    rule: 'process.kill',
  },
  {
    gate: 'lint',
    fault: 'an exception for the world around the library that is not needed any more',
    files: { 'src/fs/native-binding.ts': (text) => text.replaceAll('process.arch', "'x64'") },
    rule: 'process.arch: the exception is not needed any more',
  },
  {
    gate: 'lint',
    fault: 'a library that prints',
    files: { 'src/home/planted.ts': "console.log('found a cache');\n" },
    rule: 'no-console',
  },
  {
    gate: 'lint',
    fault: 'a library that names a command of ours',
    files: { 'src/home/planted.ts': 'export const advice = (name: string): string => `tartlet pull ${name}`;\n' },
    rule: 'words(no-command-line)',
  },
  {
    gate: 'lint',
    fault: 'a library that names an option of ours',
    files: { 'src/home/planted.ts': "export const advice = 'repeat it with --insecure';\n" },
    rule: 'words(no-command-line)',
  },
  {
    gate: 'lint',
    fault: 'a library that says the next step in words of its own',
    files: {
      'src/home/planted.ts':
        "import type { Hint } from '../hint.ts';\n\nexport const next: Hint = { kind: 'in-words', words: 'wait' };\n",
    },
    rule: 'words(no-command-line)',
  },
  {
    gate: 'lint',
    fault: 'a test that keeps the others from running',
    files: {
      'test/planted.test.ts':
        "import { expect, test } from 'vitest';\n\ntest.only('one', () => {\n  expect(1).toBe(1);\n});\n",
    },
    rule: 'no-focused-tests',
  },
  ...['src/oci/deep/nested/planted.ts', 'test/oci/deep/planted.ts', 'scripts/planted.mjs', 'planted.config.ts'].map(
    (file) => ({ gate: 'format', fault: `bad formatting, ${path.dirname(file)}`, files: { [file]: 'const  a = "b"' } }),
  ),
  {
    gate: 'types',
    fault: 'a type error',
    files: { 'src/oci/planted.ts': "export const size: number = 'big';\n" },
    rule: 'TS2322',
  },
  {
    gate: 'types',
    fault: 'a type error in a test',
    files: { 'test/oci/planted.ts': "export const size: number = 'big';\n" },
    rule: 'TS2322',
  },
  {
    gate: 'types',
    fault: 'an index that may be out of range',
    files: { 'src/oci/planted.ts': 'export const first = (list: readonly number[]): number => list[0];\n' },
    rule: 'TS2322',
  },
  {
    gate: 'types',
    fault: 'syntax that Node cannot erase',
    files: { 'src/oci/planted.ts': 'export enum Kind {\n  Flat,\n}\n' },
    rule: 'TS1294',
  },
  ...[
    [
      'stdout',
      "import type { Terminal } from './terminal/terminal.ts';\n\nexport function greet(terminal: Terminal, name: string): void {\n  terminal.stdout.write(name);\n}\n",
    ],
    [
      'stderr',
      "import type { Terminal } from './terminal/terminal.ts';\n\nexport function warn(terminal: Terminal, reason: string): void {\n  terminal.stderr.write(`note: ${reason}\\n`);\n}\n",
    ],
    [
      'an error',
      "import { type MessageStream, writeError } from './terminal/message-stream.ts';\n\nexport function fail(stream: MessageStream, error: Error): void {\n  writeError(stream, error.message);\n}\n",
    ],
    [
      'a printable text around it',
      "import { type Printable, printed } from './terminal/printable.ts';\n\nexport const lineOf = (name: string): Printable => printed`name: ${name}`;\n",
    ],
  ].map(([where, text]) => ({
    gate: 'types',
    fault: `a text that was not made printable, written to a terminal (${where})`,
    files: { 'src/cli/planted.ts': text },
    rule: 'TS2345',
  })),
  ...[
    ['an import from a lower floor', "export { below } from '../transfer/planted-below.ts';\n"],
    ['a type from a lower floor', "export type { Below } from '../transfer/planted-below.ts';\n"],
    ['a late import from a lower floor', "export const below = () => import('../transfer/planted-below.ts');\n"],
  ].map(([fault, text]) => ({
    gate: 'floors',
    fault,
    files: {
      'src/oci/planted.ts': text,
      'src/transfer/planted-below.ts': 'export const below = 1;\nexport type Below = typeof below;\n',
    },
    names: 'src/oci/planted.ts',
    rule: 'floor-oci',
  })),
  {
    gate: 'floors',
    fault: 'on each floor an import from the floor below it',
    files: Object.fromEntries([
      ...FLOORS.map((floor) => [`src/${floor}/planted.ts`, `export const planted = '${floor}';\n`]),
      ...FLOORS.slice(0, -1).map((floor, height) => [
        `src/${floor}/planted-above.ts`,
        `export { planted } from '${path.posix.relative(`src/${floor}`, `src/${FLOORS[height + 1]}/planted.ts`).replace(/^(?!\.)/, './')}';\n`,
      ]),
    ]),
    all: FLOORS.slice(0, -1).map((floor) => [`floor-${floor.replaceAll('/', '-')}`, `src/${floor}/planted-above.ts`]),
  },
  {
    gate: 'floors',
    fault: 'a directory that is no floor',
    files: { 'src/attic/planted.ts': "export { TartletError } from '../errors.ts';\n" },
    rule: 'every-directory-is-a-floor',
  },
  {
    gate: 'floors',
    fault: 'an import from a directory that is no floor',
    files: {
      'src/oci/planted.ts': "export { planted } from '../attic/planted.ts';\n",
      'src/attic/planted.ts': 'export const planted = 1;\n',
    },
    rule: 'imports-from-floors-only',
  },
  {
    gate: 'floors',
    fault: 'a home that knows a registry',
    files: {
      'src/home/planted.ts': "export { client } from '../registry/planted-client.ts';\n",
      'src/registry/planted-client.ts': 'export const client = 1;\n',
    },
    names: 'src/home/planted.ts',
    rule: 'charter-home',
  },
  {
    gate: 'floors',
    fault: 'a second file that decides what is read from the socket',
    files: { 'src/registry/planted.ts': "export { directWay } from './transport/direct/direct-transport.ts';\n" },
    rule: 'one-way-into-direct',
  },
  {
    gate: 'floors',
    fault: 'a way round the interface of reading from the socket',
    files: {
      'src/registry/transport/transport.ts': (text) =>
        `${text}\nexport { SocketReader } from './direct/socket-reader.ts';\n`,
    },
    names: 'src/registry/transport/transport.ts',
    rule: 'direct-is-one-file-to-others',
  },
  {
    gate: 'floors',
    fault: 'a command that knows the protocol',
    files: {
      'src/cli/planted.ts': "export { client } from '../registry/planted-client.ts';\n",
      'src/registry/planted-client.ts': 'export const client = 1;\n',
    },
    rule: 'charter-cli',
  },
  {
    gate: 'floors',
    fault: 'a protocol of the server that knows the disk',
    files: {
      'src/server/http/planted.ts': "export { store } from '../store/planted-store.ts';\n",
      'src/server/store/planted-store.ts': 'export const store = 1;\n',
    },
    names: 'src/server/http/planted.ts',
    rule: 'charter-server-http',
  },
  {
    gate: 'floors',
    fault: 'a store of the server that knows requests',
    files: { 'src/server/store/planted.ts': "export type { IncomingMessage } from 'node:http';\n" },
    rule: 'no-requests-in-the-store',
  },
  ...[
    ["import { request } from 'node:https';\n\nexport const get = request;\n", 'node:https'],
    ["export { request } from 'undici';\n", 'undici'],
  ].map(([text, what]) => ({
    gate: 'floors',
    fault: `the network (${what}) in src/home`,
    files: { 'src/home/planted.ts': text },
    rule: 'no-network-here',
  })),
  {
    gate: 'floors',
    fault: 'files in src/names',
    files: { 'src/names/planted.ts': "export { readFile } from 'node:fs/promises';\n" },
    rule: 'no-files-here',
  },
  {
    gate: 'floors',
    fault: 'the terminal in the library',
    files: { 'src/transfer/planted.ts': "export { Command } from 'commander';\n" },
    rule: 'library-is-silent',
  },
  {
    gate: 'floors',
    fault: 'a development package in the product',
    files: { 'src/transfer/planted.ts': "export { default } from 'fast-check';\n" },
    rule: 'only-declared-packages',
  },
  {
    gate: 'floors',
    fault: 'a cycle of imports',
    files: {
      'src/oci/planted.ts': "export { b } from './planted-b.ts';\nexport const a = 1;\n",
      'src/oci/planted-b.ts': "import { a } from './planted.ts';\n\nexport const b = a;\n",
    },
    names: 'src/oci/planted.ts',
    rule: 'no-cycles',
  },
  {
    gate: 'sizes',
    fault: 'a file of 251 lines that does not say why',
    files: { 'src/oci/planted.ts': LINES.repeat(251) },
    rule: '251 lines',
  },
  {
    gate: 'sizes',
    fault: 'a reason for a length that the file does not have',
    files: { 'src/oci/planted.ts': `// More than 250 lines, because it was once.\n${LINES.repeat(249)}` },
    rule: 'not needed any more',
  },
  {
    gate: 'sizes',
    fault: 'a directory of more than 25 files',
    files: Object.fromEntries(Array.from({ length: 26 }, (_, index) => [`src/attic/planted-${index}.ts`, LINES])),
    names: 'src/attic',
    rule: '26 files directly in it',
  },
  ...[
    ['a comment', 'src/oci/planted.ts', `// ${'x'.repeat(118)}\n`],
    ['a document', 'docs/guide/planted.md', `# Planted\n\n${'x'.repeat(121)}\n`],
  ].map(([where, file, text]) => ({
    gate: 'sizes',
    fault: `a line of 121 columns in ${where}`,
    files: { [file]: text },
    rule: '121 columns',
  })),
  {
    gate: 'sizes',
    fault: 'a contract that does not say who keeps it',
    files: { 'src/oci/planted.ts': `/** Closed by whoever opened it. */\n${LINES}` },
    rule: 'is no subject',
  },
  // Not written out: the gate reads this file as well.
  {
    gate: 'citations',
    fault: 'a section that is not there',
    files: { 'src/oci/planted.ts': '// As Tart does it (tart-cli \u00A799.9).\n' },
    rule: 'no section 99.9',
  },
  {
    gate: 'citations',
    fault: 'a section of a document that is not named',
    files: { 'docs/guide/planted.md': '# Planted\n\nThe rest is in \u00A73.\n' },
    rule: 'does not say of which document',
  },
  {
    gate: 'citations',
    fault: 'a row that is not in the catalogue of faults',
    files: { 'test/planted.test.ts': '// A reset (reliability \x4E999).\n' },
    rule: 'there is no fault N999',
  },
  ...[
    ['a file that is not there', '[here](planted-away.md)', 'there is no docs/maintainers/planted-away.md'],
    ['a heading that is not there', '[here](performance.md#planted)', 'performance.md has no heading #planted'],
    ['a heading of its own that is not there', '[here](#planted-away)', 'planted.md has no heading #planted-away'],
    ['another place than this repository', '[here](../../../planted.md)', 'leads out of the repository'],
    ['nothing, in a page that the index does not list', '', 'no link to docs/maintainers/planted.md'],
  ].map(([where, link, rule]) => ({
    gate: 'links',
    fault: `a link to ${where}`,
    files: { 'docs/maintainers/planted.md': `# Planted\n\n${link}\n` },
    rule,
  })),
  ...[
    ['a word that is misspelt', 'A direktory.', 'direktory'],
    ['American spelling', 'The color.', 'color'],
  ].map(([fault, text, rule]) => ({
    gate: 'spelling',
    fault,
    files: { 'docs/guide/planted.md': `# Planted\n\n${text}\n` },
    rule,
  })),
  {
    gate: 'unused',
    fault: 'an export without an importer',
    files: PARTLY_USED,
    rule: 'Unused exports',
  },
  {
    gate: 'unused',
    fault: 'an export that only a test imports',
    files: {
      ...PARTLY_USED,
      'test/planted.test.ts':
        "import { expect, test } from 'vitest';\nimport { unused } from '../src/names/planted.ts';\n\ntest('one', () => {\n  expect(unused).toBe(2);\n});\n",
    },
    rule: 'Unused exports',
  },
  {
    gate: 'unused',
    fault: 'a file without an importer',
    files: { 'src/names/planted.ts': 'export const planted = 1;\n' },
  },
  {
    gate: 'unused',
    fault: 'a dependency without an importer',
    files: {
      'package.json': (text) => text.replace('"dependencies": {', '"dependencies": {\n    "planted": "1.0.0",'),
    },
    rule: 'planted',
  },
  {
    gate: 'tests',
    fault: 'a test that fails',
    files: {
      'test/planted.test.ts':
        "import { expect, test } from 'vitest';\n\ntest('one', () => {\n  expect(1).toBe(2);\n});\n",
    },
    rule: '1 failed',
  },
  {
    gate: 'tests',
    fault: 'an unhandled rejection while a test runs',
    files: {
      'test/planted.test.ts':
        "import { expect, test } from 'vitest';\n\ntest('one', () => {\n  void Promise.reject(new Error('lost'));\n  expect(1).toBe(1);\n});\n",
    },
    rule: 'Unhandled Rejection',
  },
];

const tree = new PlantedTree();
try {
  for (const gate of Object.keys(GATES)) {
    const { status, output } = gate === 'tests' ? tree.with(PASSING_TEST, () => run(gate)) : run(gate);
    tree.report(status === 0, `${gate} passes without a fault`, output);
    // A gate that fails anyway proves nothing about the faults.
    if (status === 0) for (const fault of FAULTS.filter((one) => one.gate === gate)) check(fault);
  }
} finally {
  tree.remove();
}
console.log(tree.wrong === 0 ? 'Every planted fault was caught.' : `${tree.wrong} of the proofs failed.`);
process.exitCode = tree.wrong === 0 ? 0 : 1;

function run(gate) {
  return tree.npm(['run', '--silent', ...GATES[gate]], 120_000);
}

function check({ gate, fault, files, names = Object.keys(files)[0], rule = '', all }) {
  const { status, output } = tree.with(files, () => run(gate));
  if (all !== undefined) {
    const lines = output.split('\n');
    const missed = all.filter((wanted) => !lines.some((line) => wanted.every((text) => line.includes(text))));
    tree.report(
      status !== 0 && missed.length === 0,
      `${gate} catches ${fault} (${all.length})`,
      `missed: ${missed.join('; ')}`,
    );
    return;
  }
  const caught = status !== 0 && output.includes(names) && output.includes(rule);
  tree.report(caught, `${gate} catches ${fault} and names ${names}`, `exit ${status}\n${output}`);
}
