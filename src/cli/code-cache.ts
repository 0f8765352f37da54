import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Script } from 'node:vm';
import type * as Zlib from 'node:zlib';

/*
 * Loads the files of the bundle with what V8 made of them when they were built (scripts/code-cache.mjs): compiling them took a
 * quarter of a short command. The cache lies among the files it belongs to, so that whoever could change one could change the other,
 * and no command ever writes to it. Another Node finds none, and compiles.
 */

type Require = (id: string) => unknown;
type Module = { exports: unknown };
/** What Node wraps around a file of CommonJS. */
type Wrapped = (exports: unknown, require: Require, module: Module, filename: string, dirname: string) => void;

/** For each Node its own: V8 checks its version and its flags by itself, but not the processor. */
export const cacheFolder = `${import.meta.dirname}/code-cache/${process.version}-${process.platform}-${process.arch}`;
/** Of the sum at the end of each file. */
const SUM_BYTES = 4;
const hasCache = existsSync(cacheFolder);
const nodeRequire: Require = createRequire(import.meta.url);
const scripts = new Map<string, Script>();
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

/** For the build: what V8 has made of a file so far, as {@link load} expects it. */
export function compiled(name: string): Buffer {
  const code = compile(name).createCachedData();
  const sum = Buffer.alloc(SUM_BYTES);
  sum.writeUInt32LE(sumOf(readFileSync(pathOf(name)), code));
  return Buffer.concat([code, sum]);
}

function compile(name: string): Script {
  const known = scripts.get(name);
  if (known !== undefined) return known;
  const text = readFileSync(pathOf(name));
  // The build leaves only ASCII in a bundle, which V8 keeps and scans at half the size.
  const source = `(function (exports, require, module, __filename, __dirname) { ${text.toString('latin1')}\n})`;
  // The cache keeps this name: in traces it must not be where the files lay when they were built.
  const script = new Script(source, { filename: `tartlet/${name}`, cachedData: cached(name, text) });
  scripts.set(name, script);
  return script;
}

/**
 * What is cached for a file whose text is `text`. V8 checks the length of the source only, and next to nothing of what
 * it is given: it ran the old code of a file that was edited, and a flipped bit crashed it. So nothing gets there that
 * is not what the build made of this very text.
 */
function cached(name: string, text: Uint8Array): Buffer | undefined {
  if (!hasCache) return undefined;
  let file: Buffer;
  try {
    file = readFileSync(`${cacheFolder}/${name}.cache`);
  } catch {
    return undefined; // It can be compiled as well.
  }
  if (file.length < SUM_BYTES) return undefined;
  const code = file.subarray(0, -SUM_BYTES); // The sum is last, so that V8 finds the code aligned and need not copy it.
  return file.readUInt32LE(code.length) === sumOf(text, code) ? code : undefined;
}

/**
 * CRC-32, because the files are checked for accidents: a user who can write the cache can write the source beside it.
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
