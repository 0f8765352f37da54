import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import { terminalHere } from '../support/here.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';

/*
 * docs/guide/compatibility.md says what is the same as in Tart, what is better, and what is not there. It is read here
 * as data, and must agree with the commands as they are declared.
 */

const ROOT = path.resolve(import.meta.dirname, '../..');
const DOCUMENT = readFileSync(path.join(ROOT, 'docs/guide/compatibility.md'), 'utf8');

/** Which of Tart's built-ins every command has; they are listed once. */
const BUILT_IN = new Set(['--help', '--help-hidden', '--version']);

const program = buildProgram(terminalHere(new Workplace(new Cleanup()), []), () => undefined);
const commands = program.commands.filter((command) => !command.name().startsWith('_'));

interface Row {
  /** What stands in code in the first cell. */
  readonly words: readonly string[];
  readonly verdict: string;
  readonly cells: readonly string[];
}

/** The rows of all tables between a heading and the next one that is not below it. */
function rowsUnder(heading: string): Row[] {
  const [, section] = DOCUMENT.split(`\n${heading}\n`);
  if (section === undefined) throw new Error(`docs/guide/compatibility.md has no "${heading}"`);
  const level = /^#+/.exec(heading)?.[0].length ?? 1;
  const [text = ''] = section.split(new RegExp(`\n#{1,${level}} `));
  return text
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| ---'))
    .slice(1)
    .map((line) => {
      const cells = line.slice(2, -2).split(' | ');
      const [first = '', verdict = ''] = cells;
      return { words: Array.from(first.matchAll(/`([^`]+)`/g), ([, word]) => word ?? ''), verdict, cells };
    });
}

/** The options that are listed for a command, by their long names or, without one, their short ones. */
function listed(command: string): Map<string, string> {
  const rows = rowsUnder(`### ${command}`);
  return new Map(
    rows.flatMap(({ words, verdict }) =>
      words.flatMap((word) => optionsIn(word).map((option) => [option, verdict] as const)),
    ),
  );
}

function optionsIn(text: string): string[] {
  const long = text.match(/--[a-z-]+/g);
  return long ?? text.match(/^-[a-z]$/g) ?? [];
}

function declared(command: Command): string[] {
  return command.options.map(({ long, short }) => long ?? short ?? '').filter((option) => !BUILT_IN.has(option));
}

/** Whatever is not simply the same says how or why. */
const VERDICT = /^(same(: .+)?|(better|not yet|not here|ours): .+)$/;

describe('docs/guide/compatibility.md', () => {
  it('has a section for every command, and for nothing else', () => {
    const sections = Array.from(DOCUMENT.matchAll(/^### ([a-z-]+)$/gm), ([, name]) => name ?? '');
    expect(sections.toSorted()).toEqual(commands.map((command) => command.name()).toSorted());
  });

  it.each(commands.map((command) => [command.name(), command] as const))(
    'lists every option of %s',
    (name, command) => {
      const options = listed(name);
      expect(declared(command).filter((option) => !options.has(option))).toEqual([]);
      for (const [option, verdict] of options) {
        expect(verdict, `${name} ${option}`).toMatch(VERDICT);
        const isThere = declared(command).includes(option);
        expect(isThere || verdict.startsWith('not '), `${name} ${option} is said to be there`).toBe(true);
      }
    },
  );

  it('gives a reason for everything that is better, or not there', () => {
    const rows = commands.flatMap((command) => rowsUnder(`### ${command.name()}`));
    expect(rows.length).toBeGreaterThan(60);
    for (const { verdict, cells } of rows) expect(verdict, cells.join(' | ')).toMatch(VERDICT);
  });

  it('lists the defects of Tart that concern images, and each is proved by the title of a test', () => {
    const titles = titlesOfTests();
    const rows = rowsUnder('## Defects of Tart that we do not have');
    const numbers = rows.map(({ cells }) => Number(cells[0]));
    expect(rows.length).toBeGreaterThan(40);
    expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
    const proved = new Map(titles.flatMap(({ file, numbers: each }) => each.map((number) => [number, file] as const)));
    for (const [index, { cells }] of rows.entries()) {
      const [file] = /test\/[a-z/-]+\.test\.ts/.exec(cells[2] ?? '') ?? [];
      const number = numbers[index] ?? 0;
      expect(
        titles.some((title) => title.file === file && title.numbers.includes(number)),
        `#${number} in ${file}`,
      ).toBe(true);
      proved.delete(number);
    }
    expect([...proved], 'proved, but not in the document').toEqual([]);
  });
});

/**
 * Every file with the numbers of the defects that stand in it as `(tart-cli §7 #1, #2)`, beside rows of our own
 * catalogue.
 */
function titlesOfTests(): { file: string; numbers: number[] }[] {
  return readdirSync(path.join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => {
      const marks =
        readFileSync(path.join(ROOT, 'test', file), 'utf8').match(/(?<=['`].*)\([^()]*tart-cli §7 #[^)]+\)(?=['`])/g) ??
        [];
      return {
        file: `test/${file}`,
        numbers: marks.flatMap((mark) => Array.from(mark.matchAll(/#([0-9]+)/g), ([, n]) => Number(n))),
      };
    });
}
