import { freeUp, prunable } from '../../home/prune/free-up.ts';
import { freeBytes } from '../../fs/space.ts';
import { sweep } from '../../home/prune/sweep.ts';
import { humanBytes } from '../../names/byte-count.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';
import type { BlobsToCome } from '../blobs-to-come.ts';
import { tellDeleted } from '../collect.ts';
import type { SpaceNeeded } from './plan.ts';
import { goalOf, requireRoom, RESERVE_BYTES } from './room.ts';
import type { Session } from '../../session/session.ts';
import type { WorkerPool } from '../../chunks/worker-pool.ts';

/**
 * What a part of a disk takes while and after it is written, and the blob that it is decoded from, if it is from one.
 */
export type Part = SpaceNeeded & { readonly blob: string | undefined };

/** What blobs are checked with before anything is deleted. */
export interface RoomTools {
  /** The disk that is put together. */
  readonly path: string;
  /** Chunks have to be fetched that were planned to be found here, or have to be fetched again. */
  readonly onMissing: (chunks: readonly DiskChunk[]) => void;
}

/** What a pull needs room for. */
export interface RoomWanted {
  /** The image, for messages. */
  readonly subject: string;
  /** By the whole pull. */
  readonly needed: SpaceNeeded;
  readonly blobs: BlobsToCome;
  /** Asks the registry whether it has these blobs, and throws when it has not. */
  readonly confirm: (blobs: readonly Descriptor[]) => Promise<void>;
}

/**
 * Room on the disk for what a pull writes, made as late as possible. A manifest only claims what its blobs are, and a
 * registry only claims to have them, so that nothing is deleted on their word (issue 14, item 2):
 *
 * 1. Parts are fetched to their place as far as the free space goes, less what all other blobs take as they come.
 * 2. Before the first deletion, every blob that is still to come is fetched, decoded and checked, and kept as it came
 *    while there is free space for it. Only the others have to come twice. The alternative was to check only the part
 *    that needs the room: then an image of which the last part is wrong would have cost whole images already.
 * 3. Images that were not used for longest go until the next part fits, and not one more; it is decoded from where its
 *    blob is kept, or fetched again.
 *
 * So a pull that fails because of what a blob is has deleted nothing. One that deleted something can still fail: when
 * the network, the registry or the disk fails after that, when the user interrupts it, when the registry sends a blob
 * right once and wrong the second time, or when what was to be copied changes after it was checked. For a stacked image
 * also when its parts are right and the whole file is not, or when what another of its files was to be copied from is
 * not: both show only when that file is there.
 */
export class PullRoom {
  readonly #session: Session;
  readonly #wanted: RoomWanted;
  /** Whether images can be deleted by this pull at all. */
  readonly mayDelete: boolean;
  readonly #isPlenty: boolean;
  /** Names of images that were deleted. */
  readonly removed: string[] = [];
  /** Whether all that was put off was checked once. */
  #isCertain = false;
  /** Bytes that the parts under way may still take, or have taken already. */
  #reserved = 0;
  #underWay = 0;
  #turn: Promise<void> = Promise.resolve();
  #wake: () => void = () => undefined;

  private constructor(session: Session, wanted: RoomWanted, state: { isPlenty: boolean; mayDelete: boolean }) {
    this.#session = session;
    this.#wanted = wanted;
    this.#isPlenty = state.isPlenty;
    this.mayDelete = state.mayDelete;
  }

  /**
   * Deletes nothing yet.
   *
   * @throws TartletError `DISK_FULL` when not even all of the cache that may go would be enough.
   */
  static async open(session: Session, wanted: RoomWanted): Promise<PullRoom> {
    const { needed, subject } = wanted;
    if ((await freeBytes(session.home.cacheDirectory)) >= needed.atMost + RESERVE_BYTES) {
      return new PullRoom(session, wanted, { isPlenty: true, mayDelete: false });
    }
    await requireRoom(session, subject, needed);
    const isForbidden = session.environment['TART_NO_AUTO_PRUNE'] !== undefined;
    const mayDelete = !isForbidden && (await prunable(session)).length > 0;
    return new PullRoom(session, wanted, { isPlenty: false, mayDelete });
  }

  get blobs(): BlobsToCome {
    return this.#wanted.blobs;
  }

  /** Chunks have to be fetched that were planned otherwise. */
  expect(chunks: readonly DiskChunk[]): void {
    this.blobs.expect(chunks);
  }

  /**
   * Waits for room for a part, and makes it if need be.
   *
   * @param signal aborted when another part has failed: then nothing is deleted for this one any more.
   * @returns what gives the reservation back; to be called when the part is written, or has failed. `later`: something
   *   has to be deleted for it, and for that {@link makeCertain} comes first.
   */
  async enter(part: Part, signal: AbortSignal): Promise<(() => void) | 'later'> {
    if (this.#isPlenty) return () => undefined;
    const before = this.#turn;
    let leaveTurn: () => void = () => undefined;
    this.#turn = new Promise((resolve) => {
      leaveTurn = resolve;
    });
    try {
      await before;
      if ((await this.#fit(part, signal)) === 'later') return 'later';
      this.blobs.begin(part.blob);
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

  /**
   * Fetches and checks every blob that is still to come. Call while no part is under way, and when what was put off
   * without being a blob was checked. After that parts may have things deleted for them.
   *
   * @throws TartletError `NOT_FOUND`, and those of {@link BlobsToCome.check}; nothing was deleted then.
   */
  async makeCertain(pool: WorkerPool, { path, onMissing }: RoomTools): Promise<void> {
    const { subject, blobs, confirm } = this.#wanted;
    const { unseen } = blobs;
    this.#isCertain = true;
    if (unseen.length === 0) return;
    const roomBytes = (await freeBytes(this.#session.home.cacheDirectory)) - RESERVE_BYTES;
    this.#session.emit({
      kind: 'note',
      subject,
      text: `room is needed: ${humanBytes(blobs.bytesBeside(undefined), 1)} are checked before any image goes`,
    });
    await confirm(unseen.map(({ descriptor }) => descriptor));
    const again = await blobs.check({ pool, disk: path, roomBytes });
    if (again.length > 0) onMissing(again);
  }

  async #fit(part: Part, signal: AbortSignal): Promise<'fits' | 'later'> {
    for (;;) {
      const free = await freeBytes(this.#session.home.cacheDirectory);
      signal.throwIfAborted();
      const kept = this.mayDelete ? this.blobs.bytesBeside(part.blob) : 0;
      if (free >= this.#reserved + part.atMost + RESERVE_BYTES + kept) return 'fits';
      if (this.#underWay === 0) return this.#make(part, signal);
      // What is under way has written an unknown part of what is reserved for it: when it is done, the numbers are
      // exact.
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #make(part: Part, signal: AbortSignal): Promise<'fits' | 'later'> {
    const session = this.#session;
    // Nothing can or may go: whether it fits, the disk will say.
    if (!this.mayDelete) return 'fits';
    // What is to be copied may turn out to have to come as well.
    if (!this.#isCertain || this.blobs.unseen.length > 0) return 'later';
    const candidates = await prunable(session);
    const goal = goalOf(part, {
      free: await freeBytes(session.home.cacheDirectory),
      prunable: candidates.reduce((sum, { bytes }) => sum + bytes, 0),
    });
    if (goal === undefined) return 'fits';
    await sweep(session);
    signal.throwIfAborted();
    for (const { candidate } of (await freeUp(session, goal)).deleted) {
      this.removed.push(candidate.name.toString());
      tellDeleted(session, this.#wanted.subject, candidate, 'room');
    }
    return 'fits';
  }
}
