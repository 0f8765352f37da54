import { isTartletError, TartletError } from '../errors.ts';
import { type IndexManifest, MAX_MANIFEST_BYTES, parseManifest } from '../oci/manifest.ts';
import { isImageManifestType } from '../oci/media-type.ts';
import { shown } from '../oci/shown.ts';
import { parseTartImage, type TartImage } from '../oci/tart-image.ts';
import { brokenArchive, otherArchive } from './archive-error.ts';
import { LayoutFile, REF_NAME } from './layout-file.ts';
import type { OciLayout } from './oci-layout.ts';

/** Images that are looked into; a layout of more needs a reference. */
const MAX_CANDIDATES = 1000;

/** References that a message lists. */
const LISTED = 8;

type Entry = IndexManifest['manifests'][number];

interface Candidate {
  readonly entry: Entry;
  readonly image: TartImage;
}

/**
 * The VM image of a layout: the one with the given reference, or the only one. Its manifest is verified and understood;
 * its blobs are not looked at.
 *
 * @param reference a name in the index (`org.opencontainers.image.ref.name`), or a digest of it.
 * @throws TartletError `MEDIA_UNSUPPORTED` when there is none, `USAGE` when there are several, `NOT_FOUND` when none
 * has the reference, and whatever is wrong with the documents.
 */
export async function chooseImage(
  layout: OciLayout,
  reference: string | undefined,
  signal: AbortSignal,
): Promise<TartImage> {
  const entries = await readIndex(layout);
  const wanted = reference === undefined ? entries : entries.filter((entry) => isNamed(entry, reference));
  if (reference !== undefined && wanted.length === 0) throw noSuchReference(layout, reference, entries);
  if (wanted.length > MAX_CANDIDATES) throw several(layout, wanted);
  const found: Candidate[] = [];
  let failure: unknown;
  for (const entry of wanted) {
    signal.throwIfAborted();
    try {
      found.push({ entry, image: await readImage(layout, entry) });
    } catch (error) {
      // An image of another kind beside ours is none of our business; a broken one is, since it may be the one that was
      // meant.
      if (!isTartletError(error, 'MEDIA_UNSUPPORTED')) throw error;
      failure ??= error;
    }
  }
  const [first, ...more] = found;
  if (first === undefined) {
    if (wanted.length === 1) throw failure;
    throw otherArchive(layout.archive, `an OCI image layout without a VM image in it (${wanted.length} others)`, {
      kind: 'check-file',
    });
  }
  const { digest } = first.image.manifest;
  if (more.some(({ image }) => !image.manifest.digest.equals(digest))) {
    throw several(
      layout,
      found.map(({ entry }) => entry),
    );
  }
  return first.image;
}

async function readIndex(layout: OciLayout): Promise<readonly Entry[]> {
  const index = parseManifest(await layout.file(LayoutFile.index, MAX_MANIFEST_BYTES));
  if (index.kind === 'index') return index.manifests;
  throw brokenArchive(layout.archive, `its ${LayoutFile.index} is an image, not a list of images`);
}

async function readImage(layout: OciLayout, entry: Entry): Promise<TartImage> {
  const name = entry.annotations.get(REF_NAME) ?? entry.digest.toString();
  if (!isImageManifestType(entry.mediaType)) {
    throw new TartletError(
      'MEDIA_UNSUPPORTED',
      `${shown(name)} in ${layout.archive} is of type "${shown(entry.mediaType)}", not an image`,
      { subject: layout.archive },
    );
  }
  const bytes = await layout.smallBlob(entry, `manifest of ${shown(name)}`, MAX_MANIFEST_BYTES);
  const manifest = parseManifest(bytes, entry.mediaType);
  if (manifest.kind !== 'image') throw brokenArchive(layout.archive, `${shown(name)} is not the image it claims to be`);
  return parseTartImage(manifest, shown(name));
}

function isNamed(entry: Entry, reference: string): boolean {
  return entry.annotations.get(REF_NAME) === reference || entry.digest.toString() === reference;
}

function several(layout: OciLayout, entries: readonly Entry[]): TartletError {
  return new TartletError('USAGE', `${layout.archive} holds ${entries.length} VM images: ${listed(entries)}`, {
    subject: layout.archive,
    kept: 'nothing was changed',
    next: { kind: 'choose-reference' },
  });
}

function noSuchReference(layout: OciLayout, reference: string, entries: readonly Entry[]): TartletError {
  const offers = entries.length === 0 ? 'nothing' : listed(entries);
  return new TartletError('NOT_FOUND', `${layout.archive} has no image "${shown(reference)}"; it has ${offers}`, {
    subject: layout.archive,
    kept: 'nothing was changed',
    next: { kind: 'choose-reference-or-none' },
  });
}

function listed(entries: readonly Entry[]): string {
  const names = entries
    .slice(0, LISTED)
    .map((entry) => shown(entry.annotations.get(REF_NAME) ?? entry.digest.toString()));
  return entries.length > LISTED ? `${names.join(', ')} and ${entries.length - LISTED} more` : names.join(', ');
}
