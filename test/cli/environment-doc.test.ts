import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../..');
const PAGE = readFileSync(path.join(ROOT, 'docs/guide/environment.md'), 'utf8');
/** All that says `environment[name]` with a name that is made at run time, and the names. */
const MADE_AT_RUN_TIME: Record<string, readonly string[]> = {
  'src/registry/transport/connect/proxy.ts': ['http', 'https', 'all'].flatMap((each) => [
    `${each}_proxy`,
    `${each.toUpperCase()}_PROXY`,
  ]),
  'src/registry/transport/connect/trust.ts': ['SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS'],
};

const sources = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file: `src/${file}`, text: readFileSync(path.join(ROOT, 'src', file), 'utf8') }));
sources.push({
  file: 'scripts/binary/main.cjs',
  text: readFileSync(path.join(ROOT, 'scripts/binary/main.cjs'), 'utf8'),
});

test('the guide names every environment variable that the source reads, and none that it does not', () => {
  const read = new Set(sources.flatMap(variablesOf));
  const told = [...PAGE.matchAll(/^\| (`.+?`) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
  );
  expect(told.toSorted()).toEqual([...read].toSorted());
});

test.each([
  ["environment['A_B'] ?? ''", ['A_B']],
  ["terminal.environment['no_proxy']", ['no_proxy']],
  ["process.env['CI']", ['CI']],
  ['const { XDG_CACHE_HOME, HOME: home } = process.env;', ['XDG_CACHE_HOME', 'HOME']],
  ['const { TMPDIR, TMP } = this.environment;', ['TMPDIR', 'TMP']],
  ["function driver({ PULSE_SERVER }: Terminal['environment']): Driver {", ['PULSE_SERVER']],
  ["const MARK = 'HANDED_OVER';\nif (environment[MARK] !== undefined) return;", ['HANDED_OVER']],
  ['const { [PASSWORD]: _ours, ...environment } = settings.environment;', []],
])('it is found where the source says %s', (text, names) => {
  expect(variablesOf({ file: 'src/any.ts', text })).toEqual(names);
});

test('a variable whose name the test cannot know is refused until the table above names it', () => {
  expect(() => variablesOf({ file: 'src/any.ts', text: 'environment[name]' })).toThrow('src/any.ts reads [name]');
});

function variablesOf({ file, text }: { file: string; text: string }): string[] {
  const literal = matches(text, /\b(?:environment|env)\['(\w+)'\]/g);
  const bound = [
    ...matches(text, /const \{([^}]+)\} = (?:\w+\.|this\.#options\.)*(?:environment|env);/g),
    ...matches(text, /\(\{([^}]+)\}: \w+\['environment'\]/g),
  ].flatMap((list) => matches(list, /(?:^|,)\s*([A-Z]\w*)/g));
  const constants = matches(text, /\b(?:environment|env)\[([A-Z]\w*)\]/g).flatMap((name) => constant(name, text));
  const dynamic = matches(text, /\b(?:environment|env)\[([a-z]\w*)\]/g);
  if (dynamic.length === 0) return [...literal, ...bound, ...constants];
  const known = MADE_AT_RUN_TIME[file];
  if (known === undefined) throw new Error(`${file} reads [${dynamic.join('], [')}]`);
  return [...literal, ...bound, ...constants, ...known];
}

/** The text of a constant: of this file, or of all files that have one of this name. */
function constant(name: string, text: string): string[] {
  const declared = new RegExp(`const ${name} = '(\\w+)'`, 'g');
  const own = matches(text, declared);
  const found = own.length > 0 ? own : sources.flatMap((source) => matches(source.text, declared));
  if (found.length === 0) throw new Error(`no constant ${name}`);
  return found;
}

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, found = '']) => found);
}
