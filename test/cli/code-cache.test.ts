import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../support/directory.ts';

/*
 * The cache of compiled code (src/cli/code-cache.ts): it is taken when it fits, and does no harm when it does not.
 */

const ROOT = path.resolve(import.meta.dirname, '../..');

interface Copy {
  readonly bin: string;
  /** The user's home directory. */
  readonly user: string;
}

/** The built command, of which a test may spoil what it likes, and a user whose first command has been run. */
function copyOfTheCommand(): Copy {
  const root = temporaryDirectory();
  for (const part of ['bin', 'dist/bin']) cpSync(path.join(ROOT, part), path.join(root, part), { recursive: true });
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(root, 'node_modules'));
  const copy = { bin: path.join(root, 'dist/bin'), user: temporaryDirectory() };
  expect(new Set(list(copy).refused)).toEqual(new Set([undefined]));
  return copy;
}

/** Where what `list` compiled is kept. */
function cacheOf({ user }: Copy): string {
  const node = readdirSync(`${user}/.cache/tartlet/code`);
  expect(node).toEqual([expect.stringMatching(`^${process.version}-${process.platform}-${process.arch}-[0-9a-f]+$`)]);
  return `${user}/.cache/tartlet/code/${node[0]}/list`;
}

/**
 * Lists an empty home, and tells of each file whether V8 refused what the cache has for it; undefined when it has
 * nothing.
 */
function list(
  { bin, user }: Copy,
  environment: Record<string, string> = {},
): { readonly output: string; readonly refused: readonly (boolean | undefined)[] } {
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
    env: { TART_HOME: temporaryDirectory(), HOME: user, ...environment },
  });
  const refused = JSON.parse(ended.stderr) as (boolean | null)[];
  return { output: ended.stdout, refused: refused.map((each) => each ?? undefined) };
}

function eachFile(copy: Copy, spoil: (file: string) => void): void {
  const cache = cacheOf(copy);
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
  it('is made by the first run of a command, for each file that it loads, and V8 takes it in the next', () => {
    const copy = copyOfTheCommand();
    const { output, refused } = list(copy);
    expect(output).toBe('\n');
    expect(refused.length).toBeGreaterThan(5);
    expect(new Set(refused)).toEqual(new Set([false]));
    expect(readdirSync(cacheOf(copy))).toHaveLength(refused.length);
  });

  it('can be read and written by its user only, and holds nothing of an older version after an upgrade', () => {
    const copy = copyOfTheCommand();
    const cache = cacheOf(copy);
    expect(statSync(cache).mode & 0o777).toBe(0o700);
    const [name = ''] = readdirSync(cache);
    expect(statSync(`${cache}/${name}`).mode & 0o777).toBe(0o600);
    writeFileSync(`${cache}/list-0LD.js.cache`, '');
    rmSync(`${cache}/${name}`);
    list(copy);
    expect(readdirSync(cache)).not.toContain('list-0LD.js.cache');
    expect(readdirSync(cache)).toContain(name);
  });

  it('is left out where Node is told so, and where there is no home directory', () => {
    const copy = copyOfTheCommand();
    expect(new Set(list(copy, { NODE_DISABLE_COMPILE_CACHE: '1' }).refused)).toEqual(new Set([undefined]));
    expect(new Set(list(copy, { HOME: '' }).refused)).toEqual(new Set([undefined]));
    expect(new Set(list(copy, { HOME: '/nonexistent' }).refused)).toEqual(new Set([undefined]));
  });

  it('belongs to files that can be read without decoding them', () => {
    const { bin } = copyOfTheCommand();
    for (const name of readdirSync(bin).filter((each) => each.endsWith('.js'))) {
      expect(/[^\0-\x7f]/.exec(readFileSync(path.join(bin, name), 'utf8'))?.[0], name).toBeUndefined();
    }
  });

  it.each<[string, (copy: Copy) => void, boolean | undefined]>([
    ['is not there', (copy) => rmSync(cacheOf(copy), { recursive: true }), undefined],
    // Only root can give files away; CI is root.
    ...(process.geteuid?.() === 0
      ? ([['belongs to another user', (copy) => eachFile(copy, (file) => chownSync(file, 12_345, 0)), undefined]] as [
          string,
          (copy: Copy) => void,
          undefined,
        ][])
      : []),
    ['may be written by others', (copy) => eachFile(copy, (file) => chmodSync(file, 0o666)), undefined],
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
    const home = temporaryDirectory();
    mkdirSync(`${home}/vms/vm`, { recursive: true });
    for (const file of ['config.json', 'disk.img', 'nvram.bin']) writeFileSync(`${home}/vms/vm/${file}`, '{}');
    const listed = (): string =>
      spawnSync(process.execPath, [path.join(copy.bin, 'main.js'), 'list'], {
        encoding: 'utf8',
        env: { TART_HOME: home, HOME: copy.user },
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
