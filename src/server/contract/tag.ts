import { Refusal } from './refusal.ts';

/** Distribution spec § pulling manifests: `<reference>` as a tag. */
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

/** A tag by the spec's grammar. */
export class Tag {
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /** @throws Refusal `MANIFEST_INVALID` */
  static parse(text: string): Tag {
    if (!TAG.test(text)) {
      throw new Refusal(400, 'MANIFEST_INVALID', 'a tag has 1 to 128 letters, digits, "_", "." and "-"', {
        detail: { tag: text.slice(0, 128) },
      });
    }
    return new Tag(text);
  }

  static tryParse(text: string): Tag | undefined {
    return TAG.test(text) ? new Tag(text) : undefined;
  }

  toString(): string {
    return this.text;
  }
}
