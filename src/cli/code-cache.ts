import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { Script } from 'node:vm';
import { threadId } from 'node:worker_threads';
import type * as Zlib from 'node:zlib';

/*
 * Loads the files of the bundle with what V8 made of them before: compiling them takes a quarter of a short command.
 * The first run of each command keeps what it compiled in the user's cache directory; each command has a directory of
 * its own there, because V8 compiles a function when it runs first, and another command runs others. Node's own
 * `enableCompileCache` (from 22.1 on) does the same, but keeps one file for all commands, whichever ran first, and Node
 * 20 has none.
 *
 * What is loaded runs with our rights. So a file counts only if this user owns it and no other user may write to it,
 * whatever the directories above it allow; and only for the very text it was made of, by a sum, because V8 checks next
 * to nothing.
 */

type Require = (id: string) => unknown;
type Module = { exports: unknown };
/** What Node wraps around a file of CommonJS. */
type Wrapped = (exports: unknown, require: Require, module: Module, filename: string, dirname: string) => void;

/** Of the sum at the end of each file. */
const SUM_BYTES = 4;
/** Write permission of the group and of others. */
const OTHERS_MAY_WRITE = 0o022;
const nodeRequire: Require = createRequire(import.meta.url);
const cacheDirectory = locate();
/** Nothing has to be looked for in a directory that is not there. */
const hasCache = cacheDirectory !== undefined && existsSync(cacheDirectory);
const scripts = new Map<string, Script>();
/** Names of files whose code was not in the cache, with their texts. */
const fresh = new Map<string, Uint8Array>();
const modules = new Map<string, Module>();

/** What a file of the bundle exports; runs it the first time. @param name of a file beside this one. */
export function load(name: string): unknown {
  const known = modules.get(name);
  if (known !== undefined) return known.exports;
  const module: Module = { exports: {} };
  modules.set(name, module); // Before it runs: what it loads may load it.
  try {
    const run = compile(name).runInThisContext() as Wrapped;
    run(module.exports, requireFrom, module, pathOf(name), import.meta.dirname);
    return module.exports;
  } catch (error) {
    modules.delete(name);
    throw error;
  }
}

/**
 * Keeps what was compiled and is not in the cache yet, for the next run of this command. It never fails: a cache is of
 * no consequence. Called at the end, when the functions that the command needs have been compiled.
 */
export function keepCompiled(): void {
  if (cacheDirectory === undefined || fresh.size === 0) return;
  try {
    // Root with the HOME of another user would make directories there that this user cannot use.
    if (statSync(process.env['XDG_CACHE_HOME'] ?? process.env['HOME'] ?? '').uid !== process.geteuid?.()) return;
    mkdirSync(cacheDirectory, { recursive: true, mode: 0o700 });
    for (const [name, text] of fresh) keep(`${cacheDirectory}/${name}.cache`, name, text);
    fresh.clear();
    // Of an older version in this place.
    for (const file of readdirSync(cacheDirectory)) {
      if (!existsSync(pathOf(file.replace(/\.cache$/, '')))) rmSync(`${cacheDirectory}/${file}`, { force: true });
    }
  } catch {
    // A full disk, a directory of another user, a home that is read-only.
  }
}

/** In one step: other commands read it at the same time. */
function keep(file: string, name: string, text: Uint8Array): void {
  const code = scripts.get(name)?.createCachedData();
  if (code === undefined) return;
  const sum = Buffer.alloc(SUM_BYTES);
  sum.writeUInt32LE(sumOf(text, code));
  const temporary = `${file}.${process.pid}-${threadId}`;
  try {
    writeFileSync(temporary, Buffer.concat([code, sum]), { mode: 0o600, flag: 'wx' });
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * Where the compiled code of this command lies: for each Node its own directory, because V8 checks its version and its
 * flags by itself but not the processor, and for each place of the program. Undefined where there is no place for it,
 * or the user wants none by Node's own variable.
 */
function locate(): string | undefined {
  const { NODE_DISABLE_COMPILE_CACHE, XDG_CACHE_HOME, HOME } = process.env;
  if (NODE_DISABLE_COMPILE_CACHE !== undefined && NODE_DISABLE_COMPILE_CACHE !== '') return undefined;
  const beside = process.platform === 'darwin' ? 'Library/Caches' : '.cache';
  const root = XDG_CACHE_HOME?.startsWith('/') === true ? XDG_CACHE_HOME : `${HOME ?? ''}/${beside}`;
  if (!root.startsWith('/') || (HOME ?? '') === '') return undefined;
  const command = process.argv[2] ?? '';
  const { crc32 } = nodeRequire('node:zlib') as typeof Zlib;
  const place = crc32(import.meta.dirname).toString(16);
  const node = `${process.version}-${process.platform}-${process.arch}-${place}`;
  return `${root}/tartlet/code/${node}/${/^[a-z][a-z-]{0,30}$/.test(command) ? command : 'other'}`;
}

function compile(name: string): Script {
  const known = scripts.get(name);
  if (known !== undefined) return known;
  const text = readFileSync(pathOf(name));
  // The build leaves only ASCII in a bundle, which V8 keeps and scans at half the size.
  const source = `(function (exports, require, module, __filename, __dirname) { ${text.toString('latin1')}\n})`;
  const cachedData = cached(name, text);
  // The cache keeps this name: in traces it must not be where the files lay when they were built.
  const script = new Script(source, { filename: `tartlet/${name}`, cachedData });
  scripts.set(name, script);
  if (cachedData === undefined || script.cachedDataRejected === true) fresh.set(name, text);
  return script;
}

/**
 * What is cached for a file whose text is `text`. V8 checks the length of the source only, and next to nothing of what
 * it is given: it ran the old code of a file that was edited, and a flipped bit crashed it.
 */
function cached(name: string, text: Uint8Array): Buffer | undefined {
  if (!hasCache) return undefined;
  const file = readOwn(`${cacheDirectory}/${name}.cache`);
  if (file === undefined || file.length < SUM_BYTES) return undefined;
  const code = file.subarray(0, -SUM_BYTES); // The sum is last, so that V8 finds the code aligned and need not copy it.
  return file.readUInt32LE(code.length) === sumOf(text, code) ? code : undefined;
}

/** Reads a file that only this user can have written. */
function readOwn(path: string): Buffer | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined; // It can be compiled as well.
  }
  try {
    const stats = fstatSync(file);
    if (!stats.isFile() || stats.uid !== process.geteuid?.() || (stats.mode & OTHERS_MAY_WRITE) !== 0) return undefined;
    const bytes = Buffer.allocUnsafeSlow(stats.size);
    return readSync(file, bytes, 0, stats.size, 0) === stats.size ? bytes : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(file);
  }
}

/**
 * CRC-32, because the files are checked for accidents: a user who can write the cache is the user who runs this.
 * It finds every flip of up to 32 bits in a row, costs a command less than a millisecond, and SHA-256 three, most of
 * them for loading it.
 */
function sumOf(text: Uint8Array, code: Uint8Array): number {
  const { crc32 } = nodeRequire('node:zlib') as typeof Zlib;
  return crc32(code, crc32(text));
}

function requireFrom(id: string): unknown {
  return id.startsWith('./') ? load(id.slice('./'.length)) : nodeRequire(id);
}

function pathOf(name: string): string {
  return `${import.meta.dirname}/${name}`;
}
