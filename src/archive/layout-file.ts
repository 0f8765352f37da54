import type { Digest } from '../names/digest.ts';

/** Names of files in an OCI image layout (image-spec, image-layout.md). */
export const LayoutFile = {
  /** Says that this is a layout, and of which version. */
  marker: 'oci-layout',
  /** The images in it. */
  index: 'index.json',
} as const;

/** What {@link LayoutFile.marker} holds. */
export const LAYOUT_MARKER = '{"imageLayoutVersion":"1.0.0"}';

/** The annotation of an index entry that names the image; tools choose by it. */
export const REF_NAME = 'org.opencontainers.image.ref.name';

const LAYOUT_FILE = /^(?:oci-layout|index\.json|blobs\/(?:sha256\/[0-9a-f]{64}|sha512\/[0-9a-f]{128}))$/;

/** Where a blob lies in a layout. */
export function blobFile(digest: Digest): string {
  return `blobs/${digest.algorithm}/${digest.hex}`;
}

/** Whether a name belongs to the layout. There are no others that we look at. */
export function isLayoutFile(name: string): boolean {
  return LAYOUT_FILE.test(name);
}
