/**
 * Writes what is not ASCII as escapes: one such character doubles the memory of a whole file and the time to scan it, and none lets
 * src/cli/code-cache.ts read files without decoding them.
 */
export const onlyAscii = {
  name: 'only-ascii',
  // After everything else: the minifier writes characters again.
  generateBundle(_, bundle) {
    for (const file of Object.values(bundle)) {
      // Only strings and patterns hold such characters: there an escape means the same.
      file.code = file.code.replaceAll(
        /[^\0-\x7f]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
      );
    }
  },
};
