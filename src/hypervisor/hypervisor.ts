import type { Accelerator } from './machine.ts';

/** Why a machine does not run any more. */
export type Ending =
  /** The guest turned itself off, or did so when it was asked to. */
  | { readonly kind: 'guest' }
  /** It was told to end at once. */
  | { readonly kind: 'ended' }
  /** Its memory was written to a file, from which it can go on. */
  | { readonly kind: 'suspended' }
  /** The guest crashed, or the program that runs it did. */
  | { readonly kind: 'crashed'; readonly reason: string };

/** Why a guest stands still. */
export interface DiskFailure {
  /** In the words of the system. */
  readonly reason: string;
  /** There is no room for what the guest writes, on the file system or in the quota. */
  readonly isFull: boolean;
  /** What the disk is kept in, where that is a file and known. */
  readonly file?: string;
}

/** What a running machine tells. */
export interface MachineEvents {
  /** The disk cannot be read or written: the guest stands still and goes on by itself when the cause has gone. */
  readonly onDiskError?: (failure: DiskFailure) => void;
  /**
   * A copy of a suspended guest did not get a network card of its own. `connected`: it goes on with the card that it
   * had, in a network where that is in no way of others; else it has no network.
   */
  readonly onCardKept?: (reason: string, connected: boolean) => void;
  /** What served the directories of this tag has gone: they do not answer the guest any more. All else of it works. */
  readonly onShareEnded?: (tag: string) => void;
}

/** A machine that runs. Everything of it is safe to call after it has ended, and does nothing then. */
export interface RunningMachine {
  /** Of the program that runs it. */
  readonly pid: number;
  /** What runs its instructions: a guest that was suspended goes on only in the same. */
  readonly accelerator: Accelerator;
  /** Resolves once; never rejects. */
  readonly ended: Promise<Ending>;
  /**
   * The address that the guest knows its network cards by: not always the one that it was given, see
   * {@link MachineEvents.onCardKept}.
   */
  readonly cardMac: string;
  /** The terminal of its console, if one was asked for. */
  readonly consolePath: string | undefined;
  /** Port of its VNC server on 127.0.0.1. */
  readonly vncPort: number | undefined;
  /** Presses the power button; what the guest makes of it is its own matter. */
  pressPowerButton(): Promise<void>;
  /** Closes the disks and ends, without a word to the guest. */
  end(): Promise<void>;
  /**
   * Puts a whole disk into the place of a lazy one (the first), while the guest runs.
   *
   * @param file absolute, or in the machine's directory: what the lazy disk began as, in its full size. What the guest
   * wrote is written to it.
   * @param commit called when the file has everything, while the guest stands still for a moment. From its success on
   * the file counts; when it fails, the lazy disk does.
   * @returns `ended` when the machine ended before it went on with the file, which counts nevertheless if `commit` was
   * called and succeeded.
   * @throws TartletError when it is not possible; the guest goes on as before, or after `commit`, is ended, since it
   * must not write any more to what does not count.
   */
  replaceDisk(file: string, commit: () => Promise<void>): Promise<'replaced' | 'ended'>;
  /**
   * Writes the memory of the guest to a file and ends. @throws TartletError when that is not possible; the guest goes
   * on then.
   */
  suspend(file: string): Promise<void>;
}
