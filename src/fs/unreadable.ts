import { isTartletError, systemCode, type TartletError } from '../errors.ts';
import { diskError } from './disk-error.ts';

/** Told of an entry that was passed over, once for each. */
export type OnUnreadable = (entry: string, error: TartletError) => void;

/** What the process lacks, whatever it looks at: an entry cannot help it. */
const OF_THE_PROCESS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/**
 * The one answer to an entry of a home that cannot be looked at while others are: it belongs to another user, is a
 * symlink loop, lies on a server that is gone. It is passed over and told once, and everything else goes on. A command
 * that deletes must then take it for something that needs what it may refer to.
 *
 * Not for what was asked for by its name: there the failure is the answer.
 */
export class Unreadable {
  readonly #tell: OnUnreadable;
  readonly #told = new Set<string>();

  constructor(tell: OnUnreadable = () => undefined) {
    this.#tell = tell;
  }

  /**
   * @param entry what is passed over when `look` fails: an image's or VM's directory, a tag, a directory of many.
   * @returns undefined when it cannot be looked at. @throws whatever is no failure of the file system.
   */
  passOver<T>(entry: string, look: () => T): T | undefined {
    try {
      return look();
    } catch (cause) {
      return this.note(entry, cause);
    }
  }

  /** {@link passOver} for looks that take their time. */
  async passOverLater<T>(entry: string, look: () => Promise<T>): Promise<T | undefined> {
    try {
      return await look();
    } catch (cause) {
      return this.note(entry, cause);
    }
  }

  /** Tells of an entry. @throws the cause, when it is no failure of the file system with this entry. */
  note(entry: string, cause: unknown): undefined {
    if (!isOfTheEntry(cause)) throw cause;
    if (this.#told.has(entry)) return;
    this.#told.add(entry);
    this.#tell(entry, diskError(cause, 'look at', entry));
  }
}

/** Whether something failed because of the entry that was looked at. */
function isOfTheEntry(cause: unknown): boolean {
  if (isTartletError(cause)) {
    const system = systemCode(cause.facts.cause) ?? '';
    return isTartletError(cause, 'DISK_IO', 'DISK_DENIED', 'DISK_UNSUPPORTED') && !OF_THE_PROCESS.has(system);
  }
  const system = systemCode(cause);
  // Node's own errors have codes too.
  return system !== undefined && !system.startsWith('ERR_') && !OF_THE_PROCESS.has(system);
}
