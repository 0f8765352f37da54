import { TartletError } from '../errors.ts';

/** Deeper nesting than this is an attack: real documents have five levels (reliability §0.2). */
const MAX_DEPTH = 32;

/** Objects whose keys belong to users and may differ in letter case only. */
const FREE_KEYED = new Set(['annotations', 'labels', 'Labels']);

/**
 * Parses a JSON document from somebody else so that every tool would read the same thing in it: valid UTF-8 without a byte
 * order mark, bounded depth, and no key twice, not even in another letter case, because Go matches keys ignoring case and
 * JavaScript takes the last one (reliability C14–C17).
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
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(what, text.trimStart().startsWith('<') ? 'it is a web page, not JSON' : 'it is not JSON', cause);
  }
  const problem = findAmbiguity(text);
  if (problem !== undefined) throw invalid(what, problem);
  return value;
}

interface Frame {
  /** Keys seen, as compared; undefined in arrays. */
  readonly keys: Set<string> | undefined;
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
      if (frame?.expectKey === true && frame.keys !== undefined) {
        const key = String(JSON.parse(text.slice(at, end + 1)));
        const compared = frame.foldCase ? key.toLowerCase() : key;
        if (frame.keys.has(compared)) return `the key "${key.slice(0, 60)}" appears twice in one object`;
        frame.keys.add(compared);
        frame.lastKey = key;
        frame.expectKey = false;
      }
      at = end;
    } else if (character === '{' || character === '[') {
      if (stack.length >= MAX_DEPTH) return `it is nested more than ${MAX_DEPTH} levels deep`;
      const isObject = character === '{';
      const foldCase = frame === undefined || !FREE_KEYED.has(frame.lastKey);
      stack.push({ keys: isObject ? new Set() : undefined, foldCase, expectKey: isObject, lastKey: '' });
    } else if (character === '}' || character === ']') {
      stack.pop();
    } else if (character === ',' && frame?.keys !== undefined) {
      frame.expectKey = true;
    }
  }
  return undefined;
}

function endOfString(text: string, quote: number): number {
  let at = quote + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}

function invalid(what: string, why: string, cause?: unknown): TartletError {
  return new TartletError('MANIFEST_INVALID', `the ${what} cannot be read: ${why}`, { subject: what, cause });
}

/** Narrows to a JSON object; arrays and null are none. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
