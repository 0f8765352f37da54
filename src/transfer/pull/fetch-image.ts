import { TartletError } from '../../errors.ts';
import { markUnmodified } from '../../home/unmodified-marker.ts';
import { originOfImage, writeOrigin } from '../../home/origin.ts';
import { Staging } from '../../home/staging.ts';
import { VmFile } from '../../home/vm-directory.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { allChunks } from '../../oci/tart-image.ts';
import { BlobsToCome } from '../blobs-to-come.ts';
import type { BlobLookup } from '../../registry/contract.ts';
import { ChunkReport, type PreparedPull, type Transferred, type TransferContext } from './download.ts';
import { askPeers } from './peer-offers.ts';
import { downloadFlat } from './flat-download.ts';
import { chunksToFetch, type PullPlan, spaceNeeded, summarize } from './plan.ts';
import type { PlanSummary } from '../../session/plan-summary.ts';
import { PullRoom } from './pull-room.ts';
import type { PullTarget } from './pull-target.ts';
import type { Session } from '../../session/session.ts';
import { announceContent, downloadStacked } from './stacked-download.ts';
import { PullPlanner } from './pull-planner.ts';

/**
 * Builds an image in a staging directory and publishes it, over whatever lies in its place. Call under the lock of its
 * digest, alone.
 *
 * @throws TartletError with `removed` when images were deleted to make room: see {@link PullRoom} for when that can be.
 */
export async function fetchImage(session: Session, target: PullTarget, context: TransferContext): Promise<Transferred> {
  const subject = target.name.toString();
  const planner = await PullPlanner.prepare(session, target, 'lease');
  try {
    const plan = await planner.plan();
    const summary = summarize(plan);
    const toFetch = chunksToFetch(plan);
    const blobs = new BlobsToCome(Staging.at(session.home, target.digest), toFetch);
    const offers = await askPeers(session, subject, toFetch);
    const confirm = async (wanted: readonly Descriptor[]): Promise<void> =>
      confirmBlobs(session, context.source, subject, wanted);
    const room = await PullRoom.open(session, { subject, needed: spaceNeeded(plan), blobs, confirm });
    try {
      const report = new ChunkReport(session, subject, summary.fetchBytes);
      announce(session, subject, plan, summary);
      return await bringImage(session, target, { subject, context: { ...context, offers }, planner, room, report });
    } catch (error) {
      if (!(error instanceof TartletError) || room.removed.length === 0) throw error;
      throw error.with({ removed: room.removed });
    } finally {
      await blobs.end();
    }
  } finally {
    await planner.release();
  }
}

async function bringImage(session: Session, target: PullTarget, prepared: PreparedPull): Promise<Transferred> {
  const { image, presence } = target;
  // The record names its files already, so that they are not collected as they come.
  if (image.layout === 'stacked' && presence === 'lacks-content')
    return downloadStacked(session, image, prepared, undefined);
  const staging = await Staging.open(session.home, target.digest);
  if (image.layout === 'flat') {
    const transferred = await downloadFlat(session, image, prepared, staging);
    await publish(session, target, staging, { prepared, transferred });
    return transferred;
  }
  const reference = await announceContent(session, image, staging);
  try {
    const transferred = await downloadStacked(session, image, prepared, staging);
    await publish(session, target, staging, { prepared, transferred });
    return transferred;
  } finally {
    await reference.dispose();
  }
}

/** Questions under way at once. */
const QUESTIONS = 4;

/**
 * Asks the registry whether it has blobs, with the sizes that the manifest names, before they are fetched only to be
 * checked.
 *
 * @throws TartletError `NOT_FOUND`, and those of the registry client.
 */
async function confirmBlobs(
  session: Session,
  client: BlobLookup,
  subject: string,
  wanted: readonly Descriptor[],
): Promise<void> {
  const blobs = [...wanted];
  const askNext = async (): Promise<void> => {
    for (let blob = blobs.pop(); blob !== undefined; blob = blobs.pop()) {
      if (!(await client.blobExists(blob, { signal: session.signal }))) throw missing(subject, blob);
    }
  };
  await Promise.all(Array.from({ length: QUESTIONS }, askNext));
}

function missing(subject: string, { digest, size }: Descriptor): TartletError {
  return new TartletError(
    'NOT_FOUND',
    `${subject} names a blob of ${size} bytes that the registry does not have: ${digest.toString()}`,
    { subject, next: { kind: 'push-again' } },
  );
}

function announce(session: Session, subject: string, plan: PullPlan, summary: PlanSummary): void {
  session.emit({
    kind: 'started',
    subject,
    direction: 'pull',
    bytesTotal: summary.fetchBytes,
    diskBytes: summary.diskBytes,
    chunks: allChunks(plan.image).length,
    plan: summary,
  });
}

async function publish(
  session: Session,
  { name, digest, image, mark }: PullTarget,
  staging: Staging,
  { prepared: { report, context }, transferred }: { prepared: PreparedPull; transferred: Transferred },
): Promise<void> {
  const { manifest, layout } = image;
  await writeOrigin(
    staging.directory,
    originOfImage({
      name,
      digest,
      mediaType: manifest.mediaType,
      manifestBytes: manifest.bytes.length,
      at: session.now(),
      via: 'pull',
      unproven: [...report.unverified],
      peerBytes: transferred.peerBytes,
      servedBy: context.source.servedBy,
    }),
  );
  const files = [VmFile.manifest, VmFile.config, VmFile.nvram];
  await staging.fsync(layout === 'flat' ? [...files, VmFile.disk] : files);
  if (layout === 'flat') await markUnmodified(staging.directory, digest, session.platform);
  await mark?.(staging.directory);
  session.signal.throwIfAborted();
  await session.images.publish(staging.directory, name, digest);
}
