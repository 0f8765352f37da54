import { isJsonObject, type JsonObject } from '../json/foreign.ts';
import { wrongSettings } from './settings-fault.ts';

/**
 * The document that a text is in TOML 1.1. The parser is loaded with the first text. Its message is passed on without
 * the lines that it quotes: a header may be a secret.
 *
 * @param file where the text was found, for messages.
 * @throws TartletError `CONFIG_INVALID`
 */
export async function parseToml(text: string, file: string): Promise<TomlTable> {
  const { parse, TomlError } = await import('smol-toml');
  try {
    return new TomlTable(parse(text), file, '');
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const [why = ''] = cause.message.split('\n');
    throw wrongSettings(file, `${why} (line ${cause.line}, column ${cause.column})`);
  }
}

/** A table of a document, asked key by key. What nothing asked for is refused by {@link end}. */
export class TomlTable {
  readonly file: string;
  readonly #values: JsonObject;
  /** What the table is called, for messages; empty for the document. */
  readonly #name: string;
  readonly #asked = new Set<string>();

  constructor(values: JsonObject, file: string, name: string) {
    this.#values = values;
    this.file = file;
    this.#name = name;
  }

  /** A text; undefined where there is none. @throws TartletError `CONFIG_INVALID` for a value of another kind. */
  text(key: string): string | undefined {
    const value = this.#ask(key);
    if (value === undefined || typeof value === 'string') return value;
    throw this.wrong(key, 'has to be a text');
  }

  /** Yes or no; undefined where it is not said. */
  flag(key: string): boolean | undefined {
    const value = this.#ask(key);
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.wrong(key, 'has to be true or false');
  }

  /** A list; undefined where there is none. What is in it is the caller's to check. */
  list(key: string): readonly unknown[] | undefined {
    const value = this.#ask(key);
    if (value === undefined || Array.isArray(value)) return value;
    throw this.wrong(key, 'has to be a list');
  }

  /** A value of whatever kind. */
  value(key: string): unknown {
    return this.#ask(key);
  }

  /** A list of tables; empty where there is none. */
  tables(key: string): TomlTable[] {
    return (this.list(key) ?? []).map((each, index) => {
      if (!isJsonObject(each)) throw this.wrong(key, 'has to be a list of tables');
      return new TomlTable(each, this.file, `${this.#named(key)} ${index + 1}`);
    });
  }

  /** The tables below a table, in their order. */
  namedTables(key: string): [name: string, table: TomlTable][] {
    const value = this.#ask(key) ?? {};
    if (!isJsonObject(value)) throw this.wrong(key, 'has to be a table');
    return Object.entries(value).map(([name, each]) => {
      if (!isJsonObject(each)) throw this.wrong(`${key}."${name}"`, 'has to be a table');
      return [name, new TomlTable(each, this.file, this.#named(`${key}."${name}"`))];
    });
  }

  /** Passes over keys that are known, and cannot matter. */
  pass(...keys: readonly string[]): void {
    for (const key of keys) this.#asked.add(key);
  }

  /** @throws TartletError `CONFIG_INVALID` for the first key that was not asked for. */
  end(): void {
    const unknown = Object.keys(this.#values).find((key) => !this.#asked.has(key));
    if (unknown !== undefined) throw this.wrong(unknown, 'is not supported');
  }

  /** A fault of a key. */
  wrong(key: string, why: string): Error {
    return wrongSettings(this.file, `"${this.#named(key)}" ${why}`);
  }

  #ask(key: string): unknown {
    this.#asked.add(key);
    return Object.hasOwn(this.#values, key) ? this.#values[key] : undefined;
  }

  #named(key: string): string {
    return this.#name === '' ? key : `${this.#name}: ${key}`;
  }
}
