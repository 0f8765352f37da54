import type { ResponseHeaders } from './request.ts';

/** Headers as a library or a parser gives them: by lower-case name, one line or several. */
export class IncomingHeaders implements ResponseHeaders {
  readonly #headers: Readonly<Record<string, string | string[] | undefined>>;

  constructor(headers: Readonly<Record<string, string | string[] | undefined>>) {
    this.#headers = headers;
  }

  get(name: string): string | undefined {
    const lines = this.all(name);
    return lines.length === 0 ? undefined : lines.join(', ');
  }

  all(name: string): readonly string[] {
    const value = this.#headers[name];
    return value === undefined ? [] : Array.isArray(value) ? value : [value];
  }
}
