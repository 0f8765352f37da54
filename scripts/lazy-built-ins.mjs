/**
 * Parts of Node that are not there at its start, take milliseconds each to load, and are used by few commands. A bundle would load
 * them all for every command that shares a file with one of those few.
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

const REQUIRE_LAZILY = `function requireLazily(id) {
  let loaded;
  return new Proxy({}, { get: (_, name) => (loaded ??= require(id))[name], has: (_, name) => name in (loaded ??= require(id)) });
}`;

/** Has the bundler load them at their first use: their names are only read where they are used (`(0, node_crypto.createHash)(…)`). */
export const lazyBuiltIns = {
  name: 'lazy-built-ins',
  renderChunk(code) {
    const lazy = code.replaceAll(REQUIRED, (found) => found.replace('require', 'requireLazily'));
    return lazy === code ? undefined : { code: `${lazy}\n${REQUIRE_LAZILY}` };
  },
};
