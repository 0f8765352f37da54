import { isTartletError, systemCode } from '../../errors.ts';
import { diskError } from '../../fs/disk-error.ts';
import type { CachedImage } from '../../home/images/image-cache.ts';
import { readPlainFile } from '../../fs/plain-file.ts';
import { VmFile } from '../../home/vm-folder.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { parseManifest, requireImage } from '../../oci/manifest.ts';
import { parseTartImage, stackedFiles } from '../../oci/tart-image.ts';
import type { Session } from '../../session/session.ts';

/** How much of an image is on this machine. */
export type Presence =
  | { readonly kind: 'absent' }
  | { readonly kind: 'complete'; readonly image: CachedImage }
  /** A stacked image whose record is here, and some of its files in the content store are not. */
  | { readonly kind: 'lacks-content'; readonly image: CachedImage };

/**
 * Looks for an image without any network. A flat image is complete when its folder is; a stacked one also needs its files in the content
 * store, and its record the very manifest that its digest names: nothing else says which files these are.
 */
export async function findPresence(session: Session, name: RemoteName): Promise<Presence> {
  const image = await session.images.find(name);
  if (image === undefined) return { kind: 'absent' };
  if (image.folder.layout === 'standalone') return { kind: 'complete', image };
  const bytes = await readManifest(`${image.folder.path}/${VmFile.manifest}`);
  try {
    const stacked = parseTartImage(requireImage(parseManifest(bytes), name.toString()), name.toString());
    if (stacked.layout !== 'stacked' || !stacked.manifest.digest.equals(image.digest)) return { kind: 'absent' };
    const missing = await session.contents.missing(stackedFiles(stacked));
    return { kind: missing.length === 0 ? 'complete' : 'lacks-content', image };
  } catch (error) {
    if (isTartletError(error, 'MANIFEST_INVALID', 'MANIFEST_TOO_LARGE', 'MEDIA_UNSUPPORTED')) return { kind: 'absent' };
    throw error;
  }
}

async function readManifest(file: string): Promise<Uint8Array> {
  try {
    return await readPlainFile(file);
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return new Uint8Array();
    throw diskError(cause, 'read', file);
  }
}
