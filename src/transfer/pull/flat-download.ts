import { writeNewFile } from '../../fs/fsync.ts';
import type { Staging } from '../../home/staging.ts';
import { VmFile } from '../../home/vm-folder.ts';
import type { FlatImage } from '../../oci/tart-image.ts';
import { buildDisk } from './disk-build.ts';
import { bringAll, type ChunkReport, type Download, explainKept, fetchVmFiles, withWorkers } from './download.ts';
import type { Session } from '../../session/session.ts';
import { diskOf, type Survey } from './survey.ts';

/**
 * Fills a staging folder with a verified flat image.
 *
 * @returns bytes that crossed the network.
 * @throws TartletError with `kept` saying how much the next try can use.
 */
export async function downloadFlat(
  session: Session,
  download: Download<FlatImage>,
  survey: Survey,
  report: ChunkReport,
  staging: Staging,
): Promise<number> {
  const { manifest, base } = download.image;
  await writeNewFile(staging.pathOf(VmFile.manifest), manifest.bytes);
  const workplace = diskOf(staging);
  const plan = await survey.planFile(base, workplace);
  try {
    return await withWorkers(session, download, async (carrier) => {
      await bringAll(
        download,
        carrier,
        async () => fetchVmFiles(download, carrier, staging),
        async () => buildDisk(carrier.pool, { ...workplace, plan, room: download.room, ...report.forFile(0) }),
      );
    });
  } catch (error) {
    throw explainKept(error, report.verified, base.chunks.length);
  }
}
