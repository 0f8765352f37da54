import { writeNewFile } from '../home/folder.ts';
import type { Staging } from '../home/staging.ts';
import { VmFile } from '../home/vm-folder.ts';
import type { DiskChunk, FlatImage } from '../oci/tart-image.ts';
import { encodedBytes, fetchChunks, intactChunks } from './disk-chunks.ts';
import { type Download, explainKept, fetchVmFiles, requireSpace, withWorkers } from './download.ts';
import type { Session } from './session.ts';

/**
 * Fills a staging folder with a verified flat image: chunks by worker threads, what an earlier run verified is hashed and kept.
 *
 * @returns bytes that crossed the network.
 * @throws TartletError with `kept` saying how much the next try can use.
 */
export async function downloadFlat(session: Session, download: Download<FlatImage>, staging: Staging): Promise<number> {
  const { image, name } = download;
  const { chunks } = image.base;
  const subject = name.toString();
  await writeNewFile(staging.pathOf(VmFile.manifest), image.manifest.bytes);
  const hinted = await staging.verifiedChunks();
  const disk = await staging.prepareDisk(image.base.size);
  let verified: Set<DiskChunk> = new Set();
  try {
    return await withWorkers(session, download, async (carrier) => {
      verified = await intactChunks(
        carrier.pool,
        disk.path,
        chunks.filter((chunk) => hinted.has(chunk.index)),
      );
      const missing = chunks.filter((chunk) => !verified.has(chunk));
      const bytesTotal = encodedBytes(missing) + image.config.size + image.nvram.size;
      await requireSpace(session, name, bytesTotal);
      announce(session, download, bytesTotal, verified);
      await fetchVmFiles(session, download, carrier, staging);
      await fetchChunks(carrier.pool, disk, missing, async (chunk) => {
        verified.add(chunk);
        await staging.recordVerified(chunk.index);
        session.emit({ kind: 'chunk-done', subject, index: chunk.index, bytes: chunk.size });
      });
    });
  } catch (error) {
    throw explainKept(error, verified.size, chunks.length);
  }
}

function announce(
  session: Session,
  { image, name }: Download,
  bytesTotal: number,
  verified: ReadonlySet<DiskChunk>,
): void {
  const subject = name.toString();
  session.emit({
    kind: 'started',
    subject,
    direction: 'pull',
    bytesTotal,
    diskBytes: image.base.size,
    chunks: image.base.chunks.length,
  });
  for (const { index, size } of verified) session.emit({ kind: 'chunk-reused', subject, index, bytes: size });
}
