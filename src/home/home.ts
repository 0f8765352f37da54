import { type Stats } from 'node:fs';
import path from 'node:path';
import { TartletError } from '../errors.ts';
import { makeTrustedFolder } from '../fs/directory-tree.ts';
import { kindOf, statIfThereSync } from '../fs/stats.ts';
import { type OnUnreadable, Unreadable } from '../fs/unreadable.ts';
import { CacheEntry, RootEntry, SCRATCH_BESIDE_VMS } from './home-entry.ts';

/** What decides where the home is; handed in by the caller, so that the library never looks at the process itself. */
export interface HomeSettings {
  /** `TART_HOME` decides when it is present, even empty (tart-formats §1.1). */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The user's home folder, absolute; undefined when there is none. Asked only without `TART_HOME`. */
  readonly userFolder: string | undefined;
  /** What a relative `TART_HOME` is relative to. Asked only for that. */
  readonly workingFolder: string;
}

/**
 * The folder that Tart and Tartlet share. All paths are texts built by joining, never normalised, because Tart compares the text of
 * tag links with the text it would write itself (tart-formats §1.4): `..` and doubled slashes of `TART_HOME` survive into them.
 */
export class Home {
  /** As spelled by the user, absolute, without a slash at the end. */
  readonly root: string;
  /** What becomes of entries that cannot be looked at. */
  readonly unreadable: Unreadable;

  constructor(root: string, unreadable = new Unreadable()) {
    this.root = root === '/' ? root : root.replace(/\/+$/, '');
    this.unreadable = unreadable;
  }

  /** The same home for one operation, which is told of every entry that it passes over. */
  telling(onUnreadable: OnUnreadable): Home {
    return new Home(this.root, new Unreadable(onUnreadable));
  }

  /** @throws TartletError `CONFIG_INVALID` where neither `TART_HOME` nor the user has a folder. */
  static locate(settings: HomeSettings): Home {
    const spelled = settings.environment['TART_HOME'];
    // Empty is as good as unset: nobody wants VMs in whatever folder they happen to be.
    if (spelled === undefined || spelled === '') {
      const { userFolder } = settings;
      if (userFolder !== undefined) return new Home(`${userFolder}/.tart`);
      throw new TartletError('CONFIG_INVALID', 'there is no place for images and VMs: this user has no home folder', {
        next: { kind: 'set-home' },
      });
    }
    return new Home(spelled.startsWith('/') ? spelled : `${settings.workingFolder}/${spelled}`);
  }

  /**
   * Refuses a home that is no folder: nothing could be in it, and to list nothing would hide that. A home that is not
   * there yet is one.
   *
   * @throws TartletError `CONFIG_INVALID`
   */
  requireFolder(): void {
    const stats = lookAtHome(this.root);
    if (stats === undefined || stats.isDirectory()) return;
    throw new TartletError('CONFIG_INVALID', `${this.root} is a file, where images and VMs need a folder`, {
      subject: this.root,
      next: { kind: 'move-file-or-set-home' },
    });
  }

  get cacheFolder(): string {
    return `${this.root}/${RootEntry.cache}`;
  }

  /** Pulled images, by registry, repository and digest. */
  get imagesFolder(): string {
    return `${this.cacheFolder}/${CacheEntry.images}`;
  }

  /** Disk files that stacked images and VMs share (tart-formats §4.7). Absent as long as there are none. */
  get contentFolder(): string {
    return `${this.cacheFolder}/${CacheEntry.content}`;
  }

  get vmsFolder(): string {
    return `${this.root}/${RootEntry.vms}`;
  }

  /** Work in progress on VMs. Tart empties it before most commands, sparing only what is locked (tart-formats §1.2). */
  get scratchFolder(): string {
    return `${this.root}/${RootEntry.scratch}`;
  }

  /**
   * The same where `vms` is a link to another file system, or one is mounted there: nothing could be renamed into place from `tmp`.
   * Without a configuration it is no VM to anybody.
   */
  get scratchBesideVms(): string {
    return `${this.vmsFolder}/${SCRATCH_BESIDE_VMS}`;
  }

  /** Wherever there may be scratch. */
  get scratchFolders(): readonly string[] {
    return [this.scratchFolder, this.scratchBesideVms];
  }

  /**
   * Unfinished pulls. Not in `tmp`: there Tart's next `list` would delete them, and `cache` may be a link to another
   * file system, from which nothing could be renamed into place.
   */
  get stagingFolder(): string {
    return `${this.cacheFolder}/${CacheEntry.staging}`;
  }

  /** Lock files of images. In the cache and not beside it, because several homes may share one cache by a link. */
  get locksFolder(): string {
    return `${this.cacheFolder}/${CacheEntry.locks}`;
  }

  /** The lock file of what has this name: an image by the hexadecimal digits of its digest, a scratch folder, the migration. */
  lockFile(name: string): string {
    return `${this.locksFolder}/${name}.lock`;
  }

  /** Apple's restore images, which Tart fetches. */
  get restoreImagesFolder(): string {
    return `${this.cacheFolder}/${CacheEntry.restoreImages}`;
  }

  /** What was found damaged or in the way, and might be all there is: only people delete it. */
  get quarantineFolder(): string {
    return `${this.cacheFolder}/${CacheEntry.quarantine}`;
  }

  /** Creates what every writing command needs. A `cache` that is a dangling link gets its target (tart-cli §6.1). */
  async prepare(): Promise<void> {
    if (!path.isAbsolute(this.root)) throw new TartletError('INTERNAL', `the home "${this.root}" is not absolute`);
    for (const folder of [this.root, this.cacheFolder, this.scratchFolder]) await makeTrustedFolder(folder);
    for (const folder of [this.stagingFolder, this.locksFolder, this.quarantineFolder]) await refuseLink(folder);
  }

  /**
   * {@link prepare} for who makes a VM: the one way into `vms/`, which may be a link to a folder on another disk that
   * is not there yet.
   */
  async prepareForVms(): Promise<void> {
    await this.prepare();
    await makeTrustedFolder(this.vmsFolder);
  }
}

/**
 * `cache` and `vms` may be links; what only we have in them may not: nothing could be renamed from there, and another
 * user may have made it.
 *
 * @throws TartletError `STORE_DAMAGED`
 */
async function refuseLink(folder: string): Promise<void> {
  if ((await kindOf(folder)) !== 'link') return;
  throw new TartletError('STORE_DAMAGED', `${folder} is a link, where a folder belongs`, {
    subject: folder,
    kept: 'it was not followed',
    next: { kind: 'remove-home-link' },
  });
}

/** Whatever else is wrong with it is found by who works there. */
function lookAtHome(root: string): Stats | undefined {
  try {
    return statIfThereSync(root);
  } catch {
    return undefined;
  }
}
