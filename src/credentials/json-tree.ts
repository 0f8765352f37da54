import { type Node, type ParseError, parse, parseTree, printParseErrorCode } from 'jsonc-parser';
import { TartletError } from '../errors.ts';

/**
 * The places of a JSON object's members in its text, so that one can be changed and every other byte be kept.
 *
 * Comments and trailing commas are refused although the parser would take them: Docker, Podman and Tart read the same
 * file, and fail at them.
 *
 * @param file the file, for the message.
 * @throws TartletError `CONFIG_INVALID`, see {@link jsonFault}
 */
export function readJsonTree(text: string, file: string): Node {
  try {
    JSON.parse(text);
    const root = parseTree(text);
    if (root?.type === 'object') return root;
  } catch {
    // Its message quotes the text, and here that is a password. It can also be nested too deep for the parser's
    // recursion.
  }
  throw jsonFault(text, file);
}

/**
 * Why a text is no JSON object, with line and column and nothing of its contents.
 *
 * @param file the file, for the message.
 */
export function jsonFault(text: string, file: string): TartletError {
  const { why, position } = findFault(text);
  const lines = text.slice(0, position).split(/\r\n|[\r\n]/);
  const column = (lines.at(-1)?.length ?? 0) + 1;
  const end = position >= text.length ? ' (the file ends there)' : '';
  return new TartletError(
    'CONFIG_INVALID',
    `${file} is not valid JSON: line ${lines.length}, column ${column}: ${why}${end}`,
    { subject: file, position: position + 1, next: { kind: 'correct-or-remove-auth-file', file } },
  );
}

/** @returns `position`: from 0. */
function findFault(text: string): { readonly why: string; readonly position: number } {
  const start = Math.max(text.search(/[^ \t\r\n]/), 0);
  const errors: ParseError[] = [];
  try {
    parse(text, errors, { disallowComments: true, allowTrailingComma: false });
  } catch {
    return { why: 'it is nested too deep', position: start };
  }
  const [first] = errors;
  if (first === undefined) return { why: 'an object was expected', position: start };
  // `CommaExpected` becomes "comma expected".
  const words = printParseErrorCode(first.error).replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return { why: words.trim(), position: first.offset };
}
