import type { FetchJob } from '../../chunks/chunk-job.ts';
import { isTartletError } from '../../errors.ts';
import { ChunkJournal } from '../../home/chunk-journal.ts';

/**
 * The job that goes on where one failed: with what came before it failed, unless that is what is wrong.
 * @throws TartletError `DISK_*` for a journal that cannot be read.
 */
export async function continued(job: FetchJob, error: unknown): Promise<FetchJob> {
  const isWrong = isTartletError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH', 'CHUNK_CORRUPT');
  const { mark } = job;
  const underWay = mark === undefined || isWrong ? undefined : await new ChunkJournal(mark.journal).underWay();
  return { ...job, fresh: false, resume: mark && underWay?.get(mark.index) };
}
