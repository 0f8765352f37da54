/**
 * An oxlint plugin with one rule, for everything in `src` that is not the command: no string speaks command line. What
 * to do next is a hint (src/hint.ts), and its words are in src/cli/render/hint. Comments may say what they like.
 */

/**
 * The name of the command before one of its own, or an option in a sentence. An option alone is an argument for a
 * foreign program.
 */
const COMMAND_WORDS = /\btartlet |[\s(`'"]--[a-z]|^--[a-z][a-z-]*\s/;

const rule = {
  create(context) {
    const check = (node, text) => {
      if (COMMAND_WORDS.test(text)) {
        context.report({
          node,
          message: `"${text.trim()}" is command line: give a hint (src/hint.ts), and the words to cli/render/hint`,
        });
      }
      if (text === 'in-words') {
        context.report({
          node,
          message: 'a hint in words is for programs on top of the library: add a kind to src/hint.ts',
        });
      }
    };
    return {
      Literal: (node) => {
        if (typeof node.value === 'string') check(node, node.value);
      },
      TemplateElement: (node) => check(node, node.value.cooked ?? node.value.raw),
    };
  },
};

export default { meta: { name: 'words' }, rules: { 'no-command-line': rule } };
