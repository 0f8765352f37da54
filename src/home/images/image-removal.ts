import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { TartletError } from '../../errors.ts';
import type { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import type { ContentStore } from '../content/content-store.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { removeEmptyTree } from '../../fs/directory-tree.ts';
import { removeDirectory } from '../../fs/publish.ts';
import type { Home } from '../home.ts';
import { type ImageLocks, whileHeld } from './image-lock.ts';
import { hasMark } from './image-mark.ts';
import { notCached } from './not-cached.ts';
import { imageReferences } from './image-reference.ts';
import { linksIn, walkImages } from '../image-walk.ts';
import { decodeDigestDirectory, digestPath, referencePath } from '../layout.ts';
import { leftoverLinks, removeLink } from '../link.ts';
import { removeEntry } from '../../fs/remove.ts';
import { kindOf, linkText } from '../../fs/stats.ts';
import { lookAtVmDirectory, VmFile } from '../vm-directory.ts';

/** Why an image stays although a tag of it went. */
export type KeptBy = 'tag' | 'explicit-pull' | 'pin';

/** What a removal took: an image with all its tags, or a tag alone. */
export type Removed =
  | { readonly kind: 'image' }
  /** `keptBy` is undefined when the tag led to no image. */
  | { readonly kind: 'tag'; readonly keptBy: KeptBy | undefined };

interface Link {
  readonly link: string;
  readonly text: string;
}

/**
 * Takes tags and images out of the cache: symlinks first, then the directory as one rename, so that no tag ever leads
 * to nothing.
 */
export class ImageRemoval {
  readonly #home: Home;
  readonly #contents: ContentStore;
  readonly #locks: ImageLocks;

  constructor(home: Home, contents: ContentStore, locks: ImageLocks) {
    this.#home = home;
    this.#contents = contents;
    this.#locks = locks;
  }

  /**
   * Deletes a tag, and its image with it when nothing else keeps it; or an image, and all tags that lead to it
   * (tart-cli §1.18).
   *
   * @throws TartletError `VM_NOT_FOUND`, or `BUSY` while another process pulls or reads the image, and for the digest
   * of one that is pinned.
   */
  async delete(name: RemoteName): Promise<Removed> {
    const at = `${this.#home.imagesDirectory}/${referencePath(name)}`;
    const kind = await kindOf(at);
    if (kind === 'nothing' || (name.tag !== undefined && kind !== 'link')) throw notCached(name, 'delete');
    const text = linkText(at);
    const digest = name.tag === undefined ? name.digest : decodeDigestDirectory(path.basename(text ?? ''));
    if (digest === undefined) {
      // A symlink to something that is no image: only the symlink is ours.
      if (text !== undefined) await removeLink(at, text, this.#home.stagingDirectory);
      await tidyRepository(this.#home, path.dirname(at));
      return { kind: 'tag', keptBy: undefined };
    }
    const removed = await whileHeld(
      this.#locks,
      digest,
      { mode: 'exclusive', wait: false },
      async () => (name.tag === undefined ? this.#refusePinned(name, digest) : undefined),
      async () => this.deleteLocked(name, digest),
    );
    if (removed === 'busy') throw inUse(name);
    return removed;
  }

  /**
   * The same for a caller that holds the image's lock already, exclusively, and has checked whether it is pinned.
   * @param tags that were seen to lead to it before, by a caller that deletes many: only they and those of its own
   * repository are looked at then, and not the whole cache for each. No process links an image whose lock we hold, and
   * one that was linked since it was seen counts as used.
   */
  async deleteLocked(name: RemoteName, digest: Digest, tags?: readonly RemoteName[]): Promise<Removed> {
    const directory = `${this.#home.imagesDirectory}/${digestPath(name, digest)}`;
    const links = await this.#linksToGo(name, digest, tags);
    for (const { link, text } of links) await removeLink(link, text, this.#home.stagingDirectory);
    await this.#removeLeftovers(path.dirname(directory), digest);
    const removed = await this.#removeDirectory(name, directory);
    for (const each of new Set([directory, ...links.map(({ link }) => link)].map((place) => path.dirname(place))))
      await tidyRepository(this.#home, each);
    return removed;
  }

  async #removeDirectory(name: RemoteName, directory: string): Promise<Removed> {
    if ((await kindOf(directory)) !== 'directory') return { kind: 'tag', keptBy: undefined };
    const keptBy = name.tag === undefined ? undefined : await this.#keptBy(directory);
    if (keptBy !== undefined) return { kind: 'tag', keptBy };
    await whileMoving(this.#contents, [directory], async () =>
      removeDirectory(directory, this.#home.stagingDirectory, VmFile.config),
    );
    return { kind: 'image' };
  }

  /**
   * A tag goes wherever it leads, e.g. into the home that this one was copied from. With an image all go that lead to
   * it.
   */
  async #linksToGo(name: RemoteName, digest: Digest, tags: readonly RemoteName[] | undefined): Promise<Link[]> {
    if (name.tag === undefined) {
      const directory = `${this.#home.imagesDirectory}/${digestPath(name, digest)}`;
      return this.#linksTo(directory, digest, this.#placesOf(directory, tags));
    }
    const link = `${this.#home.imagesDirectory}/${referencePath(name)}`;
    const text = linkText(link);
    // It may lead to another image since we looked: then it is in use.
    return text === undefined || path.basename(text) !== digest.toString() ? [] : [{ link, text }];
  }

  async #keptBy(directory: string): Promise<KeptBy | undefined> {
    if (imageReferences(this.#home, walkImages(this.#home)).name(directory)) return 'tag';
    if (await hasMark(directory, 'explicitly-pulled')) return 'explicit-pull';
    return (await hasMark(directory, 'pinned')) ? 'pin' : undefined;
  }

  /**
   * Symlinks that a killed command had moved aside. Only the process that holds a digest's lock works on those that
   * name it.
   */
  async #removeLeftovers(repository: string, digest: Digest): Promise<void> {
    for (const entry of leftoverLinks(repository)) {
      const text = linkText(entry) ?? '';
      if (path.basename(text) === digest.toString()) await onDisk('remove', entry, async () => removeEntry(entry));
    }
  }

  async #refusePinned(name: RemoteName, digest: Digest): Promise<void> {
    if (!(await hasMark(`${this.#home.imagesDirectory}/${digestPath(name, digest)}`, 'pinned'))) return;
    throw new TartletError('BUSY', `${name.toString()} is pinned`, {
      subject: name.toString(),
      kept: 'it was left alone',
      next: { kind: 'unpin-and-delete', image: name.toString() },
    });
  }

  /** Where symlinks to an image may be: everywhere, unless the caller has looked. */
  #placesOf(directory: string, tags: readonly RemoteName[] | undefined): ReadonlySet<string> {
    const { imagesDirectory } = this.#home;
    if (tags === undefined) {
      const { entries } = walkImages(this.#home);
      return new Set(entries.flatMap(({ kind, path: link }) => (kind === 'tag' ? [link] : [])));
    }
    const repository = path.dirname(directory);
    return new Set([
      ...tags.map((tag) => `${imagesDirectory}/${referencePath(tag)}`),
      ...linksIn(repository).map((link) => `${repository}/${link}`),
    ]);
  }

  /** The symlinks among these that lead to the directory, or would if the home had not been moved. */
  async #linksTo(directory: string, digest: Digest, places: ReadonlySet<string>): Promise<Link[]> {
    const real = await realpath(directory).catch(() => directory);
    const links: Link[] = [];
    for (const link of places) {
      const text = this.#home.unreadable.passOver(link, () => linkText(link));
      if (text === undefined || path.basename(text) !== digest.toString()) continue;
      const target = await realpath(link).catch(() => undefined);
      const isItsOwn = path.dirname(link) === path.dirname(directory);
      if (text === directory || target === real || (target === undefined && isItsOwn)) links.push({ link, text });
    }
    return links;
  }
}

/**
 * Takes the directory of a repository away when nothing is left in it, and those above it, up to the registry's: else
 * they would be in the way of a tag of that name. Never fails: a directory that stays does no harm.
 */
export async function tidyRepository({ imagesDirectory }: Home, repository: string): Promise<void> {
  const registry = path.relative(imagesDirectory, repository).split('/', 1)[0] ?? '';
  for (let each = repository; each.startsWith(`${imagesDirectory}/${registry}/`); each = path.dirname(each)) {
    if (!(await removeEmptyTree(each))) return;
  }
}

/**
 * What is stacked refers to the content store: it moves under the store's lock, and leaves nothing there that it alone
 * needed.
 */
export async function whileMoving(
  contents: ContentStore,
  directories: readonly string[],
  work: () => Promise<void>,
): Promise<void> {
  if (!directories.some((directory) => lookAtVmDirectory(directory)?.layout === 'stacked-cached'))
    return contents.besideTart(work);
  return contents.change(undefined, async () => {
    await work();
    await contents.collect();
  });
}

function inUse(name: RemoteName): TartletError {
  return new TartletError('BUSY', `${name.toString()} is being used by another command`, {
    subject: name.toString(),
    next: { kind: 'wait-for-image' },
    retryable: true,
  });
}
