import { isTartletError, TartletError } from '../../errors.ts';
import type { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { type IndexManifest, parseManifest, requireImage } from '../../oci/manifest.ts';
import { isImageManifestType } from '../../oci/media-type.ts';
import { parseTartImage, type TartImage } from '../../oci/tart-image.ts';
import type { ManifestReference, RawManifest } from '../../registry/client.ts';
import type { ManifestSource } from '../../registry/contract.ts';
import { onlyVmImage } from './index-choice.ts';
import type { Session } from '../../session/session.ts';
import { notClonable, requireStorable } from './stacked-download.ts';

/** The manifest of the image that a name means. */
export interface AskedManifest extends RawManifest {
  /** What the name itself leads to, when that is an index around the image. */
  readonly index?: Digest;
}

/**
 * The manifest that a name leads to now: of the image, or of the one VM image in an index. Of an index, what is kept
 * afterwards is the image under the digest of its own manifest, as if it had been tagged itself: the cache of Tart
 * knows nothing else.
 * @param accept which images of an index will do.
 * @throws TartletError `DIGEST_MISMATCH` when the name has a digest and it is another one, `MEDIA_UNSUPPORTED` for an
 *   index of several VM images or none, and those of the registry client.
 */
export async function askForManifest(
  session: Session,
  name: RemoteName,
  client: ManifestSource,
  accept: 'any' | 'flat' = 'any',
): Promise<AskedManifest> {
  const isMeant = ({ digest, mediaType }: RawManifest): boolean =>
    name.digest === undefined || name.digest.equals(digest) || !isImageManifestType(mediaType);
  const raw = await client.manifest(manifestReference(name), { signal: session.signal, isMeant });
  const index = indexOf(raw, name);
  if (index === undefined) {
    requireAgreement(name, raw.digest);
    return raw;
  }
  const image = await onlyVmImage(client, index, name, accept, session.signal);
  if (name.digest?.equals(image.digest) !== true) requireAgreement(name, raw.digest);
  const text =
    `${name.toString()} is the index ${raw.digest.toString()}: taking its one VM image, ` + image.digest.toString();
  session.emit({ kind: 'note', subject: name.toString(), text });
  return { ...image, index: raw.digest };
}

/** An index; everything else is for {@link understandImage}, which parses it whole. */
function indexOf(raw: RawManifest, name: RemoteName): IndexManifest | undefined {
  if (isImageManifestType(raw.mediaType)) return undefined;
  const manifest = explained(name.toString(), () => parseManifest(raw.bytes, raw.mediaType));
  return manifest.kind === 'index' ? manifest : undefined;
}

function manifestReference(name: RemoteName): ManifestReference {
  const { reference } = name;
  return reference.kind === 'digest' ? { digest: reference.digest } : { tag: reference.tag };
}

/** A name with a tag and a digest is a claim about the tag, and a wrong claim is not pulled. */
function requireAgreement(name: RemoteName, found: Digest): void {
  if (name.digest === undefined || name.digest.equals(found)) return;
  throw new TartletError('DIGEST_MISMATCH', `the tag of ${name.toString()} leads to ${found.toString()}`, {
    subject: name.toString(),
    expected: name.digest.toString(),
    found: found.toString(),
    next: { kind: 'choose-tag-or-digest', to: 'pull' },
  });
}

/**
 * What a manifest means.
 * @param subject the image, for messages.
 * @param accept which images will do.
 * @throws TartletError `MANIFEST_INVALID`, `MEDIA_UNSUPPORTED`
 */
export function understandImage(raw: RawManifest, subject: string, accept: 'any' | 'flat'): TartImage {
  const image = explained(subject, () =>
    parseTartImage(requireImage(parseManifest(raw.bytes, raw.mediaType), subject), subject),
  );
  if (image.layout === 'flat') return image;
  if (accept === 'flat') throw notClonable(subject);
  requireStorable(image, subject);
  return image;
}

function explained<Result>(subject: string, parsing: () => Result): Result {
  try {
    return parsing();
  } catch (error) {
    if (!isTartletError(error, 'MANIFEST_INVALID')) throw error;
    // The parser knows which field is wrong, but not whose.
    throw new TartletError('MANIFEST_INVALID', `${subject} cannot be used: ${error.message}`, {
      ...error.facts,
      subject,
      kept: 'nothing was changed',
    });
  }
}
