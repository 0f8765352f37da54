import { lstat, readlink, realpath, utimes } from 'node:fs/promises';
import path from 'node:path';
import { systemCode, TartletError } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { diskError, onDisk } from './disk-error.ts';
import {
  exchangeFolders,
  exists,
  flushFolder,
  makeFolder,
  publishFolder,
  removeFolder,
  removeLink,
  replaceLink,
  writeNewFile,
} from './folder.ts';
import type { ContentStore } from './content-store.ts';
import type { Home } from './home.ts';
import { decodeDigestFolder, digestPath, referencePath, repositoryPath } from './layout.ts';
import { FileLock, type LockOptions } from './lock.ts';
import { type CacheWalk, walkImages } from './image-walk.ts';
import { refuseCollision } from './name-collision.ts';
import { kindOf } from './path-kind.ts';
import { lookAtVmFolder, type VmFolder, VmFile } from './vm-folder.ts';

/** A complete image in the cache. */
export interface CachedImage {
  /** The name it was asked for. */
  readonly name: RemoteName;
  readonly digest: Digest;
  readonly folder: VmFolder;
}

/** Pulled images: folders named by digest, tags as links to them. Nothing in here is ever half finished. */
export class ImageCache {
  readonly #home: Home;
  readonly #contents: ContentStore;

  constructor(home: Home, contents: ContentStore) {
    this.#home = home;
    this.#contents = contents;
  }

  /** Where a name lies: the link of a tag or the folder of a digest. */
  pathOf(name: RemoteName): string {
    return `${this.#home.imagesFolder}/${referencePath(name)}`;
  }

  /** The folder of a digest in a name's repository. */
  folderOf(name: RemoteName, digest: Digest): string {
    return `${this.#home.imagesFolder}/${digestPath(name, digest)}`;
  }

