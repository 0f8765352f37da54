import path from 'node:path';
import { linkText, realPathOf } from '../../fs/stats.ts';
import type { Home } from '../home.ts';
import { IMAGES_INFIX } from '../home-entry.ts';
import type { CacheWalk } from '../image-walk.ts';
import { isDigestFolder } from '../layout.ts';

/** Which images the links of the cache lead to. */
export class ImageReferences {
  readonly #imagesFolder: string;
  /** Real paths of the folders that some link names, whether or not an image is there. */
  readonly #folders = new Set<string>();
  /** Real paths of folders that were asked for: many links lie in one. */
  readonly #places = new Map<string, string>();
  /** Whether there may be links that could not be looked at: then any image may be wanted. */
  #hasUnseen = false;
  /**
   * Digests in the texts of links that cannot be followed, e.g. into a folder of another user: they may lead to any
   * image.
   */
  readonly #unclear = new Set<string>();

  constructor(imagesFolder: string) {
    this.#imagesFolder = this.#place(imagesFolder);
  }

  /**
   * Counts a link. It names the folder that it leads to; and, since it leads nowhere or into the old home when its home
   * was moved or copied, the folder of its digest beside it, and the one that its text names below the images of any
   * home. The same digest in another repository is another image: it has tags of its own, or none.
   *
   * @param text what the link says.
   */
  add(link: string, text: string): void {
    const target = realPathOf(link);
    if (target.kind === 'there') this.#folders.add(target.path);
    const digest = path.basename(text);
    if (!isDigestFolder(digest)) return;
    if (target.kind === 'unclear') this.#unclear.add(digest);
    this.#folders.add(`${this.#place(path.dirname(link))}/${digest}`);
    const at = text.lastIndexOf(IMAGES_INFIX);
    if (at !== -1) this.#folders.add(`${this.#imagesFolder}/${text.slice(at + IMAGES_INFIX.length)}`);
  }

  /** Counts what may be a link, or have links in it, and cannot be looked at. */
  addUnseen(): void {
    this.#hasUnseen = true;
  }

  /** Whether any link names this folder, or may do so. */
  name(folder: string): boolean {
    if (this.#hasUnseen) return true;
    return this.#folders.has(this.#place(folder)) || this.#unclear.has(path.basename(folder));
  }

  #place(folder: string): string {
    const known = this.#places.get(folder);
    if (known !== undefined) return known;
    const found = realPathOf(folder);
    const real = found.kind === 'there' ? found.path : folder;
    this.#places.set(folder, real);
    return real;
  }
}

/**
 * Looks at every link of the cache, those with names we cannot have included. More careful than Tart, which counts only links that resolve
 * (tart-formats §1.5): in a home that was moved none does, and all images are still wanted.
 * So they are while part of the cache cannot be looked at.
 */
export function imageReferences(home: Home, { entries, foreign, unreadable }: CacheWalk): ImageReferences {
  const references = new ImageReferences(home.imagesFolder);
  if (unreadable.length > 0) references.addUnseen();
  for (const link of [...entries.map((entry) => entry.path), ...foreign]) {
    const read = home.unreadable.passOver(link, () => ({ text: linkText(link) }));
    if (read === undefined) references.addUnseen();
    else if (read.text !== undefined) references.add(link, read.text);
  }
  return references;
}
