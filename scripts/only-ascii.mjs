/**
 * Writes what is not ASCII as escapes: one such character doubles the memory of a whole file and the time to scan it, and none lets
 * src/cli/code-cache.ts read files without decoding them.
 */
export const onlyAscii = {
  name: 'only-ascii',
  renderChunk(code) {
    // Of what is written, only strings and patterns hold such characters: there an escape means the same. Comments keep a readable one.
    const ascii = code.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
    return ascii === code ? undefined : { code: ascii };
  },
};