  /** Everything with a name. Complete or not is for {@link lookAtVmFolder} to say. */
  walk(): CacheWalk {
    return walkImages(this.#home.imagesFolder);
  }

  /**
   * The image that a name leads to now, without any network. A dangling tag, a tag that leads elsewhere than to an image folder,
   * and an incomplete folder all count as not cached (tart-formats §1.5).
   */
  async find(name: RemoteName): Promise<CachedImage | undefined> {
    const digest = name.reference.kind === 'digest' ? name.reference.digest : await this.taggedDigest(name);
    if (digest === undefined || (name.digest !== undefined && !name.digest.equals(digest))) return undefined;
    const folder = await this.#imageFolder(name, digest);
    return folder === undefined ? undefined : { name, digest, folder };
  }

  /** The digest that a tag's link leads to, whether or not its image is there. */
  async taggedDigest(name: RemoteName): Promise<Digest | undefined> {
    try {
      return decodeDigestFolder(path.basename(await readlink(this.pathOf(name))));
    } catch (cause) {
      if (['ENOENT', 'EINVAL', 'ENOTDIR'].includes(systemCode(cause) ?? '')) return undefined;
      throw diskError(cause, 'read the tag', this.pathOf(name));
    }
  }

  /** Through the link when there is one: a hand-made link may lead to a folder of another repository, and still be right. */
  async #imageFolder(name: RemoteName, digest: Digest): Promise<VmFolder | undefined> {
    let folder: string;
    try {
      folder = await realpath(this.pathOf(name));
    } catch (cause) {
      if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(cause) ?? '')) return undefined;
      throw diskError(cause, 'look at', this.pathOf(name));
    }
    // Tart links the digest that was asked for to the folder of what came (tart-formats §1.4): such a name proves nothing.
    if (path.basename(folder) !== digest.toString()) return undefined;
    const look = lookAtVmFolder(folder);
    return look?.layout === 'stacked-local' ? undefined : look;
  }

  /** Whether the tag's link already has the very text that Tart would write: then a pull has nothing to link. */
  async isLinked(name: RemoteName, digest: Digest): Promise<boolean> {
    try {
      return (await readlink(this.pathOf(name))) === this.folderOf(name, digest);
    } catch {
      return false; // Not a link, or not there: linking will find out what is.
    }
  }

  /**
   * Refuses a name whose place is taken by another kind of name. Nothing has been touched when this throws.
   *
   * @throws TartletError `NAME_COLLISION` naming both.
   */
  async refuseCollision(name: RemoteName): Promise<void> {
    await refuseCollision(this.#home.imagesFolder, name);
  }

  /** Locks an image by its digest, for reading (clone, push, serve) or for changing it (pull, delete). */
  async lock(digest: Digest, options: LockOptions): Promise<FileLock | undefined> {
    return FileLock.acquire(`${this.#home.locksFolder}/${digest.hex}.lock`, options);
  }

  /**
   * Publishes a finished staging folder as the image of a digest, by one rename. What lay there and was no complete image is
   * set aside first; its mark of an explicit pull is kept (tart-formats §1.4).
   */
  async publish(staging: string, name: RemoteName, digest: Digest): Promise<void> {
    const target = this.folderOf(name, digest);
    await this.#moving([staging, target], async () => this.#publish(staging, target));
  }

  async #publish(staging: string, target: string): Promise<void> {
    if (!(await exists(target))) {
      await publishFolder(staging, target);
      return;
    }
    if (await exists(`${target}/${VmFile.explicitlyPulled}`))
      await writeNewFile(`${staging}/${VmFile.explicitlyPulled}`, '');
    await exchangeFolders(staging, target);
    await removeFolder(staging, this.#home.stagingFolder);
  }

  /** Points a tag at an image, with the absolute text that Tart would write (tart-formats §1.4). */
  async link(name: RemoteName, digest: Digest): Promise<void> {
    await replaceLink(this.pathOf(name), this.folderOf(name, digest));
  }

  /** Marks an image as pulled by digest, so that Tart's collection keeps it without a tag (tart-formats §1.5). */
  async markExplicitlyPulled(name: RemoteName, digest: Digest): Promise<void> {
    const folder = this.folderOf(name, digest);
    const mark = `${folder}/${VmFile.explicitlyPulled}`;
    if (await exists(mark)) return;
    await writeNewFile(mark, '');
    await flushFolder(folder);
  }

  /**
   * Deletes a tag, and its image with it when nothing else keeps it; or an image, and all tags that lead to it (tart-cli §1.18).
   * @throws TartletError `VM_NOT_FOUND`, or `BUSY` while somebody pulls or reads the image.
   */
  async delete(name: RemoteName): Promise<void> {
    const at = this.pathOf(name);
    const kind = await kindOf(at);
    if (kind === 'nothing' || (name.tag !== undefined && kind !== 'link')) throw notCached(name);
    const digest = name.tag === undefined ? name.digest : await this.taggedDigest(name);
    if (digest === undefined) {
      await removeLink(at, await onDisk('read the tag', at, async () => readlink(at))); // A link to something that is no image: only the link is ours.
      return;
    }
    const lock = await this.lock(digest, { mode: 'exclusive', wait: false });
    if (lock === undefined) {
      throw new TartletError('BUSY', `${name.toString()} is being used by another command`, {
        subject: name.toString(),
        next: 'wait for the pull or clone of this image to end and try again',
        retryable: true,
      });
    }
    try {
      await this.deleteLocked(name, digest);
    } finally {
      await lock.release();
    }
  }

  /** The same for whoever holds the image's lock already, alone. */
  async deleteLocked(name: RemoteName, digest: Digest): Promise<void> {
    const at = this.pathOf(name);
    const folder = this.folderOf(name, digest);
    const links = await this.#linksTo(folder, digest);
    if (name.tag !== undefined) {
      for (const { link, text } of links.filter((each) => each.link === at)) await removeLink(link, text);
      const kept = links.some(({ link }) => link !== at) || (await exists(`${folder}/${VmFile.explicitlyPulled}`));
      if (kept) return;
    } else {
      for (const { link, text } of links) await removeLink(link, text);
    }
    if ((await kindOf(folder)) !== 'folder') return;
    await this.#moving([folder], async () => removeFolder(folder, this.#home.stagingFolder));
  }

  /** What is stacked refers to the content store: it moves under the store's lock, and leaves nothing there that it alone needed. */
  async #moving(folders: readonly string[], work: () => Promise<void>): Promise<void> {
    if (!folders.some((folder) => lookAtVmFolder(folder)?.layout === 'stacked-cached')) return work();
    return this.#contents.change(undefined, async () => {
      await work();
      await this.#contents.collect();
    });
  }

  /** Every link of the cache that names the folder by its text or leads to it. */
  async #linksTo(folder: string, digest: Digest): Promise<{ link: string; text: string }[]> {
    const real = await realpath(folder).catch(() => folder);
    const links: { link: string; text: string }[] = [];
    for (const entry of this.walk().entries) {
      if (entry.kind !== 'tag') continue;
      const text = await readlink(entry.path).catch(() => '');
      if (path.basename(text) !== digest.toString()) continue;
      if (text === folder || (await realpath(entry.path).catch(() => text)) === real)
        links.push({ link: entry.path, text });
    }
    return links;
  }

  /** Records a use, as Tart does: the access time of the image folder (tart-formats §1.7). */
  async touch(folder: string, at: Date): Promise<void> {
    try {
      await utimes(folder, at, (await lstat(folder)).mtime);
    } catch {
      // A shared or read-only cache: the use goes unrecorded, which harms nobody (reliability D12).
    }
  }
}

function notCached(name: RemoteName): TartletError {
  return new TartletError('VM_NOT_FOUND', `the image ${name.toString()} is not in the cache`, {
    subject: name.toString(),
    next: 'tartlet list --source oci shows what is',
  });
}

/** Makes the folder of a repository, so that a pull can put an image into it. */
export async function makeRepository(home: Home, name: RemoteName): Promise<void> {
  await makeFolder(`${home.imagesFolder}/${repositoryPath(name)}`);
}
