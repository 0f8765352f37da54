import { isTartletError } from '../../errors.ts';
import { readSmallFileIfThere } from '../../fs/small-file.ts';
import { VmFile } from '../../home/vm-directory.ts';
import type { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { parseManifest, requireImage } from '../../oci/manifest.ts';
import { parseTartImage, stackedFiles, type TartImage } from '../../oci/tart-image.ts';
import type { RawManifest } from '../../registry/client.ts';
import type { Session } from '../../session/session.ts';

/**
 * How much of an image is on this machine; `lacks-content`: a stacked image whose record is here, and some of its files
 * in the content store are not.
 */
export type Presence = 'absent' | 'lacks-content' | 'complete';

/**
 * What a pull brings. Filled once, when the registry has said what the name leads to; under the image's lock
 * {@link lookAgain} makes another one of it. No later stage works out anew what the name means.
 */
export interface PullTarget<Image extends TartImage = TartImage> {
  /** As it was typed. */
  readonly name: RemoteName;
  /** Of the image's own manifest. */
  readonly digest: Digest;
  readonly manifest: RawManifest;
  readonly image: Image;
  readonly presence: Presence;
  /** Marks the directory of an image that gets no name. Default: it gets the one that was typed. */
  readonly mark?: MarkImage | undefined;
}

/** Marks the directory of an image, before others see it where it is new. */
export type MarkImage = (directory: string) => Promise<void>;

/** The target for an image that is understood already. */
export function pullTarget<Image extends TartImage>(
  name: RemoteName,
  image: Image,
  presence: Presence,
): PullTarget<Image> {
  const { manifest } = image;
  return { name, digest: manifest.digest, manifest, image, presence };
}

/** The same target with what is here of it now. */
export async function lookAgain(session: Session, target: PullTarget): Promise<PullTarget> {
  return { ...target, presence: await findPresence(session, target.name.withDigest(target.digest)) };
}

/**
 * Looks for an image without any network. A flat image is complete when its directory is; a stacked one also needs its
 * files in the content store, and its record the very manifest that its digest names: nothing else says which files
 * these are.
 */
export async function findPresence(session: Session, name: RemoteName): Promise<Presence> {
  const image = await session.images.find(name);
  if (image === undefined) return 'absent';
  if (image.directory.layout === 'standalone') return 'complete';
  const bytes = await readManifest(`${image.directory.path}/${VmFile.manifest}`);
  try {
    const stacked = parseTartImage(requireImage(parseManifest(bytes), name.toString()), name.toString());
    if (stacked.layout !== 'stacked' || !stacked.manifest.digest.equals(image.digest)) return 'absent';
    const missing = await session.contents.missing(stackedFiles(stacked));
    return missing.length === 0 ? 'complete' : 'lacks-content';
  } catch (error) {
    if (isTartletError(error, 'MANIFEST_INVALID', 'MANIFEST_TOO_LARGE', 'MEDIA_UNSUPPORTED')) return 'absent';
    throw error;
  }
}

async function readManifest(file: string): Promise<Uint8Array> {
  return (await readSmallFileIfThere(file)) ?? new Uint8Array();
}
