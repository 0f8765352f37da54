/** One challenge of a `WWW-Authenticate` header (RFC 9110 §11.6.1). */
export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** By lower-case name. Of a repeated parameter the first counts. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** More challenges than any server has a use for; the rest is ignored. */
const MAX_CHALLENGES = 32;

const BLANK = /[ \t]/;
const END_OF_WORD = /[ \t,="]/;

/**
 * Reads `WWW-Authenticate` lines, each of which may hold several challenges. Deliberately forgiving, and linear in the
 * length of its input: any case, blanks after commas (which cost Tart the service and the scope, openai/tart#1258),
 * values without quotes, quoted strings with commas and escapes, a missing closing quote, schemes without parameters
 * (reliability Q23). Never throws.
 */
export function parseChallenges(lines: readonly string[]): Challenge[] {
  return lines.flatMap((line) => new LineScanner(line).challenges()).slice(0, MAX_CHALLENGES);
}

/** Walks over one header line from left to right and never back. */
class LineScanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  challenges(): Challenge[] {
    const found: { scheme: string; parameters: Map<string, string> }[] = [];
    for (;;) {
      this.#skip(/[ \t,]/);
      if (this.#at >= this.#text.length) return found;
      const word = this.#word();
      this.#skip(BLANK);
      if (this.#text[this.#at] === '=') {
        const value = this.#value();
        const name = word.toLowerCase();
        const current = found.at(-1);
        if (value !== undefined && name !== '' && current?.parameters.has(name) === false) {
          current.parameters.set(name, value);
        }
      } else if (word === '') {
        this.#at += 1; // A stray quote: nothing can begin here.
      } else if (found.length < MAX_CHALLENGES) {
        found.push({ scheme: word.toLowerCase(), parameters: new Map() });
      } else {
        return found;
      }
    }
  }

  #skip(set: RegExp): void {
    while (this.#at < this.#text.length && set.test(this.#text[this.#at] ?? '')) this.#at += 1;
  }

  #word(): string {
    const start = this.#at;
    while (this.#at < this.#text.length && !END_OF_WORD.test(this.#text[this.#at] ?? '')) this.#at += 1;
    return this.#text.slice(start, this.#at);
  }

  /** What follows a name, from the `=` on; undefined for the padding of a token68 (`Negotiate YII==`). */
  #value(): string | undefined {
    this.#skip(/=/);
    this.#skip(BLANK);
    if (this.#at >= this.#text.length || this.#text[this.#at] === ',') return undefined;
    if (this.#text[this.#at] === '"') return this.#quoted();
    const start = this.#at;
    while (this.#at < this.#text.length && this.#text[this.#at] !== ',') this.#at += 1;
    return this.#text.slice(start, this.#at).trim();
  }

  #quoted(): string {
    let value = '';
    this.#at += 1;
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at] ?? '';
      this.#at += 1;
      if (character === '"') return value;
      if (character === '\\') {
        value += this.#text[this.#at] ?? '';
        this.#at += 1;
      } else {
        value += character;
      }
    }
    return value;
  }
}
