import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';

/*
 * The cache of compiled code (src/cli/code-cache.ts): it is taken when it fits, and does no harm when it does not.
 */

const ROOT = path.resolve(import.meta.dirname, '../..');

interface Copy {
  readonly bin: string;
  /** The folder of this Node. */
  readonly cache: string;
}

/** The built command, of which a test may spoil what it likes. */
function copyOfTheCommand(): Copy {
  const root = temporaryFolder();
  for (const part of ['bin', 'dist/bin']) cpSync(path.join(ROOT, part), path.join(root, part), { recursive: true });
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(root, 'node_modules'));
  const bin = path.join(root, 'dist/bin');
  return { bin, cache: path.join(bin, `code-cache/${process.version}-${process.platform}-${process.arch}`) };
}

/** Lists an empty home, and tells of each file whether V8 refused what the cache has for it; undefined when it has nothing. */
function list({ bin }: Copy): { readonly output: string; readonly refused: readonly (boolean | undefined)[] } {
  const program = `
    const vm = require('node:vm');
    const refused = [];
    vm.Script = class extends vm.Script {
      constructor(source, options) {
        super(source, options);
        refused.push(options.cachedData === undefined ? null : this.cachedDataRejected);
      }
    };
    process.on('exit', () => process.stderr.write(JSON.stringify(refused)));
    process.argv = [process.execPath, ${JSON.stringify(path.join(bin, 'main.js'))}, 'list'];
    require(process.argv[1]);
  `;
  const ended = spawnSync(process.execPath, ['-e', program], {
    encoding: 'utf8',
    env: { TART_HOME: temporaryFolder() },
  });
  const refused = JSON.parse(ended.stderr) as (boolean | null)[];
  return { output: ended.stdout, refused: refused.map((each) => each ?? undefined) };
}

function eachFile({ cache }: Copy, spoil: (file: string) => void): void {
  for (const name of readdirSync(cache)) spoil(path.join(cache, name));
}

/** Flips one bit of a file, at a part of its length. */
function flipBit(where: number): (file: string) => void {
  return (file) => {
    const bytes = readFileSync(file);
    const at = Math.round(where * (bytes.length - 1));
    bytes[at] = (bytes[at] ?? 0) ^ 4;
    writeFileSync(file, bytes);
  };
}

/** Other letters in the same place: V8 by itself sees no difference. */
function editSources({ bin }: Copy): void {
  for (const name of readdirSync(bin).filter((each) => each.endsWith('.js'))) {
    const file = path.join(bin, name);
    const text = readFileSync(file, 'latin1');
    writeFileSync(file, text.replaceAll('Source', 'SOURCE').replace(/\n$/, ' '), 'latin1');
  }
}

describe('the cache of compiled code', () => {
  it('has something for each file that the command loads, and V8 takes it', () => {
    const copy = copyOfTheCommand();
    const loaded = readdirSync(copy.bin).filter((name) =>
      /^(?!(?:main|chunk-worker|code-cache)\.js).*\.js$/.test(name),
    );
    expect(readdirSync(copy.cache)).toEqual(loaded.map((name) => `${name}.cache`));
    const { output, refused } = list(copy);
    expect(output).toBe('\n');
    expect(refused.length).toBeGreaterThan(5);
    expect(new Set(refused)).toEqual(new Set([false]));
  });

  it('belongs to files that can be read without decoding them', () => {
    const { bin } = copyOfTheCommand();
    for (const name of readdirSync(bin).filter((each) => each.endsWith('.js'))) {
      expect(/[^\0-\x7f]/.exec(readFileSync(path.join(bin, name), 'utf8'))?.[0], name).toBeUndefined();
    }
  });

  test.each<[string, (copy: Copy) => void, boolean | undefined]>([
    ['is not there', ({ cache }) => rmSync(cache, { recursive: true }), undefined],
    ['has lost its files', (copy) => eachFile(copy, (file) => rmSync(file)), undefined],
    ['is empty', (copy) => eachFile(copy, (file) => truncateSync(file, 0)), undefined],
    ['is cut off', (copy) => eachFile(copy, (file) => truncateSync(file, 500)), undefined],
    ['is of something else', (copy) => eachFile(copy, (file) => writeFileSync(file, 'x'.repeat(5_000))), undefined],
    ['has a flipped bit at its beginning', (copy) => eachFile(copy, flipBit(0)), undefined],
    ['has a flipped bit in its middle', (copy) => eachFile(copy, flipBit(0.5)), undefined],
    ['has a flipped bit at its end', (copy) => eachFile(copy, flipBit(1)), undefined],
    ['was made of other files of the same length', editSources, undefined],
  ])('does no harm when it %s', (_, spoil, refusal) => {
    const copy = copyOfTheCommand();
    spoil(copy);
    const { output, refused } = list(copy);
    expect(output).toBe('\n');
    expect(new Set(refused)).toEqual(new Set([refusal]));
  });

  it('does not run what a file was before it was edited', () => {
    const copy = copyOfTheCommand();
    const home = temporaryFolder();
    mkdirSync(`${home}/vms/vm`, { recursive: true });
    for (const file of ['config.json', 'disk.img', 'nvram.bin']) writeFileSync(`${home}/vms/vm/${file}`, '{}');
    const listed = (): string =>
      spawnSync(process.execPath, [path.join(copy.bin, 'main.js'), 'list'], {
        encoding: 'utf8',
        env: { TART_HOME: home },
      }).stdout;
    expect(listed()).toMatch(/^Source Name/);
    editSources(copy);
    expect(listed()).toMatch(/^SOURCE Name/);
  });

  it('tells no trace where the command was built', () => {
    const { bin } = copyOfTheCommand();
    const program = `
      const { runProcess } = require(${JSON.stringify(path.join(bin, 'code-cache.js'))}).load('process.js');
      process.on = () => { throw new Error('planted'); };
      runProcess().catch((error) => require('node:fs').writeSync(1, error.stack));
    `;
    const { stdout } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' });
    expect(stdout).toMatch(/at \S*runProcess \(tartlet\/process\.js:\d+:\d+\)/);
  });
});
