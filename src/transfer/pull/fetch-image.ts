import { TartletError } from '../../errors.ts';
import { sealDisk } from '../../home/disk-seal.ts';
import { originOfImage, writeOrigin } from '../../home/origin.ts';
import { Staging } from '../../home/staging.ts';
import { VmFile } from '../../home/vm-folder.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { allChunks, type StackedImage } from '../../oci/tart-image.ts';
import { BlobsToCome } from '../blobs-to-come.ts';
import { ChunkReport, type Download } from './download.ts';
import { downloadFlat } from './flat-download.ts';
import { chunksToFetch, type PullPlan, spaceNeeded, summarize } from './plan.ts';
import type { PlanSummary } from '../../session/plan-summary.ts';
import { PullRoom } from './pull-room.ts';
import type { Session } from '../../session/session.ts';
import { announceContent, downloadStacked } from './stacked-download.ts';
import { Survey } from './survey.ts';

/**
 * Builds an image in a staging folder and publishes it, over whatever lies in its place. Call under the lock of its
 * digest, alone.
 *
 * @param presence `lacks-content`: the record of a stacked image is right, and only files of the content store are
 * missing.
 * @returns bytes that crossed the network.
 * @throws TartletError with `removed` when images were deleted to make room: see {@link PullRoom} for when that can be.
 */
export async function fetchImage(
  session: Session,
  download: Download,
  presence: 'absent' | 'lacks-content',
): Promise<number> {
  const { image, name } = download;
  const survey = await Survey.take(session, { name, image, hasRecord: presence === 'lacks-content' }, 'lease');
  try {
    const plan = await survey.plan();
    const blobs = new BlobsToCome(Staging.at(session.home, image.manifest.digest), chunksToFetch(plan));
    const confirm = async (wanted: readonly Descriptor[]): Promise<void> => confirmBlobs(session, download, wanted);
    const room = await PullRoom.open(session, { subject: name.toString(), needed: spaceNeeded(plan), blobs, confirm });
    try {
      return await fetchPlanned(session, { ...download, room }, survey, plan, presence);
    } catch (error) {
      if (!(error instanceof TartletError) || room.removed.length === 0) throw error;
      throw error.with({ removed: room.removed });
    } finally {
      await blobs.end();
    }
  } finally {
    await survey.release();
  }
}

async function fetchPlanned(
  session: Session,
  download: Download,
  survey: Survey,
  plan: PullPlan,
  presence: 'absent' | 'lacks-content',
): Promise<number> {
  const { image, name } = download;
  const summary = summarize(plan);
  const report = new ChunkReport(session, name.toString(), summary.fetchBytes);
  announce(session, name, plan, summary);
  if (image.layout === 'flat') {
    const staging = await Staging.open(session.home, image.manifest.digest);
    const fetchedBytes = await downloadFlat(session, { ...download, image }, survey, report, staging);
    await publish(session, download, staging, report);
    return fetchedBytes;
  }
  const stacked = { ...download, image };
  // The record names its files already, so that they are not collected as they come.
  if (presence === 'lacks-content') return downloadStacked(session, stacked, survey, report, undefined);
  return fetchStacked(session, stacked, survey, report);
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
  { client, name }: Download,
  wanted: readonly Descriptor[],
): Promise<void> {
  const blobs = [...wanted];
  const askNext = async (): Promise<void> => {
    for (let blob = blobs.pop(); blob !== undefined; blob = blobs.pop()) {
      if (!(await client.blobExists(blob, { signal: session.signal }))) throw missing(name, blob);
    }
  };
  await Promise.all(Array.from({ length: QUESTIONS }, askNext));
}

function missing(name: RemoteName, { digest, size }: Descriptor): TartletError {
  return new TartletError(
    'NOT_FOUND',
    `${name.toString()} names a blob of ${size} bytes that the registry does not have: ${digest.toString()}`,
    {
      subject: name.toString(),
      next: { kind: 'push-again' },
    },
  );
}

function announce(session: Session, name: RemoteName, plan: PullPlan, summary: PlanSummary): void {
  session.emit({
    kind: 'started',
    subject: name.toString(),
    direction: 'pull',
    bytesTotal: summary.fetchBytes,
    diskBytes: summary.diskBytes,
    chunks: allChunks(plan.image).length,
    plan: summary,
  });
}

async function fetchStacked(
  session: Session,
  download: Download<StackedImage>,
  survey: Survey,
  report: ChunkReport,
): Promise<number> {
  const staging = await Staging.open(session.home, download.image.manifest.digest);
  const reference = await announceContent(session, download.image, staging);
  try {
    const fetchedBytes = await downloadStacked(session, download, survey, report, staging);
    await publish(session, download, staging, report);
    return fetchedBytes;
  } finally {
    await reference.dispose();
  }
}

async function publish(
  session: Session,
  { name, image }: Download,
  staging: Staging,
  report: ChunkReport,
): Promise<void> {
  const { manifest, layout } = image;
  await writeOrigin(
    staging.folder,
    originOfImage({
      name,
      digest: manifest.digest,
      mediaType: manifest.mediaType,
      manifestBytes: manifest.bytes.length,
      at: session.now(),
      via: 'pull',
      unproven: [...report.unproven],
    }),
  );
  const files = [VmFile.manifest, VmFile.config, VmFile.nvram];
  await staging.flush(layout === 'flat' ? [...files, VmFile.disk] : files);
  if (layout === 'flat') await sealDisk(staging.folder, manifest.digest, session.platform);
  session.signal.throwIfAborted();
  await session.images.publish(staging.folder, name, manifest.digest);
}
