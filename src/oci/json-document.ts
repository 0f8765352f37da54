import { TartletError } from '../errors.ts';
import { shown } from './shown.ts';

/** Deeper nesting than this is an attack: real documents have five levels (reliability §0.2). */
const MAX_DEPTH = 32;

/** Objects whose keys belong to users and may differ in letter case only. */
const FREE_KEYED = new Set(['annotations', 'labels', 'Labels']);

/** With the `u` flag only a surrogate without its other half matches. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Parses a JSON document from an untrusted source so that every tool would read the same thing in it: valid UTF-8
 * without a byte order mark, bounded depth, no half of a surrogate pair, and no key twice, not even in another letter
 * case, because Go matches keys ignoring case and JavaScript takes the last one (reliability C14–C17).
 *
 * @param what the thing, for the message: `manifest of ghcr.io/org/img:1`.
 * @throws TartletError `MANIFEST_INVALID`
 */
export function parseJsonDocument(bytes: Uint8Array, what: string): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw invalid(what, 'it is not UTF-8 text', cause);
  }
  // Before parsing: a million open brackets are cheap to count, but not to build or to walk (reliability C14).
  if (isTooDeep(text)) throw invalid(what, `it is nested more than ${MAX_DEPTH} levels deep`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(what, notJson(text), cause);
  }
  const problem = findAmbiguity(text);
  if (problem !== undefined) throw invalid(what, problem);
  return value;
}

/**
 * A key as Go's decoder compares it. Upper case comes first because the long s and the Kelvin sign match plain letters
 * only on that way round.
 */
export function foldedKey(key: string): string {
  return key.toUpperCase().toLowerCase();
}

/** Counts brackets outside strings; the text need not be JSON. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '"') {
      at = endOfString(text, at);
    } else if (character === '{' || character === '[') {
      depth += 1;
      if (depth > MAX_DEPTH) return true;
    } else if (character === '}' || character === ']') {
      depth -= 1;
    }
  }
  return false;
}

interface Frame {
  /** Keys seen, by how they compare; undefined in arrays. */
  readonly keys: Map<string, string> | undefined;
  readonly foldCase: boolean;
  expectKey: boolean;
  lastKey: string;
}

/** Walks syntactically valid JSON once and reports what two parsers could read differently. */
function findAmbiguity(text: string): string | undefined {
  const stack: Frame[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    const frame = stack.at(-1);
    if (character === '"') {
      const end = endOfString(text, at);
      const problem = findInString(text.slice(at, end + 1), frame);
      if (problem !== undefined) return problem;
      at = end;
    } else if (character === '{') {
      const foldCase = frame === undefined || !FREE_KEYED.has(frame.lastKey);
      stack.push({ keys: new Map(), foldCase, expectKey: true, lastKey: '' });
    } else if (character === '[') {
      stack.push({ keys: undefined, foldCase: true, expectKey: false, lastKey: '' });
    } else if (character === '}' || character === ']') {
      stack.pop();
    } else if (character === ',' && frame?.keys !== undefined) {
      frame.expectKey = true;
    }
  }
  return undefined;
}

/** One string literal, quotes included: a key of `frame`, or a value. */
function findInString(literal: string, frame: Frame | undefined): string | undefined {
  // Decoded bytes hold no lone surrogate, so only an escape can write one; Go reads it as U+FFFD.
  if (literal.includes('\\u') && LONE_SURROGATE.test(String(JSON.parse(literal)))) {
    return 'a string in it has half of a surrogate pair';
  }
  if (frame?.keys === undefined || !frame.expectKey) return undefined;
  // Without an escape it stands for itself: manifests have thousands of keys, and each parse would cost more than the
  // walk.
  const key = literal.includes('\\') ? String(JSON.parse(literal)) : literal.slice(1, -1);
  const compared = frame.foldCase ? foldedKey(key) : key;
  const earlier = frame.keys.get(compared);
  if (earlier === key) return `the key "${shown(key)}" appears twice in one object`;
  if (earlier !== undefined) return `the keys "${shown(earlier)}" and "${shown(key)}" differ only in letter case`;
  frame.keys.set(compared, key);
  frame.lastKey = key;
  frame.expectKey = false;
  return undefined;
}

/** The index of the closing quote, or the end of a text that has none. */
function endOfString(text: string, quote: number): number {
  let at = text.indexOf('"', quote + 1);
  while (at >= 0 && isEscaped(text, at)) at = text.indexOf('"', at + 1);
  return at < 0 ? text.length : at;
}

/**
 * Whether an odd number of backslashes stands before a character inside a string. Each backslash is looked at once:
 * quotes part them.
 */
function isEscaped(text: string, at: number): boolean {
  let before = at - 1;
  while (text[before] === '\\') before -= 1;
  return (at - before) % 2 === 0;
}

function notJson(text: string): string {
  if (text === '') return 'it is empty';
  if (text.startsWith('\uFEFF')) return 'it starts with a byte order mark';
  return text.trimStart().startsWith('<') ? 'it is a web page, not JSON' : 'it is not JSON';
}

function invalid(what: string, why: string, cause?: unknown): TartletError {
  return new TartletError('MANIFEST_INVALID', `the ${what} cannot be read: ${why}`, { subject: what, cause });
}
