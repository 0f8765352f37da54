import { type Stats } from 'node:fs';
import path from 'node:path';
import { TartletError } from '../errors.ts';
import { makeTrustedDirectory } from '../fs/directory-tree.ts';
import { kindOf, statIfThereSync } from '../fs/stats.ts';
import { type OnUnreadable, Unreadable } from '../fs/unreadable.ts';
import { CacheEntry, RootEntry, SCRATCH_BESIDE_VMS } from './home-entry.ts';

/** What decides where the home is; handed in by the caller, so that the library never looks at the process itself. */
export interface HomeSettings {
  /** `TART_HOME` decides when it is present, even empty (tart-formats §1.1). */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The user's home directory, absolute; undefined when there is none. Asked only without `TART_HOME`. */
  readonly userDirectory: string | undefined;
  /** What a relative `TART_HOME` is relative to. Asked only for that. */
  readonly workingDirectory: string;
}

/**
 * The directory that Tart and Tartlet share. All paths are texts built by joining, never normalised, because Tart
 * compares the text of tag symlinks with the text it would write itself (tart-formats §1.4): `..` and doubled slashes
 * of `TART_HOME` survive into them.
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

  /** @throws TartletError `CONFIG_INVALID` where neither `TART_HOME` nor the user has a directory. */
  static locate(settings: HomeSettings): Home {
    const spelled = settings.environment['TART_HOME'];
    // Empty counts as unset: otherwise the current directory would be the home.
    if (spelled === undefined || spelled === '') {
      const { userDirectory } = settings;
      if (userDirectory !== undefined) return new Home(`${userDirectory}/.tart`);
      throw new TartletError(
        'CONFIG_INVALID',
        'there is no place for images and VMs: this user has no home directory',
        {
          next: { kind: 'set-home' },
        },
      );
    }
    return new Home(spelled.startsWith('/') ? spelled : `${settings.workingDirectory}/${spelled}`);
  }

  /**
   * Refuses a home that is no directory: nothing could be in it, and to list nothing would hide that. A home that is
   * not there yet is one.
   *
   * @throws TartletError `CONFIG_INVALID`
   */
  requireDirectory(): void {
    const stats = lookAtHome(this.root);
    if (stats === undefined || stats.isDirectory()) return;
    throw new TartletError('CONFIG_INVALID', `${this.root} is a file, where images and VMs need a directory`, {
      subject: this.root,
      next: { kind: 'move-file-or-set-home' },
    });
  }

  get cacheDirectory(): string {
    return `${this.root}/${RootEntry.cache}`;
  }

  /** Pulled images, by registry, repository and digest. */
  get imagesDirectory(): string {
    return `${this.cacheDirectory}/${CacheEntry.images}`;
  }

  /** Disk files that stacked images and VMs share (tart-formats §4.7). Absent as long as there are none. */
  get contentDirectory(): string {
    return `${this.cacheDirectory}/${CacheEntry.content}`;
  }

  get vmsDirectory(): string {
    return `${this.root}/${RootEntry.vms}`;
  }

  /** Work in progress on VMs. Tart empties it before most commands, sparing only what is locked (tart-formats §1.2). */
  get scratchDirectory(): string {
    return `${this.root}/${RootEntry.scratch}`;
  }

  /**
   * The same where `vms` is a symlink to another file system, or one is mounted there: nothing could be renamed into
   * place from `tmp`. Without a configuration no command takes it for a VM.
   */
  get scratchBesideVms(): string {
    return `${this.vmsDirectory}/${SCRATCH_BESIDE_VMS}`;
  }

  /** Wherever there may be scratch. */
  get scratchDirectories(): readonly string[] {
    return [this.scratchDirectory, this.scratchBesideVms];
  }

  /**
   * Unfinished pulls. Not in `tmp`: there Tart's next `list` would delete them, and `cache` may be a symlink to another
   * file system, from which nothing could be renamed into place.
   */
  get stagingDirectory(): string {
    return `${this.cacheDirectory}/${CacheEntry.staging}`;
  }

  /** What prefetch remembers. */
  get prefetchRecord(): string {
    return `${this.cacheDirectory}/${CacheEntry.prefetch}`;
  }

  /** Lock files of images. In the cache and not beside it, because several homes may share one cache by a symlink. */
  get locksDirectory(): string {
    return `${this.cacheDirectory}/${CacheEntry.locks}`;
  }

  /**
   * The lock file of what has this name: an image by the hexadecimal digits of its digest, a scratch directory, the
   * migration.
   */
  lockFile(name: string): string {
    return `${this.locksDirectory}/${name}.lock`;
  }

  /** Apple's restore images, which Tart fetches. */
  get restoreImagesDirectory(): string {
    return `${this.cacheDirectory}/${CacheEntry.restoreImages}`;
  }

  /** What was found damaged or in the way, and might be all there is: only people delete it. */
  get quarantineDirectory(): string {
    return `${this.cacheDirectory}/${CacheEntry.quarantine}`;
  }

  /** Creates what every writing command needs. A `cache` that is a dangling symlink gets its target (tart-cli §6.1). */
  async prepare(): Promise<void> {
    if (!path.isAbsolute(this.root)) throw new TartletError('INTERNAL', `the home "${this.root}" is not absolute`);
    for (const directory of [this.root, this.cacheDirectory, this.scratchDirectory])
      await makeTrustedDirectory(directory);
    for (const directory of [this.stagingDirectory, this.locksDirectory, this.quarantineDirectory])
      await refuseLink(directory);
  }

  /**
   * {@link prepare} for a command that makes a VM: the one way into `vms/`, which may be a link to a directory on
   * another disk that is not there yet.
   */
  async prepareForVms(): Promise<void> {
    await this.prepare();
    await makeTrustedDirectory(this.vmsDirectory);
  }
}

/**
 * `cache` and `vms` may be symlinks; what only we have in them may not: nothing could be renamed from there, and
 * another user may have made it.
 *
 * @throws TartletError `STORE_DAMAGED`
 */
async function refuseLink(directory: string): Promise<void> {
  if ((await kindOf(directory)) !== 'link') return;
  throw new TartletError('STORE_DAMAGED', `${directory} is a symlink, where a directory belongs`, {
    subject: directory,
    kept: 'it was not followed',
    next: { kind: 'remove-home-link' },
  });
}

/** Whatever else is wrong with it is found by the commands that work there. */
function lookAtHome(root: string): Stats | undefined {
  try {
    return statIfThereSync(root);
  } catch {
    return undefined;
  }
}
