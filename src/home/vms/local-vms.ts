/*
 * More than 250 lines, because what may be done to a VM depends on one set of locks.
 */
import { isTartletError } from '../../errors.ts';
import { LocalName } from '../../names/local-name.ts';
import { isMissing, onDisk } from '../../fs/disk-error.ts';
import { moveEntry } from '../../fs/entry.ts';
import { namesIn } from '../../fs/entry-names.ts';
import { makeDurableDirectory } from '../../fs/directory-tree.ts';
import { fsyncUpTo } from '../../fs/fsync.ts';
import { exchangeDirectories, publishDirectory, removeDirectory } from '../../fs/publish.ts';
import { exists } from '../../fs/stats.ts';
import type { ContentStore } from '../content/content-store.ts';
import type { Home } from '../home.ts';
import { recordUse } from '../last-use.ts';
import { FileLock } from '../../fs/lock/lock.ts';
import { type Scratch, scratchDirectoryOf } from '../scratch.ts';
import { identityOf, replaced } from '../still-there.ts';
import { hasWriteLock } from '../../fs/lock/write-lock.ts';
import { isSuspended, lookAtLocalVm, type VmDirectory, VmFile } from '../vm-directory.ts';
import { inTheWay, nameTaken, notThere, refuseReserved, unusable, withoutConfig } from './no-vm.ts';
import { heldBy, type Holder, holderOf, inUse, whileHeld } from './vm-holder.ts';

/** Whether a VM runs, lies still with its memory saved, or is switched off. */
export type VmState = 'running' | 'suspended' | 'stopped';

export interface LocalVm {
  readonly name: LocalName;
  readonly directory: VmDirectory;
}

/** The VMs of this machine, each a directory below `vms/`. */
export class LocalVms {
  readonly #home: Home;
  readonly #platform: NodeJS.Platform;
  readonly #contents: ContentStore;

  constructor(home: Home, platform: NodeJS.Platform, contents: ContentStore) {
    this.#home = home;
    this.#platform = platform;
    this.#contents = contents;
  }

  pathOf(name: LocalName): string {
    return `${this.#home.vmsDirectory}/${name.text}`;
  }

  /**
   * Every directory that holds a usable VM, by name. Others are ignored, as Tart does, and those that cannot be looked
   * at passed over.
   */
  list(): LocalVm[] {
    const vms: LocalVm[] = [];
    const { unreadable, vmsDirectory } = this.#home;
    for (const entry of namesIn(vmsDirectory)) {
      const name = LocalName.tryParse(entry);
      if (name === undefined) continue;
      const directory = unreadable.passOver(this.pathOf(name), () => this.#look(name));
      if (directory !== undefined) vms.push({ name, directory });
    }
    return vms;
  }

  #look(name: LocalName): VmDirectory | undefined {
    const directory = lookAtLocalVm(this.pathOf(name));
    // A directory with only a manifest is how the cache stores a stacked image, not a VM (tart-formats §1.3).
    return directory?.layout === 'stacked-cached' ? undefined : directory;
  }

  find(name: LocalName): LocalVm | undefined {
    const directory = this.#look(name);
    return directory === undefined ? undefined : { name, directory };
  }

  /**
   * @throws TartletError `VM_NOT_FOUND`, or `VM_INVALID` when a file of it is missing, or is none.
   */
  async require(name: LocalName): Promise<LocalVm> {
    const vm = this.find(name);
    if (vm !== undefined) return vm;
    if (await exists(`${this.pathOf(name)}/${VmFile.config}`)) {
      // Deleted before the first look, made anew before the second: two states of it are no damage.
      const came = this.find(name);
      if (came !== undefined) return came;
      throw unusable(name, this.pathOf(name));
    }
    if (await exists(this.pathOf(name))) throw withoutConfig(this.pathOf(name));
    throw notThere(name);
  }

  /**
   * Does something with the files of a VM that no lock keeps there, all of one VM. When it was deleted or replaced
   * meanwhile, that is the error.
   *
   * @param before what {@link identityOf} said of it, where it was looked at earlier. Default: what it says now.
   * @throws TartletError `VM_NOT_FOUND`, `BUSY`, and what `work` throws.
   */
  async whileThere<T>({ name, directory }: LocalVm, work: () => Promise<T>, before?: string): Promise<T> {
    const identity = before ?? (await identityOf(directory.path));
    const requireSame = async (): Promise<void> => {
      await this.require(name);
      if ((await identityOf(directory.path)) !== identity) throw replaced(directory.path);
    };
    try {
      const result = await work();
      await requireSame();
      return result;
    } catch (error) {
      if (isMissing(error)) await requireSame();
      throw error;
    }
  }

