import { describeError, isTartletError } from '../errors.ts';
import { fieldOf, isJsonObject, parseJson, textOf } from '../json/foreign.ts';
import { RemoteName } from '../names/remote-name.ts';

/** An image that is to be here, ready, before it is asked for. */
export interface WantedImage {
  readonly name: RemoteName;
  /** Speak plain HTTP to its registry. */
  readonly insecure: boolean;
}

/** An entry of a list that cannot be used. It stops none of the others. */
export interface BrokenEntry {
  /** As it stands in the list, or its number. */
  readonly entry: string;
  readonly reason: string;
}

/** What a list says. */
export interface ImageList {
  readonly wanted: readonly WantedImage[];
  readonly broken: readonly BrokenEntry[];
}

/** A line is a name, the word `insecure` behind it perhaps, and a comment. */
const COMMENT = /(?:^|\s)#.*$/;

/**
 * Reads a list of images: a name a line, `insecure` behind it for plain HTTP, and comments from a `#` on; or JSON, as
 * an array of names and of `{"name": …, "insecure": true}`, or an object with such an array as `images`.
 */
export function parseImageList(text: string): ImageList {
  const start = text.trimStart().slice(0, 1);
  const entries = start === '[' || start === '{' ? jsonEntries(text) : lineEntries(text);
  const wanted: WantedImage[] = [];
  const broken: BrokenEntry[] = [];
  const seen = new Set<string>();
  for (const entry of entries) {
    const image = typeof entry === 'string' ? entry : parseEntry(entry);
    if (typeof image === 'string') broken.push({ entry: entryText(entry), reason: image });
    else if (!seen.has(image.name.toString())) {
      seen.add(image.name.toString());
      wanted.push(image);
    }
  }
  return { wanted, broken };
}

/** An entry as it was written, or a text that says why it is none. */
type Entry = { readonly name: string; readonly more: readonly string[] } | string;

function lineEntries(text: string): Entry[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', ...more] = line.replace(COMMENT, '').trim().split(/\s+/);
    return name === '' ? [] : [{ name, more }];
  });
}

function jsonEntries(text: string): Entry[] {
  const value = parseJson(text);
  const list = isJsonObject(value) ? fieldOf(value, 'images') : value;
  if (!Array.isArray(list)) return ['the list is no JSON array of images, nor an object with one as "images"'];
  return list.map((each: unknown, index) => {
    const name = typeof each === 'string' ? each : textOf(each, 'name');
    if (name === undefined) return `entry ${index + 1} has no name`;
    return { name, more: fieldOf(each, 'insecure') === true ? ['insecure'] : [] };
  });
}

/** @returns a text that says why it is no image. */
function parseEntry({ name, more }: Exclude<Entry, string>): WantedImage | string {
  const [flag, ...others] = more;
  if (others.length > 0 || (flag !== undefined && flag !== 'insecure')) return `"${more.join(' ')}" behind the name`;
  try {
    const parsed = RemoteName.parse(name);
    // A tag that may lead to one digest only is a digest.
    if (parsed.reference.kind === 'tag-and-digest')
      return 'it has a tag and a digest, and only one of them can be meant';
    return { name: parsed, insecure: flag !== undefined };
  } catch (error) {
    if (isTartletError(error)) return describeError(error);
    throw error;
  }
}

function entryText(entry: Entry): string {
  return typeof entry === 'string' ? 'the list' : entry.name;
}
