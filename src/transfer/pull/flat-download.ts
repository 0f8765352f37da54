import { writeNewFile } from '../../fs/fsync.ts';
import type { Staging } from '../../home/staging.ts';
import { VmFile } from '../../home/vm-directory.ts';
import type { FlatImage } from '../../oci/tart-image.ts';
import { DiskFill } from '../fill/disk-fill.ts';
import { whileFillIsServed } from '../fill/served-fill.ts';
import { usableIndex } from '../fill/usable-index.ts';
import { buildDisk, type DiskBuild } from './disk-build.ts';
import {
  bringParts,
  explainKept,
  fetchVmFiles,
  orderOfParts,
  type PreparedPull,
  type Transferred,
} from './download.ts';
import type { Session } from '../../session/session.ts';
import { diskOf } from './pull-planner.ts';

/**
 * Fills a staging directory with a verified flat image.
 *
 * @throws TartletError with `kept` saying how much the next try can use.
 */
export async function downloadFlat(
  session: Session,
  image: FlatImage,
  { subject, planner, room, report, context }: PreparedPull,
  staging: Staging,
): Promise<Transferred> {
  const { manifest, base } = image;
  const { offers, order, guest, patience } = context;
  await writeNewFile(staging.pathOf(VmFile.manifest), manifest.bytes);
  const workplace = diskOf(staging);
  const plan = await planner.planFile(base, workplace);
  const fill = new DiskFill(base.chunks);
  const toReport = report.forFile(0);
  const onChunk: DiskBuild['onChunk'] = (chunk, how) => {
    fill.verified(chunk);
    toReport.onChunk(chunk, how);
  };
  try {
    return await whileFillIsServed(session, staging, image, fill, async () =>
      bringParts(session, subject, context, orderOfParts(room), (pool, route) => [
        async () => fetchVmFiles(route, image, staging, patience),
        async () => {
          const pieces =
            image.pieces && (async () => usableIndex(session, { subject, image, route, staging, patience }));
          const how = { patience, offers, order, guest, pieces };
          await buildDisk(pool, { ...workplace, plan, room, fill, ...how, ...toReport, onChunk });
        },
      ]),
    );
  } catch (error) {
    throw explainKept(error, report.verified, base.chunks.length);
  }
}
