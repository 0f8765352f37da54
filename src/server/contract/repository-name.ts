import { Refusal } from './refusal.ts';

/** Distribution spec § pulling manifests: `<name>`. Linear: each alternative begins with another character. */
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
/** The spec asks clients to keep host and name below 255 characters; also the longest folder name of usual file systems. */
const MAX_LENGTH = 255;

/**
 * The name of a repository by the spec's grammar: lower case, parts between slashes. It becomes a path below the data folder,
 * so nothing but {@link parse} may make one (reliability S19, S42): no part can be `..`, be empty or begin with `_`.
 */
export class RepositoryName {
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /** @throws Refusal `NAME_INVALID` */
  static parse(text: string): RepositoryName {
    const name = RepositoryName.tryParse(text);
    if (name === undefined) {
      throw new Refusal(
        400,
        'NAME_INVALID',
        'a repository name has lower-case letters, digits and single . _ - between',
        {
          detail: { name: text.slice(0, MAX_LENGTH) },
        },
      );
    }
    return name;
  }

  static tryParse(text: string): RepositoryName | undefined {
    if (text.length > MAX_LENGTH) return undefined;
    return text.split('/').every((part) => COMPONENT.test(part)) ? new RepositoryName(text) : undefined;
  }

  toString(): string {
    return this.text;
  }
}
