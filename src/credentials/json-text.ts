import { TartletError } from '../errors.ts';

/** A value of a JSON text with its place in it, so that one member can be changed and every other byte be kept. */
export interface JsonValue {
  readonly start: number;
  /** The first position behind it. */
  readonly end: number;
  /** In the order of the text, for objects only. */
  readonly members?: readonly JsonMember[];
}

export interface JsonMember {
  readonly key: string;
  /** Where its key begins. */
  readonly start: number;
  readonly value: JsonValue;
}

/** A member of an object; of several with one name the last, which is the one that other readers see too. */
export function memberOf(object: JsonValue, key: string): JsonMember | undefined {
  return object.members?.findLast((member) => member.key === key);
}

/**
 * Reads the places of a JSON object. `JSON.parse` would quote the text around a fault, and here that is a password: this
 * tells the line and the column only.
 *
 * @param file the file, for the message.
 * @throws TartletError `CONFIG_INVALID` with the position.
 */
export function readJsonText(text: string, file: string): JsonValue {
  return new JsonReader(text, file).document();
}

/** The object itself. @throws TartletError as {@link readJsonText} does. */
export function parseJsonObject(text: string, file: string): Readonly<Record<string, unknown>> {
  readJsonText(text, file);
  return JSON.parse(text) as Readonly<Record<string, unknown>>;
}

const MAX_DEPTH = 32;
const BLANK = /[ \t\r\n]*/y;
// oxlint-disable-next-line no-control-regex -- JSON forbids control characters in strings
const STRING = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\u0000-\u001f]*)*"/y;
const SCALAR = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])/y;

class JsonReader {
  readonly #text: string;
  readonly #file: string;
  #at = 0;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
  }

  document(): JsonValue {
    this.#skip(BLANK);
    if (this.#text[this.#at] !== '{') throw this.#fault('"{" was expected');
    const value = this.#value(0);
    this.#skip(BLANK);
    if (this.#at < this.#text.length) throw this.#fault('something follows the end of the document');
    return value;
  }

  #value(depth: number): JsonValue {
    if (depth > MAX_DEPTH) throw this.#fault(`it is nested more than ${MAX_DEPTH} levels deep`);
    const start = this.#at;
    const opening = this.#text[start];
    if (opening === '{') {
      const members: JsonMember[] = [];
      this.#list('}', () => members.push(this.#member(depth)));
      return { start, end: this.#at, members };
    }
    if (opening === '[') this.#list(']', () => this.#value(depth + 1));
    else if (opening === '"') this.#string();
    else if (!this.#skip(SCALAR)) throw this.#fault('a value was expected');
    return { start, end: this.#at };
  }

  #member(depth: number): JsonMember {
    const start = this.#at;
    if (this.#text[start] !== '"') throw this.#fault('a name in double quotes was expected');
    this.#string();
    const key = String(JSON.parse(this.#text.slice(start, this.#at)));
    this.#skip(BLANK);
    if (!this.#take(':')) throw this.#fault('":" was expected');
    this.#skip(BLANK);
    return { key, start, value: this.#value(depth + 1) };
  }

  /** From the opening bracket to behind the closing one. */
  #list(closing: string, element: () => void): void {
    this.#at += 1;
    this.#skip(BLANK);
    if (this.#take(closing)) return;
    do {
      this.#skip(BLANK);
      element();
      this.#skip(BLANK);
    } while (this.#take(','));
    if (!this.#take(closing)) throw this.#fault(`"," or "${closing}" was expected`);
  }

  #string(): void {
    if (!this.#skip(STRING)) throw this.#fault('the text in quotes that begins here is broken or does not end');
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text)) return false;
    this.#at = pattern.lastIndex;
    return true;
  }

  #fault(why: string): TartletError {
    const before = this.#text.slice(0, this.#at).split('\n');
    const column = (before.at(-1)?.length ?? 0) + 1;
    const end = this.#at >= this.#text.length ? ' (the file ends there)' : '';
    return new TartletError(
      'CONFIG_INVALID',
      `${this.#file} is not valid JSON: line ${before.length}, column ${column}: ${why}${end}`,
      { subject: this.#file, position: this.#at + 1, next: `correct ${this.#file}, or log in again after removing it` },
    );
  }
}
