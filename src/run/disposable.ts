import { randomBytes } from 'node:crypto';
import { isTartletError } from '../errors.ts';
import type { FileLock } from '../fs/lock/lock.ts';
import { markDisposable } from '../home/vms/disposable.ts';
import { LocalName } from '../names/local-name.ts';
import { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';
import { type CloneOptions, cloneVm } from '../vm/clone.ts';

/** So much of what it is cloned from is in its name, in characters. */
const NAME_PART = 24;
const RANDOM_BYTES = 4;

/** How the VM is made: as {@link cloneVm} does it, or in another way. */
export type MakeClone = (
  session: Session,
  source: string,
  name: LocalName,
  options: Required<Pick<CloneOptions, 'beforeNamed'>>,
) => Promise<unknown>;

/** A VM that lives as long as one command. */
export class DisposableVm {
  readonly name: LocalName;
  readonly #session: Session;
  readonly #lock: FileLock;

  private constructor(session: Session, name: LocalName, lock: FileLock) {
    this.#session = session;
    this.name = name;
    this.#lock = lock;
  }

  /**
   * Clones an image, or a VM, under a name that nothing else has. An image that is not cached is pulled.
   * @throws TartletError those of {@link cloneVm}
   */
  static async clone(session: Session, source: string, make: MakeClone = cloneVm): Promise<DisposableVm> {
    const name = randomName(source);
    let lock: FileLock | undefined;
    try {
      await make(session, source, name, {
        beforeNamed: async (directory) => {
          lock = await markDisposable(directory, name);
        },
      });
      if (lock !== undefined) return new DisposableVm(session, name, lock);
    } catch (error) {
      await lock?.release();
      throw error;
    }
    throw new TypeError('a clone was made without its mark');
  }

  get directory(): string {
    return this.#session.vms.pathOf(this.name);
  }

  /** Deletes it. What was deleted before by others is no failure. @throws TartletError `VM_RUNNING`, `DISK_*` */
  async dispose(): Promise<void> {
    try {
      await this.#session.vms.delete(this.name);
    } catch (error) {
      if (!isTartletError(error, 'VM_NOT_FOUND')) throw error;
    } finally {
      await this.#lock.release();
    }
  }
}

/** The image it was made of, for readers of a list, and a number. */
function randomName(source: string): LocalName {
  const whole = RemoteName.looksRemote(source) ? RemoteName.parse(source).repository.toString() : source;
  const last = whole.slice(whole.lastIndexOf('/') + 1).replaceAll(/[^A-Za-z0-9_-]+/g, '-');
  return LocalName.parse(`${last.slice(0, NAME_PART)}-${randomBytes(RANDOM_BYTES).toString('hex')}`);
}
