import { TartletError } from '../../errors.ts';
import { freeUp, prunable } from '../../home/prune/free-up.ts';
import { freeBytes } from '../../fs/space.ts';
import { sweep } from '../../home/prune/sweep.ts';
import { humanBytes } from '../../names/byte-count.ts';
import { tellDeleted } from '../collect.ts';
import type { SpaceNeeded } from './plan.ts';
import type { Session } from '../../session/session.ts';

/** What stays free beside what is needed, in bytes: for whatever else writes meanwhile, as in Tart (tart-cli §4.7). */
export const RESERVE_BYTES = 128 * 1024 * 1024;

/**
 * Makes sure that what is here and will be copied fits, before its first byte (what a pull fetches: {@link PullRoom}):
 * where it may not, images that were not used for longest go until it does, and not one more; what is pinned or in use
 * never goes. With `TART_NO_AUTO_PRUNE` in the environment nothing is deleted.
 *
 * Room is made for `atMost` where that can be had at all, else for `atLeast`, which is the least that can do.
 *
 * @param subject what needs the room, for messages; the caller holds its lock, so that it is not deleted for its own
 * sake.
 * @throws TartletError `DISK_FULL` with exact numbers when even `atLeast` cannot be; then nothing was deleted, except
 * what was deleted before another process began to use the rest.
 */
export async function makeRoom(session: Session, subject: string, needed: SpaceNeeded): Promise<void> {
  const state = await stateOf(session, needed);
  if (state === 'plenty') return;
  const goal = state.prunable === undefined ? undefined : goalOf(needed, { ...state, prunable: state.prunable });
  if (goal === undefined) return requireFree(session, subject, needed, state);
  const freed = await freeUp(session, goal);
  for (const { candidate } of freed.deleted) tellDeleted(session, subject, candidate, 'room');
  requireFree(session, subject, needed, { free: freed.freeBytes, prunable: 0 });
}

/**
 * Makes sure that what comes can fit at all, deleting nothing.
 *
 * @param subject what needs the room, for messages.
 * @throws TartletError `DISK_FULL`
 */
export async function requireRoom(session: Session, subject: string, needed: SpaceNeeded): Promise<void> {
  const state = await stateOf(session, needed);
  if (state === 'plenty') return;
  requireFree(session, subject, needed, { ...state, free: state.free + (state.prunable ?? 0) }, state.free);
}

/**
 * Makes sure that something fits where nothing lies that could be deleted for it.
 *
 * @param subject what needs the room, for messages. @param bytes that it needs at least.
 * @throws TartletError `DISK_FULL` with exact numbers.
 */
export async function requireFreeIn(directory: string, subject: string, bytes: number): Promise<void> {
  const free = await freeBytes(directory);
  if (free >= bytes) return;
  throw new TartletError(
    'DISK_FULL',
    `${subject} needs at least ${humanBytes(bytes, 1)}, ${humanBytes(free, 1)} are free in ${directory}`,
    {
      subject: directory,
      expected: String(bytes),
      found: String(free),
      kept: 'nothing was begun',
      next: { kind: 'free-space' },
    },
  );
}

/** What is free, and what the cache could give where it may be asked. What killed commands left goes on the way. */
async function stateOf(session: Session, needed: SpaceNeeded): Promise<DiskState | 'plenty'> {
  const directory = session.home.cacheDirectory;
  const free = await freeBytes(directory);
  if (free >= needed.atMost + RESERVE_BYTES) return 'plenty';
  if (session.environment['TART_NO_AUTO_PRUNE'] !== undefined) return { free, prunable: undefined };
  await sweep(session);
  const candidates = await prunable(session);
  return {
    free: await freeBytes(directory),
    prunable: candidates.reduce((sum, candidate) => sum + candidate.bytes, 0),
  };
}

interface DiskState {
  readonly free: number;
  /** What the cache could give; undefined when it was not asked. */
  readonly prunable: number | undefined;
}

/** How many bytes should be free; undefined: no deletion would help, or none is needed. */
export function goalOf(
  needed: SpaceNeeded,
  state: { readonly free: number; readonly prunable: number },
): number | undefined {
  const most = state.free + state.prunable;
  if (most >= needed.atMost + RESERVE_BYTES) return needed.atMost + RESERVE_BYTES;
  // It may fit as it is. Emptying the whole cache would not make it certain, so that nothing goes (as in Tart).
  if (state.free >= needed.atLeast || most < needed.atLeast) return undefined;
  return Math.min(most, needed.atLeast + RESERVE_BYTES);
}

/**
 * @param isFree bytes to tell as free, where what could be freed counts too.
 * @throws TartletError `DISK_FULL`
 */
function requireFree(
  session: Session,
  subject: string,
  needed: SpaceNeeded,
  { free, prunable: more }: DiskState,
  isFree = free,
): void {
  if (free >= needed.atLeast) return;
  const directory = session.home.cacheDirectory;
  const bytes = (count: number): string => humanBytes(count, 1);
  const pruning = more === undefined ? 'TART_NO_AUTO_PRUNE forbids pruning' : `pruning would free ${bytes(more)} more`;
  throw new TartletError(
    'DISK_FULL',
    `${subject} needs at least ${bytes(needed.atLeast)} (+${bytes(RESERVE_BYTES)} in reserve), ` +
      `${bytes(isFree)} are free in ${directory}, ${pruning}`,
    {
      subject: directory,
      expected: String(needed.atLeast),
      found: String(isFree),
      kept: 'nothing was begun',
      next: { kind: 'make-room', before: 'pull' },
    },
  );
}
