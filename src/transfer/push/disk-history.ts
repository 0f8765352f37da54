import { hasImageOfSize } from '../../home/images/known-manifest.ts';
import type { PushRecord } from '../../home/push-record.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import type { DiskFile } from '../../oci/disk-file.ts';
import type { BlobPusher, RepositoryPlace } from '../../registry/contract.ts';
import { blobsOfRecord, bringKnownBlob, findKnownBlobs, type KnownBlobs } from '../known-blob.ts';
import type { Session } from '../../session/session.ts';

/** What is known of a disk before it is read. */
export interface DiskHistory {
  /** The disk of the image that it was cloned from. */
  readonly base: DiskFile | undefined;
  /** What it was when it was pushed last. */
  readonly pushed: PushRecord | undefined;
  /** What it is as long as its `FileState.touched` is `state`. Absent when only reading it could tell. */
  readonly unmodified?: { readonly disk: DiskFile; readonly state: string } | undefined;
}

/**
 * Whether something may come of knowing the contents; else hashing alone would make a first push slower by what it
 * costs.
 */
export async function isWorthHashing(
  session: Session,
  client: BlobPusher & RepositoryPlace,
  size: number,
  { base, pushed }: DiskHistory,
): Promise<boolean> {
  if (base !== undefined || hasImageOfSize(session.home, size)) return true;
  // The largest blob of all is no zeros that every repository has. Where it is not, the others are not either.
  const [largest] = [...(pushed === undefined ? [] : blobsOfRecord(pushed).values())].toSorted(
    (a, b) => b.chunk.descriptor.size - a.chunk.descriptor.size,
  );
  return largest !== undefined && bringKnownBlob(client, largest, session.signal);
}

/** Where blobs for contents are looked for, the likeliest first. */
export function sourcesOfBlobs(
  session: Session,
  name: RemoteName,
  { pushed }: DiskHistory,
): ((wanted: ReadonlySet<string>) => Promise<KnownBlobs>)[] {
  return [
    ...(pushed === undefined ? [] : [() => Promise.resolve(blobsOfRecord(pushed))]),
    async (wanted) => findKnownBlobs(session, wanted, name),
  ];
}
