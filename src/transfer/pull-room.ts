import { freeUp, prunable } from '../home/free-up.ts';
import { freeBytes } from '../home/space.ts';
import { sweep } from '../home/sweep.ts';
import { tellDeleted } from './collect.ts';
import type { SpaceNeeded } from './plan.ts';
import { goalOf, requireRoom, RESERVE_BYTES } from './room.ts';
import type { Session } from './session.ts';

/** What a part of a disk takes at the least and at the most, in bytes, while and after it is written. */
export type PartSize = SpaceNeeded;

/**
 * Room on the disk for what a pull writes, made as late as possible. A manifest only claims how large its parts are, so
 * nothing is deleted on its word (issue 14, item 2): parts are fetched and verified as far as the free space goes. Only
 * when the next one does not fit, the registry must confirm that it has all blobs that are still to come, and images
 * that were not used for longest go until this one part fits, and not one more.
 */
export class PullRoom {
  readonly #session: Session;
  readonly #subject: string;
  readonly #confirm: () => Promise<void>;
  readonly #isPlenty: boolean;
  /** Names of images that were deleted. */
  readonly removed: string[] = [];
  #isConfirmed = false;
  /** Bytes that the parts under way may still take, or have taken already. */
  #reserved = 0;
  #underWay = 0;
  #turn: Promise<void> = Promise.resolve();
  #wake: () => void = () => undefined;

  private constructor(session: Session, subject: string, isPlenty: boolean, confirm: () => Promise<void>) {
    this.#session = session;
    this.#subject = subject;
    this.#isPlenty = isPlenty;
    this.#confirm = confirm;
  }

  /**
   * Deletes nothing yet.
   *
   * @param subject the image, for messages.
   * @param needed by the whole pull.
   * @param confirm asks the registry whether it has what is still to come, and throws when it has not.
   * @throws TartletError `DISK_FULL` when not even all of the cache that may go would be enough.
   */
  static async open(
    session: Session,
    subject: string,
    needed: SpaceNeeded,
    confirm: () => Promise<void>,
  ): Promise<PullRoom> {
    const isPlenty = (await freeBytes(session.home.cacheFolder)) >= needed.atMost + RESERVE_BYTES;
    if (!isPlenty) await requireRoom(session, subject, needed);
    return new PullRoom(session, subject, isPlenty, confirm);
  }

  /**
   * Waits for room for a part, and makes it if need be.
   *
   * @param signal aborted when another part has failed: then nothing is deleted for this one any more.
   * @returns what gives the reservation back; to be called when the part is written, or has failed.
   */
  async enter(part: PartSize, signal: AbortSignal): Promise<() => void> {
    if (this.#isPlenty) return () => undefined;
    const before = this.#turn;
    let leaveTurn: () => void = () => undefined;
    this.#turn = new Promise((resolve) => {
      leaveTurn = resolve;
    });
    try {
      await before;
      await this.#fit(part, signal);
      this.#reserved += part.atMost;
      this.#underWay += 1;
    } finally {
      leaveTurn();
    }
    return () => {
      this.#reserved -= part.atMost;
      this.#underWay -= 1;
      this.#wake();
    };
  }

  async #fit(part: PartSize, signal: AbortSignal): Promise<void> {
    for (;;) {
      const free = await freeBytes(this.#session.home.cacheFolder);
      signal.throwIfAborted();
      if (free >= this.#reserved + part.atMost + RESERVE_BYTES) return;
      if (this.#underWay === 0) return this.#make(part, signal);
      // What is under way has written an unknown part of what is reserved for it: when it is done, the numbers are
      // exact.
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #make(part: PartSize, signal: AbortSignal): Promise<void> {
    const session = this.#session;
    // The user forbade it: whether it fits, the disk will say.
    if (session.environment['TART_NO_AUTO_PRUNE'] !== undefined) return;
    const candidates = await prunable(session);
    const goal = goalOf(part, {
      free: await freeBytes(session.home.cacheFolder),
      prunable: candidates.reduce((sum, { bytes }) => sum + bytes, 0),
    });
    if (goal === undefined) return;
    if (!this.#isConfirmed) await this.#confirm();
    this.#isConfirmed = true;
    await sweep(session);
    signal.throwIfAborted();
    for (const { candidate } of (await freeUp(session, goal)).deleted) {
      this.removed.push(candidate.name.toString());
      tellDeleted(session, this.#subject, candidate, 'room');
    }
  }
}
