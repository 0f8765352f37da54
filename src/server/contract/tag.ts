import { Refusal } from './refusal.ts';

/** Distribution spec § pulling manifests: `<reference>` as a tag. */
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const FILE_NAME = /^([a-z0-9_][a-z0-9._-]{0,127})(?:%([0-9a-f]{1,32}))?$/;

/** A tag by the spec's grammar, and the name of the file that holds it. */
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

  /**
   * The tag in lower case, and after a `%` the set of positions that were upper case as a hex number. So `V1` and `v1` are two
   * files even where the file system ignores case, and 128 capitals still fit into 255 bytes, which an escape per letter would not.
   */
  get fileName(): string {
    let capitals = 0n;
    for (let at = 0; at < this.text.length; at += 1) {
      if (/[A-Z]/.test(this.text.charAt(at))) capitals |= 1n << BigInt(at);
    }
    return capitals === 0n ? this.text : `${this.text.toLowerCase()}%${capitals.toString(16)}`;
  }

  /** The inverse of {@link fileName}; undefined for a file that this server did not write. */
  static fromFileName(fileName: string): Tag | undefined {
    const parts = FILE_NAME.exec(fileName);
    if (parts === null) return undefined;
    // Most tags, and there may be thousands: nothing was changed.
    if (parts[2] === undefined) return Tag.tryParse(fileName);
    const capitals = BigInt(`0x${parts[2]}`);
    const letters = Array.from(parts[1] ?? '', (letter, at) =>
      ((capitals >> BigInt(at)) & 1n) === 1n ? letter.toUpperCase() : letter,
    );
    const tag = Tag.tryParse(letters.join(''));
    return tag?.fileName === fileName ? tag : undefined;
  }

  toString(): string {
    return this.text;
  }
}
