import { LocalName } from '../../names/local-name.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { type Footprint, measureDirectory } from './footprint.ts';
import type { KeptBy } from '../images/image-removal.ts';
import type { Store } from './prune-candidate.ts';

/** What became of a name that was deleted. A footprint is undefined where it could not be looked at before. */
export type Deleted =
  | { readonly kind: 'vm' | 'image'; readonly footprint: Footprint | undefined }
  /** Only the tag went. */
  | { readonly kind: 'tag'; readonly keptBy: KeptBy | undefined };

/**
 * Deletes a local VM, or an image or a tag, and tells what that made free.
 *
 * @throws TartletError as `LocalVms.delete` and `ImageCache.delete`.
 */
export async function deleteMeasured(store: Store, name: LocalName | RemoteName): Promise<Deleted> {
  if (name instanceof LocalName) {
    const footprint = await footprintOf(store, store.vms.pathOf(name));
    await store.vms.delete(name);
    return { kind: 'vm', footprint };
  }
  const image = await store.images.find(name);
  const footprint = image === undefined ? undefined : await footprintOf(store, image.directory.path);
  const removed = await store.images.delete(name);
  return removed.kind === 'tag' ? removed : { kind: 'image', footprint };
}

/** What cannot be measured is deleted all the same. */
async function footprintOf(store: Store, directory: string): Promise<Footprint | undefined> {
  try {
    return await measureDirectory(store, directory);
  } catch {
    return undefined;
  }
}
