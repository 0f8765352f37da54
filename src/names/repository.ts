import { characterAt, IMAGE_SPELLING, malformed, MAX_PATH_PART, type NameFault } from './malformed.ts';

/**
 * One part of a repository: what Tart accepts (upper case, one separator at the end) together with what the OCI spec
 * allows (`__`, runs of dashes). Two alternatives never begin alike, so it matches in linear time.
 */
const PART = /^[A-Za-z0-9]+(?:(?:[.]|_{1,2}|-+)[A-Za-z0-9]+)*[._-]?$/;
/** As much of a part as {@link PART} could still accept: what follows it is the fault. */
const LEGAL_BEGINNING = /^(?:[A-Za-z0-9]+(?:[.]|_{1,2}|-+|$))*/;

/**
 * Distribution spec § pulling manifests, `<name>`: a part of it. Linear: each alternative begins with another
 * character.
 */
const SPEC_PART = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
/**
 * The spec asks clients to keep host and name below 255 characters; also the longest directory name of usual file
 * systems.
 */
const SPEC_LENGTH = 255;

/**
 * The path of a repository within its registry, case kept: `org/macos-base`. It becomes part of URLs and of paths, so
 * nothing but this class may make one (reliability S19, S42): no part of it can be `..`, be empty or begin with `_`.
 */
export class Repository {
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /**
   * @param whole what was typed, when the repository is only a part of it: errors show that.
   * @param start where in `whole` the repository begins.
   * @throws TartletError `NAME_MALFORMED` with the position of the first character that cannot be right.
   */
  static parse(text: string, whole = text, start = 0): Repository {
    const fault = faultIn(text);
    if (fault !== undefined) throw malformed(whole, start + fault.at, fault.why, IMAGE_SPELLING);
    return new Repository(text);
  }

  /** As {@link parse}; undefined for what is malformed. */
  static tryParse(text: string): Repository | undefined {
    return faultIn(text) === undefined ? new Repository(text) : undefined;
  }

  /**
   * By the stricter grammar of the distribution spec, for a registry: lower case, at most 255 characters altogether.
   */
  static tryParseBySpec(text: string): Repository | undefined {
    if (text.length > SPEC_LENGTH) return undefined;
    return text.split('/').every((part) => SPEC_PART.test(part)) ? new Repository(text) : undefined;
  }

  /** Whether both are the same in their canonical form. */
  equals(other: Repository): boolean {
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
  let at = 0;
  for (const part of text.split('/')) {
    const fault = faultInPart(part);
    if (fault !== undefined) return { at: at + fault.at, why: fault.why };
    at += part.length + 1;
  }
  return undefined;
}

function faultInPart(part: string): NameFault | undefined {
  if (part === '') return { at: 0, why: 'a part of the repository is empty' };
  if (part.length > MAX_PATH_PART) {
    return { at: MAX_PATH_PART, why: `a part of a repository has at most ${MAX_PATH_PART} characters` };
  }
  if (PART.test(part)) return undefined;
  const bad = part.search(/[^A-Za-z0-9._-]/);
  if (bad >= 0) return { at: bad, why: `a repository cannot contain "${characterAt(part, bad)}"` };
  const right = LEGAL_BEGINNING.exec(part)?.[0].length ?? 0;
  const why = `"${part}" must begin with a letter or a digit and have single separators (or "__", or dashes)`;
  return { at: Math.min(right, part.length - 1), why };
}
