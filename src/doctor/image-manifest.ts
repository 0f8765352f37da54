import { isTartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import { canonicalJson, type JsonValue } from '../oci/canonical-json.ts';
import { MAX_MANIFEST_BYTES, parseManifest, requireImage } from '../oci/manifest.ts';
import { parseTartImage, type TartImage } from '../oci/tart-image.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { ImagePlace } from './finding.ts';
import { readSmallFile } from '../fs/probe.ts';

/** What the `manifest.json` of an image directory is worth (tart-formats §1.6). */
export type ManifestVerdict =
  /** None, as in images of Tart before 2.14. */
  | { readonly kind: 'absent' }
  /**
   * `isOriginal`: these are the bytes that the directory's digest names. Otherwise Tart 2.14 to 2.35 wrote them anew,
   * and they say the same unless the file was edited.
   */
  | { readonly kind: 'image'; readonly image: TartImage; readonly isOriginal: boolean }
  /** The right bytes, or bytes that may be right, of an image that we do not understand. */
  | { readonly kind: 'foreign'; readonly why: string }
  | { readonly kind: 'unreadable'; readonly why: string }
  /** Neither the bytes that the digest names, nor a form in which Tart would have written them. */
  | { readonly kind: 'mismatch'; readonly found: string };

/**
 * Reads the manifest of an image directory, as far as it can be trusted.
 *
 * @param isVerbatim whether the program that made the directory keeps the registry's bytes as they are: Tartlet does.
 */
export function readImageManifest(place: ImagePlace, isVerbatim: boolean): ManifestVerdict {
  const read = readSmallFile(`${place.path}/${VmFile.manifest}`, MAX_MANIFEST_BYTES);
  if (read.kind === 'gone') return { kind: 'absent' };
  if (read.kind === 'failed') return { kind: 'unreadable', why: read.why };
  const found = Digest.of(read.value);
  const isOriginal = found.equals(place.digest);
  try {
    if (!isOriginal && (isVerbatim || !isCanonical(read.value))) return { kind: 'mismatch', found: found.toString() };
    const subject = place.name?.toString() ?? place.path;
    const image = parseTartImage(requireImage(parseManifest(read.value), subject), subject);
    return { kind: 'image', image, isOriginal };
  } catch (error) {
    if (!isTartletError(error)) throw error;
    return { kind: 'foreign', why: error.message };
  }
}

/** Whether Tart could have written these bytes itself: what is not JSON at all, it never did. */
function isCanonical(bytes: Buffer): boolean {
  try {
    return bytes.equals(canonicalJson(JSON.parse(bytes.toString('utf8')) as JsonValue));
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
