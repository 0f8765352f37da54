import { readlink } from 'node:fs/promises';
import path from 'node:path';
import { TartletError } from '../../errors.ts';
import type { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { isMissing } from '../../fs/disk-error.ts';
import { makeFolder } from '../../fs/directory-tree.ts';
import { exchangeFolders, publishFolder, removeFolder } from '../../fs/publish.ts';
import { exists, linkText, realPathIfThere } from '../../fs/stats.ts';
import type { ContentStore } from '../content/content-store.ts';
import type { Home } from '../home.ts';
import { clearMark, hasMark, setMark } from './image-mark.ts';
import { ImageRemoval, type Removed, whileMoving } from './image-removal.ts';
import { decodeDigestFolder, digestPath, referencePath, repositoryPath } from '../layout.ts';
import { recordUse } from '../last-use.ts';
import { replaceLink } from '../link.ts';
import { FileLock, type LockOptions } from '../../fs/lock/lock.ts';
import { canRenameBetween } from '../../fs/mount.ts';
import { type CacheWalk, walkImages } from '../image-walk.ts';
import { markExplicitly } from './explicit-mark.ts';
import { refuseCollision } from './name-collision.ts';
import { type ImagePurpose, notCached } from './not-cached.ts';
import { lookAtVmFolder, type VmFolder, VmFile } from '../vm-folder.ts';

/** A complete image in the cache. */
export interface CachedImage {
  /** The name it was asked for. */
  readonly name: RemoteName;
  readonly digest: Digest;
  readonly folder: VmFolder;
}

/** What an image that replaces a broken one of the same digest inherits. */
const LASTING_MARKS = ['explicitly-pulled', 'pinned'] as const;

/** Pulled images: folders named by digest, tags as links to them. Nothing in here is ever half finished. */
export class ImageCache {
  readonly #home: Home;
  readonly #contents: ContentStore;
  readonly #removal: ImageRemoval;

  constructor(home: Home, contents: ContentStore) {
    this.#home = home;
    this.#contents = contents;
    this.#removal = new ImageRemoval(home, contents, this);
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
    return walkImages(this.#home);
  }

  /**
   * The image that a name leads to now, without any network. A dangling tag, a tag that leads elsewhere than to an image folder,
   * and an incomplete folder all count as not cached (tart-formats §1.5).
   */
  async find(name: RemoteName): Promise<CachedImage | undefined> {
    const digest = name.reference.kind === 'digest' ? name.reference.digest : await this.taggedDigest(name);
    if (digest === undefined || (name.digest !== undefined && !name.digest.equals(digest))) return undefined;
    const folder = lookAtImage(`${this.#home.imagesFolder}/${referencePath(name)}`, digest);
    return folder === undefined ? undefined : { name, digest, folder };
  }

  /**
   * {@link find} for who cannot do without it.
   * @param purpose what it is wanted for, for the error.
   * @throws TartletError of {@link notCached}, `DISK_*`
   */
  async require(name: RemoteName, purpose: ImagePurpose): Promise<CachedImage> {
    const image = await this.find(name);
    if (image === undefined) throw notCached(name, purpose);
    return image;
  }

  /** The digest that a tag's link leads to, whether or not its image is there. */
  async taggedDigest(name: RemoteName): Promise<Digest | undefined> {
    return digestOfLink(this.pathOf(name));
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
   * @returns whether the place of a tag is taken by a link already, whatever it leads to.
   * @throws TartletError `NAME_COLLISION` naming both.
   */
  async refuseCollision(name: RemoteName): Promise<'linked' | 'free'> {
    return refuseCollision(this.#home.imagesFolder, name);
  }

  /** Locks an image by its digest, for reading (clone, push, serve) or for changing it (pull, delete). */
  async lock(digest: Digest, options: LockOptions): Promise<FileLock | undefined> {
    return FileLock.acquire(this.#home.lockFile(digest.hex), options);
  }

  /**
   * Publishes a finished staging folder as the image of a digest, by one rename. What lay there and was no complete image is
   * set aside first; its marks of an explicit pull and of a pin are kept (tart-formats §1.4).
   */
  async publish(staging: string, name: RemoteName, digest: Digest): Promise<void> {
    const target = `${this.#home.imagesFolder}/${digestPath(name, digest)}`;
    await whileMoving(this.#contents, [staging, target], async () => this.#publish(staging, target));
  }

  async #publish(staging: string, target: string): Promise<void> {
    if (!(await exists(target))) {
      await publishFolder(staging, target, this.#home.root);
      return;
    }
    for (const mark of LASTING_MARKS) if (await hasMark(target, mark)) await setMark(staging, mark);
    await exchangeFolders(staging, target, this.#home.root);
    await removeFolder(staging, this.#home.stagingFolder, VmFile.config);
  }

  /** Points a tag at an image, with the absolute text that Tart would write (tart-formats §1.4). */
  async link(name: RemoteName, digest: Digest): Promise<void> {
    await this.#link(this.pathOf(name), this.folderOf(name, digest));
  }

  async #link(link: string, folder: string): Promise<void> {
    await this.#contents.besideTart(async () => replaceLink(link, folder, this.#home));
    await clearMark(folder, 'unnamed');
  }

  /**
   * Makes a name lead to an image that is here, a tag by its link and a digest by the mark of an explicit pull, and records that it was used. Call
   * while the image is held.
   *
   * @returns the other digest that the tag led to before.
   */
  async nameImage(name: RemoteName, digest: Digest, at: Date): Promise<Digest | undefined> {
    const { imagesFolder } = this.#home;
    const folder = `${imagesFolder}/${digestPath(name, digest)}`;
    let before: Digest | undefined;
    if (name.tag === undefined) await markExplicitly(folder);
    else {
      const link = `${imagesFolder}/${referencePath(name)}`;
      before = digestOfLink(link);
      await this.#link(link, folder);
    }
    await recordUse(folder, at);
    return before?.equals(digest) === true ? undefined : before;
  }

  /** Marks an image as pulled by digest, so that no collection takes it without a tag (tart-formats §1.5). */
  async markExplicitlyPulled(name: RemoteName, digest: Digest): Promise<void> {
    await markExplicitly(this.folderOf(name, digest));
  }

  /**
   * Deletes a tag, and its image with it when nothing else keeps it; or an image, and all tags that lead to it (tart-cli §1.18).
   * @throws TartletError `VM_NOT_FOUND`, or `BUSY` while somebody pulls or reads the image, and for the digest of one that is pinned.
   */
  async delete(name: RemoteName): Promise<Removed> {
    return this.#removal.delete(name);
  }

  /** The same for whoever holds the image's lock already, alone, and asked whether it is pinned. */
  async deleteLocked(name: RemoteName, digest: Digest, tags?: readonly RemoteName[]): Promise<void> {
    await this.#removal.deleteLocked(name, digest, tags);
  }

  /** Records a use of an image; never fails. */
  async touch(folder: string, at: Date): Promise<void> {
    await recordUse(folder, at);
  }
}

/**
 * Makes the folder of a repository, so that a pull can put an image into it.
 * @throws TartletError `DISK_UNSUPPORTED` when a link leads it to another file system: what is finished could not be moved there in one step.
 */
export async function makeRepository(home: Home, name: RemoteName): Promise<void> {
  const folder = `${home.imagesFolder}/${repositoryPath(name)}`;
  if (await isMadeOnOneDisk(folder, home.cacheFolder)) return;
  throw new TartletError('DISK_UNSUPPORTED', `${folder} lies on another file system than ${home.cacheFolder}`, {
    subject: folder,
    kept: 'nothing was fetched',
    next: { kind: 'move-whole-cache' },
  });
}

/** Another command that deletes the last image of a repository may take the empty directory away between two steps of ours. */
async function isMadeOnOneDisk(folder: string, cache: string, tries = 3): Promise<boolean> {
  try {
    await makeFolder(folder);
    return await canRenameBetween(folder, cache);
  } catch (error) {
    if (!isMissing(error) || tries === 0) throw error;
    return isMadeOnOneDisk(folder, cache, tries - 1);
  }
}

/** The digest that a link leads to by its text; undefined for what is no such link. */
function digestOfLink(link: string): Digest | undefined {
  const text = linkText(link);
  return text === undefined ? undefined : decodeDigestFolder(path.basename(text));
}

/**
 * What a name leads to, when that is the image of this digest. Through the link when there is one: a hand-made link may lead to a folder of another
 * repository, and still be right.
 */
function lookAtImage(at: string, digest: Digest): VmFolder | undefined {
  const folder = realPathIfThere(at);
  // Tart links the digest that was asked for to the folder of what came (tart-formats §1.4): such a name proves nothing.
  if (folder === undefined || path.basename(folder) !== digest.toString()) return undefined;
  const look = lookAtVmFolder(folder);
  return look?.layout === 'stacked-local' ? undefined : look;
}
