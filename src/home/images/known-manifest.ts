import { isTartletError, systemCode } from '../../errors.ts';
import type { LocalName } from '../../names/local-name.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { Annotation } from '../../oci/annotation.ts';
import { MAX_MANIFEST_BYTES, parseManifest, requireImage } from '../../oci/manifest.ts';
import { parseTartImage, type TartImage } from '../../oci/tart-image.ts';
import { readableNamesIn } from '../../fs/entry-names.ts';
import { HEX } from '../content/content-reference.ts';
import type { Home } from '../home.ts';
import { walkImages } from '../image-walk.ts';
import type { LocalVms } from '../vms/local-vms.ts';
import { OurFile } from '../home-entry.ts';
import { lstatIfThereSync } from '../../fs/stats.ts';
import { readSmallFileIfThereSync } from '../../fs/small-file.ts';
import { VmFile } from '../vm-directory.ts';

/** What a manifest on this machine belongs to. */
export type ManifestOwner =
  | { readonly kind: 'image'; readonly name: RemoteName; readonly directory: string }
  /** A local VM that was cloned from the image; its disk may have changed since. */
  | { readonly kind: 'vm'; readonly name: LocalName; readonly directory: string }
  /** A local VM that was pushed; its disk may have changed since. */
  | { readonly kind: 'pushed'; readonly name: LocalName; readonly directory: string }
  /** An unfinished pull; `hex` is the digest that it is after, and that its lock is named by. */
  | { readonly kind: 'partial'; readonly hex: string; readonly directory: string };

/** A manifest on this machine, understood. */
export interface KnownManifest {
  readonly owner: ManifestOwner;
  readonly image: TartImage;
}

/** Which manifests to look at, and what for. */
export interface ManifestSearch {
  /**
   * Content digests of chunks, as texts. The finder of one takes it out, and what only offers that one is not parsed
   * any more.
   */
  readonly wanted: ReadonlySet<string>;
  /**
   * Images of this repository come first, the newest before the others: they are the most likely to have nearly the
   * same disk.
   */
  readonly near?: RemoteName;
}

/**
 * Every manifest on this machine that names a wanted chunk: cached images, bases of local VMs and what was pushed of
 * them, unfinished pulls. Made for ten thousand images: a manifest is parsed only when its text has one of the digests,
 * and the search ends when nothing is wanted any more. What cannot be read or understood is passed over: it is of
 * no use here, and its owner will hear of it elsewhere.
 */
export function* knownManifests(home: Home, vms: LocalVms, search: ManifestSearch): Generator<KnownManifest> {
  for (const { owner, file } of manifestFiles(home, vms, search.near)) {
    if (search.wanted.size === 0) return;
    const bytes = readIfSmall(file);
    if (bytes === undefined || !namesContent(bytes, search.wanted)) continue;
    const image = understand(bytes, owner.directory);
    if (image !== undefined) yield { owner, image };
  }
}

/** The manifest of the image that a VM was cloned from, when its directory keeps one that can be understood. */
export function baseManifest(directory: string): TartImage | undefined {
  const bytes = readIfSmall(`${directory}/${OurFile.baseManifest}`);
  return bytes === undefined ? undefined : understand(bytes, directory);
}

/** The manifest of a cached image, when it can be understood. */
export function imageManifest(directory: string): TartImage | undefined {
  const bytes = readIfSmall(`${directory}/${VmFile.manifest}`);
  return bytes === undefined ? undefined : understand(bytes, directory);
}

interface ManifestFile {
  readonly owner: ManifestOwner;
  readonly file: string;
}

function* manifestFiles(home: Home, vms: LocalVms, near: RemoteName | undefined): Generator<ManifestFile> {
  const images = walkImages(home).entries.filter((entry) => entry.kind === 'digest');
  const isNear = ({ name }: { name: RemoteName }): boolean => name.repositoryName === near?.repositoryName;
  const related =
    near === undefined ? [] : images.filter(isNear).map((each) => ({ ...each, age: -writtenAt(home, each.path) }));
  const others = near === undefined ? images : images.filter((each) => !isNear(each));
  for (const { name, path } of [...related.sort((a, b) => a.age - b.age), ...others]) {
    yield { owner: { kind: 'image', name, directory: path }, file: `${path}/${VmFile.manifest}` };
  }
  for (const { name, directory } of vms.list()) {
    yield { owner: { kind: 'vm', name, directory: directory.path }, file: `${directory.path}/${OurFile.baseManifest}` };
    yield {
      owner: { kind: 'pushed', name, directory: directory.path },
      file: `${directory.path}/${OurFile.pushedManifest}`,
    };
  }
  for (const hex of readableNamesIn(home.stagingDirectory).filter((name) => HEX.test(name))) {
    const directory = `${home.stagingDirectory}/${hex}`;
    yield { owner: { kind: 'partial', hex, directory }, file: `${directory}/${VmFile.manifest}` };
  }
}

/**
 * Whether the text of a manifest names one of these contents. It looks for the values of one annotation and at nothing
 * else, which takes a tenth of the time of parsing; an exotic spelling that it does not see only means that a chunk is
 * fetched.
 *
 * @internal exported for its test.
 */
export function namesContent(manifest: Uint8Array, wanted: ReadonlySet<string>): boolean {
  const text = Buffer.from(manifest.buffer, manifest.byteOffset, manifest.length).toString('latin1');
  const key = `${Annotation.contentDigest}"`;
  for (let at = text.indexOf(key); at >= 0; at = text.indexOf(key, at)) {
    const from = text.indexOf('"', at + key.length) + 1;
    const to = text.indexOf('"', from);
    if (from === 0 || to < 0) return false;
    if (wanted.has(text.slice(from, to))) return true;
    at = to;
  }
  return false;
}

function understand(bytes: Uint8Array, subject: string): TartImage | undefined {
  try {
    return parseTartImage(requireImage(parseManifest(bytes), subject), subject);
  } catch (error) {
    if (isTartletError(error)) return undefined;
    throw error;
  }
}

function readIfSmall(file: string): Uint8Array | undefined {
  try {
    return readSmallFileIfThereSync(file, MAX_MANIFEST_BYTES);
  } catch (cause) {
    if (systemCode(cause) !== undefined || isTartletError(cause)) return undefined;
    throw cause;
  }
}

/** Milliseconds since the epoch; 0 where that cannot be found out. */
function writtenAt(home: Home, directory: string): number {
  return home.unreadable.passOver(directory, () => lstatIfThereSync(directory))?.mtimeMs ?? 0;
}

function sizeOf(file: string): number | undefined {
  return lstatIfThereSync(file)?.size;
}

/** Whether some cached image has a disk of exactly this length: what Tart cloned from it, Tart left no record of. */
export function hasImageOfSize(home: Home, bytes: number): boolean {
  return walkImages(home).entries.some(
    ({ kind, path }) =>
      kind === 'digest' && home.unreadable.passOver(path, () => sizeOf(`${path}/${VmFile.disk}`)) === bytes,
  );
}
