/**
 * Parts of Node that are not there at its start, take milliseconds each to load, and are used by few commands. A bundle
 * would load them all for every command that shares a file with one of those few.
 */
const LATE = [
  'child_process',
  'crypto',
  'fs/promises',
  'http',
  'https',
  'http2',
  'net',
  'tls',
  'worker_threads',
  'zlib',
];

const REQUIRED = new RegExp(`= require\\("node:(?:${LATE.join('|')})"\\)(?=[,;])`, 'g');

/** A dynamic import, which needs a loader of modules that a script with a cache has not (src/cli/code-cache.ts). */
const IMPORTED = /\bimport\(("node:[a-z/_]+")\)/g;

const REQUIRE_LAZILY = `function requireLazily(id) {
  let loaded;
  return new Proxy({}, { get: (_, name) => (loaded ??= require(id))[name], has: (_, name) => name in (loaded ??= require(id)) });
}`;

/**
 * Has the bundler load them at their first use: their names are only read where they are used
 * (`(0, node_crypto.createHash)(…)`).
 */
export const lazyBuiltIns = {
  name: 'lazy-built-ins',
  renderChunk(code) {
    const required = code.replaceAll(IMPORTED, 'Promise.resolve(require($1))');
    if (/(?<![.\w])import\(/.test(required))
      throw new Error('a dynamic import is left in the bundle, which would fail when it runs');
    const lazy = required.replaceAll(REQUIRED, (found) => found.replace('require', 'requireLazily'));
    return { code: lazy === required ? required : `${lazy}\n${REQUIRE_LAZILY}` };
  },
};
