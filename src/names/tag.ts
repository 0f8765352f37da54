import { characterAt, IMAGE_SPELLING, malformed, MAX_PATH_PART, type NameFault } from './malformed.ts';

/** Distribution spec § pulling manifests, `<reference>` as a tag, with Tart's longer limit. */
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;
/** The spec's own limit, in characters. */
const SPEC_LENGTH = 128;

/**
 * A tag: letters, digits, `_`, `.` and `-`. It becomes part of URLs and of paths, so nothing but this class may make
 * one (reliability S19): it cannot be `..`.
 */
export class Tag {
  /** What is meant where no tag is written. */
  static readonly latest = new Tag('latest');

  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /**
   * @param whole what was typed, when the tag is only a part of it: errors show that.
   * @param start where in `whole` the tag begins.
   * @throws TartletError `NAME_MALFORMED` with the position of the first character that cannot be right.
   */
  static parse(text: string, whole = text, start = 0): Tag {
    const fault = faultIn(text);
    if (fault !== undefined) throw malformed(whole, start + fault.at, fault.why, IMAGE_SPELLING);
    return new Tag(text);
  }

  /** As {@link parse}; undefined for what is malformed. */
  static tryParse(text: string): Tag | undefined {
    return faultIn(text) === undefined ? new Tag(text) : undefined;
  }

  /** By the stricter grammar of the distribution spec, for a registry: at most 128 characters. */
  static tryParseBySpec(text: string): Tag | undefined {
    return text.length > SPEC_LENGTH ? undefined : Tag.tryParse(text);
  }

  /** Whether both are the same in their canonical form. */
  equals(other: Tag): boolean {
    return this.text === other.text;
  }

  /** The canonical text. */
  toString(): string {
    return this.text;
  }

  /** The text, so that JSON shows a name as it is typed. */
  toJSON(): string {
    return this.text;
  }
}

function faultIn(text: string): NameFault | undefined {
  if (text === '') return { at: 0, why: 'there is no tag after the colon' };
  if (text.length > MAX_PATH_PART) return { at: MAX_PATH_PART, why: `a tag has at most ${MAX_PATH_PART} characters` };
  if (TAG.test(text)) return undefined;
  const bad = text.search(/[^A-Za-z0-9._-]/);
  if (bad < 0) return { at: 0, why: 'a tag begins with a letter, a digit or "_"' };
  return { at: bad, why: `a tag cannot contain "${characterAt(text, bad)}"` };
}
