import { TartletError } from '../errors.ts';

/**
 * Where macOS guests mount by themselves what has no tag of its own, and Linux guests by this name (run-fleet-demand
 * §b.2).
 */
const DEFAULT_TAG = 'com.apple.virtio-fs.automount';

/** The room for a tag in the device's configuration (VIRTIO 1.2 §5.11.4), in bytes. */
const MAX_TAG_BYTES = 36;

/** The longest name of a file on Linux, in bytes. */
const MAX_NAME_BYTES = 255;

/** One `--dir`, as it was asked for. */
export interface WantedShare {
  /** Undefined: its entries lie directly in what the guest mounts. */
  readonly name: string | undefined;
  /** As typed: a path, or the address of an archive. */
  readonly source: { readonly kind: 'path'; readonly path: string } | { readonly kind: 'archive'; readonly url: URL };
  readonly readOnly: boolean;
  readonly tag: string;
}

/**
 * Reads `[NAME:]PATH[:OPTIONS]` (tart-cli §1.3): the last field is a list of options when one of `ro` and `tag=T` is in
 * it, whose unknown others are passed over, and else a part of the path. An address may have a name before it as well
 * (tart-cli §7 #52).
 *
 * @throws TartletError `USAGE` for an empty path, a tag that is empty or too long, and a name that is none for a file.
 */
export function parseShareText(text: string): WantedShare {
  const colon = text.lastIndexOf(':');
  const options = colon < 0 ? undefined : parseOptions(text.slice(colon + 1));
  const rest = options === undefined ? text : text.slice(0, colon);
  const { readOnly, tag } = options ?? NO_OPTIONS;
  requireTag(tag);
  if (isAddress(rest)) return { name: undefined, source: sourceOf(rest, text), readOnly, tag };
  // No name has a slash in it: then the colon belongs to the path.
  const [, name, path = ''] = /^(?:([^:/]*):)?(.*)$/s.exec(rest) ?? [];
  if (name !== undefined) requireName(name, text);
  return { name, source: sourceOf(path, text), readOnly, tag };
}

interface ShareOptions {
  readonly readOnly: boolean;
  readonly tag: string;
}

const NO_OPTIONS: ShareOptions = { readOnly: false, tag: DEFAULT_TAG };

function parseOptions(text: string): ShareOptions | undefined {
  let known = false;
  let options = NO_OPTIONS;
  for (const option of text.split(',')) {
    if (option === 'ro') options = { ...options, readOnly: true };
    else if (option.startsWith('tag=')) options = { ...options, tag: option.slice('tag='.length) };
    else continue;
    known = true;
  }
  return known ? options : undefined;
}

function isAddress(text: string): boolean {
  return /^https?:\/\//.test(text);
}

function sourceOf(text: string, whole: string): WantedShare['source'] {
  if (text === '') throw notUsable(`"${whole}" names no directory`);
  if (!isAddress(text)) return { kind: 'path', path: text };
  if (!URL.canParse(text)) throw notUsable(`"${whole}" is no usable address of an archive`);
  return { kind: 'archive', url: new URL(text) };
}

function requireTag(tag: string): void {
  const bytes = Buffer.byteLength(tag);
  if (bytes === 0) throw notUsable('a tag cannot be empty');
  if (bytes > MAX_TAG_BYTES) throw notUsable(`the tag "${tag}" has ${bytes} bytes, and guests read ${MAX_TAG_BYTES}`);
}

function requireName(name: string, whole: string): void {
  if (!['', '.', '..'].includes(name) && Buffer.byteLength(name) <= MAX_NAME_BYTES) return;
  throw notUsable(`"${whole}" gives a directory a name that no directory can have`);
}

/**
 * What belongs to one tag, in the order of the first of each.
 * @throws TartletError `USAGE` where several of one tag do not all have names, each its own (tart-cli §1.3).
 */
export function sharesByTag(shares: readonly WantedShare[]): ReadonlyMap<string, readonly WantedShare[]> {
  const byTag = new Map<string, WantedShare[]>();
  for (const share of shares) byTag.set(share.tag, [...(byTag.get(share.tag) ?? []), share]);
  for (const [tag, those] of byTag) {
    if (those.length === 1) continue;
    const names = those.map(({ name }) => name);
    if (names.includes(undefined)) {
      throw notUsable(`several directories under the tag "${tag}" need a name each`);
    }
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice !== undefined) throw notUsable(`two directories under the tag "${tag}" are called "${twice}"`);
  }
  return byTag;
}

function notUsable(why: string): TartletError {
  return new TartletError('USAGE', why, { next: { kind: 'write-share' } });
}
