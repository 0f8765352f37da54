import path from 'node:path';
import { linkText, realPathOf } from '../../fs/stats.ts';
import type { Home } from '../home.ts';
import { IMAGES_INFIX } from '../home-entry.ts';
import type { CacheWalk } from '../image-walk.ts';
import { isDigestDirectory } from '../layout.ts';

/** Which images the symlinks of the cache lead to. */
export class ImageReferences {
  readonly #imagesDirectory: string;
  /** Real paths of the directories that some symlink names, whether or not an image is there. */
  readonly #directories = new Set<string>();
  /** Real paths of directories that were asked for: many symlinks lie in one. */
  readonly #places = new Map<string, string>();
  /** Whether there may be symlinks that could not be looked at: then any image may be wanted. */
  #hasUnseen = false;
  /**
   * Digests in the texts of symlinks that cannot be followed, e.g. into a directory of another user: they may lead to
   * any image.
   */
  readonly #unclear = new Set<string>();

  constructor(imagesDirectory: string) {
    this.#imagesDirectory = this.#place(imagesDirectory);
  }

  /**
   * Counts a symlink. It names the directory that it leads to; and, since it leads nowhere or into the old home when
   * its home was moved or copied, the directory of its digest beside it, and the one that its text names below the
   * images of any home. The same digest in another repository is another image: it has tags of its own, or none.
   *
   * @param text what the symlink says.
   */
  add(link: string, text: string): void {
    const target = realPathOf(link);
    if (target.kind === 'there') this.#directories.add(target.path);
    const digest = path.basename(text);
    if (!isDigestDirectory(digest)) return;
    if (target.kind === 'unclear') this.#unclear.add(digest);
    this.#directories.add(`${this.#place(path.dirname(link))}/${digest}`);
    const at = text.lastIndexOf(IMAGES_INFIX);
    if (at !== -1) this.#directories.add(`${this.#imagesDirectory}/${text.slice(at + IMAGES_INFIX.length)}`);
  }

  /** Counts what may be a symlink, or have symlinks in it, and cannot be looked at. */
  addUnseen(): void {
    this.#hasUnseen = true;
  }

  /** Whether any symlink names this directory, or may do so. */
  name(directory: string): boolean {
    if (this.#hasUnseen) return true;
    return this.#directories.has(this.#place(directory)) || this.#unclear.has(path.basename(directory));
  }

  #place(directory: string): string {
    const known = this.#places.get(directory);
    if (known !== undefined) return known;
    const found = realPathOf(directory);
    const real = found.kind === 'there' ? found.path : directory;
    this.#places.set(directory, real);
    return real;
  }
}

/**
 * Looks at every symlink of the cache, those with names we cannot have included. More careful than Tart, which counts
 * only symlinks that resolve (tart-formats §1.5): in a home that was moved none does, and all images are still wanted.
 * So they are while part of the cache cannot be looked at.
 */
export function imageReferences(home: Home, { entries, foreign, unreadable }: CacheWalk): ImageReferences {
  const references = new ImageReferences(home.imagesDirectory);
  if (unreadable.length > 0) references.addUnseen();
  for (const link of [...entries.map((entry) => entry.path), ...foreign]) {
    const read = home.unreadable.passOver(link, () => ({ text: linkText(link) }));
    if (read === undefined) references.addUnseen();
    else if (read.text !== undefined) references.add(link, read.text);
  }
  return references;
}
