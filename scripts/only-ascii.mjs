/**
 * Writes what is not ASCII as escapes: one such character doubles the memory of a whole file and the time to scan it,
 * and none lets src/cli/code-cache.ts read files without decoding them.
 */
export const onlyAscii = {
  name: 'only-ascii',
  // After everything else: the minifier writes characters again.
  generateBundle(_, bundle) {
    for (const file of Object.values(bundle)) {
      // An escape after a backslash, or where backslashes are taken as they are, would be something else.
      const odd = /\\[^\0-\x7f]|String\.raw`[^`]*[^\0-\x7f]/.exec(file.code);
      if (odd !== null) throw new Error(`${file.fileName} has a character that cannot be escaped: ${odd[0]}`);
      // Only strings and patterns hold such characters: there an escape means the same.
      file.code = file.code.replaceAll(
        /[^\0-\x7f]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
      );
    }
  },
};
