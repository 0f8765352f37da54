import path from 'node:path';
import type { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { exists, linkText } from '../../fs/stats.ts';
import { TO_DELETE, whileHeld } from '../images/image-lock.ts';
import { tidyRepository } from '../images/image-removal.ts';
import { decodeDigestDirectory } from '../layout.ts';
import { removeLink } from '../link.ts';
import type { Store } from './prune-candidate.ts';

/** A tag whose image is gone. */
export interface DanglingTag {
  readonly name: RemoteName;
  readonly path: string;
  /** What the symlink says. */
  readonly text: string;
  readonly digest: Digest;
}

/**
 * Tags that lead to nothing. One whose image lies where this home would put it counts as good although its text leads
 * elsewhere: the home was moved, and symlinks are absolute (tart-cli §7 #19). So does one that leads where we cannot
 * look.
 */
export async function danglingTags(store: Store): Promise<DanglingTag[]> {
  const dangling: DanglingTag[] = [];
  for (const { kind, name, path: link } of store.images.walk().entries) {
    const text = kind === 'tag' ? store.home.unreadable.passOver(link, () => linkText(link)) : undefined;
    const digest = text === undefined ? undefined : decodeDigestDirectory(path.basename(text));
    if (text === undefined || digest === undefined) continue;
    const tag = { name, path: link, text, digest };
    if (await isDangling(store, tag)) dangling.push(tag);
  }
  return dangling;
}

async function isDangling(store: Store, tag: DanglingTag): Promise<boolean> {
  const target = path.resolve(path.dirname(tag.path), tag.text);
  const isThere = await store.home.unreadable.passOverLater(
    tag.path,
    async () => (await exists(target)) || exists(store.images.directoryOf(tag.name, tag.digest)),
  );
  return isThere === false;
}

/**
 * Removes a dangling tag unless another process pulls its image now, or has made it lead elsewhere since.
 *
 * @returns whether it was removed.
 * @throws TartletError `DISK_*`
 */
export async function removeDanglingTag(store: Store, tag: DanglingTag): Promise<boolean> {
  const removed = await whileHeld(
    store.images,
    tag.digest,
    TO_DELETE,
    async () => isDangling(store, tag),
    async (stillDangling) => {
      if (!stillDangling || !(await removeLink(tag.path, tag.text, store.home.stagingDirectory))) return false;
      await tidyRepository(store.home, path.dirname(tag.path));
      return true;
    },
  );
  return removed === true;
}