  /**
   * What a VM does now: running means that a process, of Tart too, holds the lock of its configuration (tart-cli
   * §4.2).
   */
  async state(vm: LocalVm): Promise<VmState> {
    if (await this.#isRunning(vm.directory.path)) return 'running';
    return isSuspended(vm.directory) ? 'suspended' : 'stopped';
  }

  async #isRunning(directory: string): Promise<boolean> {
    return hasWriteLock(`${directory}/${VmFile.config}`, this.#platform);
  }

  /** Which process keeps a VM from being changed now. @throws TartletError `DISK_*` */
  async holder(name: LocalName): Promise<Holder> {
    const directory = this.pathOf(name);
    return (await this.#isRunning(directory)) ? holderOf(`${directory}/${VmFile.config}`, this.#platform) : 'none';
  }

  /** @throws TartletError `VM_RUNNING`, also while another command is at work on it. */
  async refuseRunning(name: LocalName): Promise<void> {
    const holder = await this.holder(name);
    if (holder !== 'none') throw heldBy(holder, name.text);
  }

  /**
   * Takes the lock of a VM's configuration, as a program that runs it would, so that it counts as running meanwhile. A
   * kernel lock of the open file: unlike Tart's it survives other readers of the same file in this process
   * (tart-formats §1.9).
   *
   * @throws TartletError `BUSY` when another process has it, `VM_NOT_FOUND` when it was deleted since it was looked at.
   */
  async hold(vm: LocalVm): Promise<FileLock> {
    const lock = await FileLock.acquireExisting(`${vm.directory.path}/${VmFile.config}`).catch((error: unknown) => {
      throw isMissing(error) ? notThere(vm.name) : error;
    });
    if (lock !== undefined) return lock;
    throw inUse(vm.name);
  }

  /**
   * As {@link hold}, for callers that only read. Where it is read-only nothing can be locked (reliability D10); that no
   * process holds it is asked then, since the same directory may be writable elsewhere, e.g. outside of a container. A
   * caller that gets no lock must look again in the end.
   *
   * @throws TartletError `BUSY`
   */
  async holdForReading(vm: LocalVm): Promise<FileLock | undefined> {
    try {
      return await this.hold(vm);
    } catch (error) {
      if (!isTartletError(error, 'DISK_READONLY')) throw error;
      if (await FileLock.isHeld(`${vm.directory.path}/${VmFile.config}`)) throw inUse(vm.name);
      return undefined;
    }
  }

  /**
   * Serialises what changes `vms/`, in other processes too; on macOS it is the lock that Tart takes (tart-cli §4.3).
   */
  async underLock<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    await makeDurableDirectory(this.#home.root);
    const lock = await FileLock.acquireDirectory(this.#home.root, this.#platform, {
      mode: 'exclusive',
      wait: true,
      signal,
    });
    try {
      return await work();
    } finally {
      await lock?.release();
    }
  }

  /**
   * Gives a finished scratch directory its name. A stopped VM of that name is replaced, as Tart does, in one step; a
   * running one and a directory that is no VM never are. Call under {@link underLock}.
   *
   * @returns whether one was replaced.
   * @throws TartletError `VM_RUNNING`, `VM_EXISTS`
   */
  async publish(scratch: Scratch, name: LocalName): Promise<boolean> {
    const target = this.pathOf(name);
    refuseReserved(name);
    if (!(await exists(target))) {
      await this.#moving([scratch.directory], undefined, async () =>
        publishDirectory(scratch.directory, target, this.#home.root),
      );
      return false;
    }
    if (!(await exists(`${target}/${VmFile.config}`))) throw inTheWay(target);
    await this.refuseRunning(name);
    await this.#moving([scratch.directory, target], name, async () =>
      exchangeDirectories(scratch.directory, target, this.#home.root),
    );
    return true;
  }

  /**
   * What is stacked refers to the content store, and moves only while no command collects there (tart-formats §4.7).
   * @param name of the VM that goes from its place, if one does.
   */
  async #moving(directories: readonly string[], name: LocalName | undefined, work: () => Promise<void>): Promise<void> {
    const move = name === undefined ? work : async () => whileHeld(`${this.pathOf(name)}/${VmFile.config}`, name, work);
    if (!directories.some((directory) => lookAtLocalVm(directory)?.layout === 'stacked-local')) return move();
    return this.#contents.change(undefined, move);
  }

  /** @throws TartletError `VM_NOT_FOUND`, `VM_RUNNING`, `VM_EXISTS` */
  async rename(from: LocalName, to: LocalName): Promise<void> {
    refuseReserved(to);
    await this.underLock(undefined, async () => {
      await this.require(from);
      if (await exists(this.pathOf(to))) throw nameTaken(to);
      await this.refuseRunning(from);
      await this.#moving([this.pathOf(from)], from, async () =>
        onDisk('rename', this.pathOf(from), async () => moveEntry(this.pathOf(from), this.pathOf(to))),
      );
      await fsyncUpTo(this.#home.vmsDirectory, this.#home.root);
    });
  }

  /** @throws TartletError `VM_NOT_FOUND`, `VM_RUNNING` */
  async delete(name: LocalName): Promise<void> {
    await this.underLock(undefined, async () => {
      if (!(await exists(`${this.pathOf(name)}/${VmFile.config}`))) await this.require(name);
      await this.refuseRunning(name);
      const directory = this.pathOf(name);
      await this.#moving([directory], name, async () => {
        const isStacked = lookAtLocalVm(directory)?.layout === 'stacked-local';
        await removeDirectory(directory, await scratchDirectoryOf(this.#home), VmFile.config);
        if (isStacked) await this.#contents.collect();
      });
    });
  }

  /** Records a use of a VM; never fails. */
  async touch(vm: LocalVm, at: Date): Promise<void> {
    await recordUse(vm.directory.path, at);
  }
}
