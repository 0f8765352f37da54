import { isTartletError, TartletError } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { parseManifest, requireImage } from '../oci/manifest.ts';
import { parseTartImage, type TartImage } from '../oci/tart-image.ts';
import type { ManifestReference, RawManifest, RegistryClient } from '../registry/client.ts';
import type { Session } from './session.ts';
import { notClonable, requireStorable } from './stacked-download.ts';

/**
 * The manifest that a name leads to now.
 * @throws TartletError `DIGEST_MISMATCH` when the name has a digest and it is another one, and those of the registry client.
 */
export async function askForManifest(session: Session, name: RemoteName, client: RegistryClient): Promise<RawManifest> {
  const raw = await client.manifest(manifestReference(name), { signal: session.signal });
  requireAgreement(name, raw.digest);
  return raw;
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
    next: 'leave out the tag to pull that digest, or the digest to pull what the tag leads to now',
  });
}

/**
 * What a manifest means.
 * @param accept which images will do.
 * @throws TartletError `MANIFEST_INVALID`, `MEDIA_UNSUPPORTED`
 */
export function understandImage(raw: RawManifest, name: RemoteName, accept: 'any' | 'flat'): TartImage {
  const image = parse(raw, name);
  if (image.layout === 'flat') return image;
  if (accept === 'flat') throw notClonable(name.toString());
  requireStorable(image, name.toString());
  return image;
}

function parse(raw: RawManifest, name: RemoteName): TartImage {
  const subject = name.toString();
  try {
    return parseTartImage(requireImage(parseManifest(raw.bytes, raw.mediaType), subject), subject);
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
