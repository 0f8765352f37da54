import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Script } from 'node:vm';

/*
 * Loads the files of the bundle with what V8 made of them when they were built (scripts/code-cache.mjs): compiling them took a
 * quarter of a short command. The cache lies among the files it belongs to, so that whoever could change one could change the other,
 * and no command ever writes to it. Another Node finds none, and compiles.
 */

type Require = (id: string) => unknown;
type Module = { exports: unknown };
/** What Node wraps around a file of CommonJS. */
type Wrapped = (exports: unknown, require: Require, module: Module, filename: string, dirname: string) => void;

/**
 * For each Node its own: V8 checks its version and its flags by itself, but not the processor. Of the source it checks the length, and of
 * what is cached next to nothing: it must be whole, so the build flushes it.
 */
export const cacheFolder = `${import.meta.dirname}/code-cache/${process.version}-${process.platform}-${process.arch}`;
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

/** For the build: what V8 has made of a file so far. */
export function compiled(name: string): Buffer {
  return compile(name).createCachedData();
}

function compile(name: string): Script {
  const known = scripts.get(name);
  if (known !== undefined) return known;
  // The build leaves only ASCII in a bundle, which V8 keeps and scans at half the size.
  const source = `(function (exports, require, module, __filename, __dirname) { ${readFileSync(pathOf(name), 'latin1')}\n})`;
  // The cache keeps this name: in traces it must not be where the files lay when they were built.
  const script = new Script(source, { filename: `tartlet/${name}`, cachedData: cached(name) });
  scripts.set(name, script);
  return script;
}

function cached(name: string): Buffer | undefined {
  if (!hasCache) return undefined;
  try {
    return readFileSync(`${cacheFolder}/${name}.cache`);
  } catch {
    return undefined; // It can be compiled as well.
  }
}

function requireFrom(id: string): unknown {
  return id.startsWith('./') ? load(id.slice('./'.length)) : nodeRequire(id);
}

function pathOf(name: string): string {
  return `${import.meta.dirname}/${name}`;
}
