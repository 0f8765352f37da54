import { TartletError } from '../errors.ts';
import type { Staging } from '../home/staging.ts';
import { VmFile } from '../home/vm-folder.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { TartImage } from '../oci/tart-image.ts';
import type { RegistryClient } from '../registry/client.ts';
import { fetchBlobFile } from './blob-file.ts';
import { makeRoom } from './room.ts';
import type { Session } from './session.ts';
import { WorkerPool } from './worker-pool.ts';

/** An image on its way from a registry. */
export interface Download<I extends TartImage = TartImage> {
  readonly name: RemoteName;
  readonly image: I;
  readonly client: RegistryClient;
  readonly insecure: boolean;
  readonly concurrency: number;
}

/** The workers of one download, and what they brought. */
export interface Carrier {
  readonly pool: WorkerPool;
  readonly onBytes: (count: number) => void;
}

/**
 * Runs a download with workers, and stops them when it ends.
 *
 * @returns bytes that crossed the network.
 */
export async function withWorkers(
  session: Session,
  { client, insecure, concurrency, name }: Download,
  work: (carrier: Carrier) => Promise<void>,
): Promise<number> {
  let fetched = 0;
  const subject = name.toString();
  const onBytes = (count: number): void => {
    fetched += count;
    session.emit({ kind: 'bytes', subject, count });
  };
  const pool = new WorkerPool({
    client,
    settings: {
      userAgent: session.userAgent,
      environment: session.environment,
      insecure,
      endpoint: await client.endpoint(),
      limits: session.limits,
    },
    concurrency,
    signal: session.signal,
    onBytes,
    onWait: (reason, waitMs) => session.emit({ kind: 'retrying', subject, reason, waitMs }),
  });
  try {
    await work({ pool, onBytes });
    return fetched;
  } finally {
    await pool.close();
  }
}

/** Fetches what is a file by itself: VM config and NVRAM. */
export async function fetchVmFiles(
  session: Session,
  { client, image }: Download,
  { onBytes }: Carrier,
  staging: Staging,
): Promise<void> {
  const source = { client, signal: session.signal, onBytes };
  await fetchBlobFile(source, image.config, staging.pathOf(VmFile.config));
  await fetchBlobFile(source, image.nvram, staging.pathOf(VmFile.nvram));
}

/**
 * Fails before the first byte when it cannot fit. Encoded data is never smaller than what it occupies as a sparse file by more
 * than LZ4 saves, so the encoded size is what is certainly needed; the disk's full size would refuse pulls that do fit.
 */
export async function requireSpace(session: Session, name: RemoteName, needed: number): Promise<void> {
  await makeRoom(session, name.toString(), { atLeast: needed, atMost: needed });
}

/** The same error, with how much of the disk the next try need not fetch. */
export function explainKept(error: unknown, verified: number, total: number): unknown {
  if (!(error instanceof TartletError) || verified === 0) return error;
  return error.with({
    kept: `${verified} of ${total} chunks are verified and kept; the same command continues with the rest`,
  });
}
