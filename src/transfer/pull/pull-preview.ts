import path from 'node:path';
import { chooseForRoom, prunable } from '../../home/prune/free-up.ts';
import type { Candidate } from '../../home/prune/prune-candidate.ts';
import { freeBytes } from '../../fs/space.ts';
import type { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { allChunks, type TartImage } from '../../oci/tart-image.ts';
import { askForManifest, understandImage } from './asked-image.ts';
import { askPeers } from './peer-offers.ts';
import { chunksToFetch, encodedBytes, type PullPlan, type SpaceNeeded, spaceNeeded, summarize } from './plan.ts';
import type { PlanSummary } from '../../session/plan-summary.ts';
import type { PullOptions, PullOutcome } from './pull.ts';
import { findPresence, pullTarget, type PullTarget } from './pull-target.ts';
import { goalOf, RESERVE_BYTES } from './room.ts';
import type { Session } from '../../session/session.ts';
import { PullPlanner } from './pull-planner.ts';

/** What a pull would do now. */
export interface PullPreview {
  readonly name: RemoteName;
  readonly digest: Digest;
  /** What {@link PullOutcome.status} would be. */
  readonly status: PullOutcome['status'];
  readonly plan: PlanSummary;
  /** What of it peers say to have, which proves nothing. In bytes as the registry has them. */
  readonly fromPeers: { readonly bytes: number; readonly chunks: number };
  readonly space: SpaceNeeded & { readonly free: number };
  /**
   * What would go to make room if none of the disk turns out to be holes, that first which was not used for longest.
   */
  readonly deletions: readonly Candidate[];
}

/**
 * Finds out what a pull would do, by one request for the manifest and a look at the home, where nothing is changed and
 * no other process has to wait.
 *
 * @throws TartletError as `pull` would before its first byte, but for too little space: that is for the caller to see.
 */
export async function previewPull(session: Session, name: RemoteName, options: PullOptions = {}): Promise<PullPreview> {
  await session.images.refuseCollision(name);
  const source = await session.source(name, options.insecure ?? false);
  try {
    const raw = await askForManifest(session, name, source, options.accept);
    const { digest } = raw;
    const image = understandImage(raw, name.toString(), options.accept ?? 'any');
    const target = pullTarget(name, image, await findPresence(session, name.withDigest(digest)));
    const isNamed = name.tag === undefined || (await session.images.isLinked(name, digest));
    const plan = await planOf(session, target);
    const space = { ...spaceNeeded(plan), free: await freeBytes(session.home.cacheDirectory) };
    return {
      name,
      digest,
      status: target.presence !== 'complete' ? 'pulled' : isNamed ? 'present' : 'linked',
      plan: summarize(plan),
      fromPeers: await offeredOf(session, name, plan),
      space,
      deletions: await deletionsFor(session, plan, space),
    };
  } finally {
    await source.close();
  }
}

/**
 * As `PullRoom` chooses when the parts come one after the other. What chunks are copied from is held by the pull, and
 * stays.
 */
async function deletionsFor(session: Session, plan: PullPlan, space: PullPreview['space']): Promise<Candidate[]> {
  if (space.free >= space.atMost + RESERVE_BYTES || session.environment['TART_NO_AUTO_PRUNE'] !== undefined) return [];
  const used = new Set(summarize(plan).reused.map(({ seed }) => path.dirname(seed.path)));
  const candidates = (await prunable(session)).filter((candidate) => !used.has(candidate.path));
  const all = candidates.reduce((sum, { bytes }) => sum + bytes, 0);
  const goal = goalOf(space, { free: space.free, prunable: all });
  return goal === undefined ? [] : chooseForRoom(candidates, goal - space.free).map(({ candidate }) => candidate);
}

async function offeredOf(session: Session, name: RemoteName, plan: PullPlan): Promise<PullPreview['fromPeers']> {
  const toFetch = chunksToFetch(plan);
  const offers = await askPeers(session, name.toString(), toFetch);
  const offered = toFetch.filter(({ contentDigest }) => offers?.peersFor(contentDigest.toString()) !== undefined);
  return { bytes: encodedBytes(offered), chunks: offered.length };
}

/** How a pull would bring an image, by a look at the home that takes no locks. */
export async function planOf(session: Session, target: PullTarget): Promise<PullPlan> {
  const { image, presence } = target;
  if (presence === 'complete') return { image, files: [], storedBytes: decodedBytes(image), vmFileBytes: 0 };
  const planner = await PullPlanner.prepare(session, target, 'look');
  try {
    return await planner.plan();
  } finally {
    await planner.release();
  }
}

function decodedBytes(image: TartImage): number {
  return allChunks(image).reduce((sum, { size }) => sum + size, 0);
}
