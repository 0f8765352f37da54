import { readlink } from 'node:fs/promises';
import path from 'node:path';
import { TartletError } from '../../errors.ts';
import type { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { isMissing } from '../../fs/disk-error.ts';
import { makeDirectoryTree } from '../../fs/directory-tree.ts';
import { exchangeDirectories, publishDirectory, removeDirectory } from '../../fs/publish.ts';
import { exists, linkText, realPathIfThere } from '../../fs/stats.ts';
import type { ContentStore } from '../content/content-store.ts';
import type { Home } from '../home.ts';
import { carryOver, clearMark } from './image-mark.ts';
import { ImageRemoval, type Removed, whileMoving } from './image-removal.ts';
import { decodeDigestDirectory, digestPath, referencePath, repositoryPath } from '../layout.ts';
import { recordUse } from '../last-use.ts';
import { replaceLink } from '../link.ts';
import { FileLock, type LockOptions } from '../../fs/lock/lock.ts';
import { canRenameBetween } from '../../fs/mount.ts';
import { type CacheWalk, walkImages } from '../image-walk.ts';
import { markExplicitly } from './explicit-mark.ts';
import { refuseCollision } from './name-collision.ts';
import { type ImagePurpose, notCached } from './not-cached.ts';
import { lookAtVmDirectory, type VmDirectory, VmFile } from '../vm-directory.ts';

/** A complete image in the cache. */
export interface CachedImage {
  /** The name it was asked for. */
  readonly name: RemoteName;
  readonly digest: Digest;
  readonly directory: VmDirectory;
}

/** What an image that replaces a broken one of the same digest inherits. */
const LASTING_MARKS = ['explicitly-pulled', 'pinned'] as const;

/** Pulled images: directories named by digest, tags as symlinks to them. Nothing in here is ever half finished. */
export class ImageCache {
  readonly #home: Home;
  readonly #contents: ContentStore;
  readonly #removal: ImageRemoval;

  constructor(home: Home, contents: ContentStore) {
    this.#home = home;
    this.#contents = contents;
    this.#removal = new ImageRemoval(home, contents, this);
  }

  /** Where a name lies: the symlink of a tag or the directory of a digest. */
  pathOf(name: RemoteName): string {
    return `${this.#home.imagesDirectory}/${referencePath(name)}`;
  }

  /** The directory of a digest in a name's repository. */
  directoryOf(name: RemoteName, digest: Digest): string {
    return `${this.#home.imagesDirectory}/${digestPath(name, digest)}`;
  }

  /** Everything with a name. Complete or not is for {@link lookAtVmDirectory} to say. */
  walk(): CacheWalk {
    return walkImages(this.#home);
  }

  /**
   * The image that a name leads to now, without any network. A dangling tag, a tag that leads elsewhere than to an
   * image directory, and an incomplete directory all count as not cached (tart-formats §1.5).
   */
  async find(name: RemoteName): Promise<CachedImage | undefined> {
    const digest = name.reference.kind === 'digest' ? name.reference.digest : await this.taggedDigest(name);
    if (digest === undefined || (name.digest !== undefined && !name.digest.equals(digest))) return undefined;
    const directory = lookAtImage(`${this.#home.imagesDirectory}/${referencePath(name)}`, digest);
    return directory === undefined ? undefined : { name, digest, directory };
  }

  /**
   * {@link find} for callers that cannot do without it.
   * @param purpose what it is wanted for, for the error.
   * @throws TartletError of {@link notCached}, `DISK_*`
   */
  async require(name: RemoteName, purpose: ImagePurpose): Promise<CachedImage> {
    const image = await this.find(name);
    if (image === undefined) throw notCached(name, purpose);
    return image;
  }

  /** The digest that a tag's symlink leads to, whether or not its image is there. */
  async taggedDigest(name: RemoteName): Promise<Digest | undefined> {
    return digestOfLink(this.pathOf(name));
  }

  /** Whether the tag's symlink already has the very text that Tart would write: then a pull has nothing to link. */
  async isLinked(name: RemoteName, digest: Digest): Promise<boolean> {
    try {
      return (await readlink(this.pathOf(name))) === this.directoryOf(name, digest);
    } catch {
      return false; // Not a symlink, or not there: linking will find out what is.
    }
  }

  /**
   * Refuses a name whose place is taken by another kind of name. Nothing has been touched when this throws.
   *
   * @returns whether the place of a tag is taken by a symlink already, whatever it leads to.
   * @throws TartletError `NAME_COLLISION` naming both.
   */
  async refuseCollision(name: RemoteName): Promise<'linked' | 'free'> {
    return refuseCollision(this.#home.imagesDirectory, name);
  }

  /** Locks an image by its digest, for reading (clone, push, serve) or for changing it (pull, delete). */
  async lock(digest: Digest, options: LockOptions): Promise<FileLock | undefined> {
    return FileLock.acquire(this.#home.lockFile(digest.hex), options);
  }

  /**
   * Publishes a finished staging directory as the image of a digest, by one rename. What lay there and was no complete
   * image is quarantined first; its marks of an explicit pull and of a pin are kept (tart-formats §1.4).
   */
  async publish(staging: string, name: RemoteName, digest: Digest): Promise<void> {
    const target = `${this.#home.imagesDirectory}/${digestPath(name, digest)}`;
    await whileMoving(this.#contents, [staging, target], async () => this.#publish(staging, target));
  }

  async #publish(staging: string, target: string): Promise<void> {
    if (!(await exists(target))) {
      await publishDirectory(staging, target, this.#home.root);
      return;
    }
    for (const mark of LASTING_MARKS) await carryOver(target, staging, mark);
    await exchangeDirectories(staging, target, this.#home.root);
    await removeDirectory(staging, this.#home.stagingDirectory, VmFile.config);
  }

  /** Points a tag at an image, with the absolute text that Tart would write (tart-formats §1.4). */
  async link(name: RemoteName, digest: Digest): Promise<void> {
    await this.#link(this.pathOf(name), this.directoryOf(name, digest));
  }

  async #link(link: string, directory: string): Promise<void> {
    await this.#contents.besideTart(async () => replaceLink(link, directory, this.#home));
    await clearMark(directory, 'unnamed');
  }

  /**
   * Makes a name lead to an image that is here, a tag by its symlink and a digest by the mark of an explicit pull, and
   * records that it was used. Call while the image is held.
   *
   * @returns the other digest that the tag led to before.
   */
  async nameImage(name: RemoteName, digest: Digest, at: Date): Promise<Digest | undefined> {
    const { imagesDirectory } = this.#home;
    const directory = `${imagesDirectory}/${digestPath(name, digest)}`;
    let before: Digest | undefined;
    if (name.tag === undefined) await markExplicitly(directory);
    else {
      const link = `${imagesDirectory}/${referencePath(name)}`;
      before = digestOfLink(link);
      await this.#link(link, directory);
    }
    await recordUse(directory, at);
    return before?.equals(digest) === true ? undefined : before;
  }

  /** Marks an image as pulled by digest, so that no collection takes it without a tag (tart-formats §1.5). */
  async markExplicitlyPulled(name: RemoteName, digest: Digest): Promise<void> {
    await markExplicitly(this.directoryOf(name, digest));
  }

  /**
   * Deletes a tag, and its image with it when nothing else keeps it; or an image, and all tags that lead to it
   * (tart-cli §1.18).
   * @throws TartletError `VM_NOT_FOUND`, or `BUSY` while another process pulls or reads the image, and for the digest
   * of one that is pinned.
   */
  async delete(name: RemoteName): Promise<Removed> {
    return this.#removal.delete(name);
  }

  /** The same for a caller that holds the image's lock already, exclusively, and has checked whether it is pinned. */
  async deleteLocked(name: RemoteName, digest: Digest, tags?: readonly RemoteName[]): Promise<void> {
    await this.#removal.deleteLocked(name, digest, tags);
  }

  /** Records a use of an image; never fails. */
  async touch(directory: string, at: Date): Promise<void> {
    await recordUse(directory, at);
  }
}

/**
 * Makes the directory of a repository, so that a pull can put an image into it.
 * @throws TartletError `DISK_UNSUPPORTED` when a symlink leads it to another file system: what is finished could not be
 * moved there in one step.
 */
export async function makeRepository(home: Home, name: RemoteName): Promise<void> {
  const directory = `${home.imagesDirectory}/${repositoryPath(name)}`;
  if (await isMadeOnOneDisk(directory, home.cacheDirectory)) return;
  throw new TartletError('DISK_UNSUPPORTED', `${directory} lies on another file system than ${home.cacheDirectory}`, {
    subject: directory,
    kept: 'nothing was fetched',
    next: { kind: 'move-whole-cache' },
  });
}

/**
 * Another command that deletes the last image of a repository may take the empty directory away between two steps of
 * ours.
 */
async function isMadeOnOneDisk(directory: string, cache: string, tries = 3): Promise<boolean> {
  try {
    await makeDirectoryTree(directory);
    return await canRenameBetween(directory, cache);
  } catch (error) {
    if (!isMissing(error) || tries === 0) throw error;
    return isMadeOnOneDisk(directory, cache, tries - 1);
  }
}

/** The digest that a symlink leads to by its text; undefined for what is no such symlink. */
function digestOfLink(link: string): Digest | undefined {
  const text = linkText(link);
  return text === undefined ? undefined : decodeDigestDirectory(path.basename(text));
}

/**
 * What a name leads to, when that is the image of this digest. Through the symlink when there is one: a hand-made
 * symlink may lead to a directory of another repository, and still be right.
 */
function lookAtImage(at: string, digest: Digest): VmDirectory | undefined {
  const directory = realPathIfThere(at);
  // Tart links the digest that was asked for to the directory of what came (tart-formats §1.4): such a name proves
  // nothing.
  if (directory === undefined || path.basename(directory) !== digest.toString()) return undefined;
  const look = lookAtVmDirectory(directory);
  return look?.layout === 'stacked-local' ? undefined : look;
}
