import { unreachable } from '../errors.ts';
import { knownManifests, type ManifestOwner } from '../home/images/known-manifest.ts';
import { isOwnFile } from '../fs/own-file.ts';
import { OurFile } from '../home/home-entry.ts';
import { proofOfBlobs, readOrigin } from '../home/origin.ts';
import { type PushRecord, readPushRecord } from '../home/push-record.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { Digest } from '../names/digest.ts';
import { RemoteName } from '../names/remote-name.ts';
import { type DiskChunk, type TartImage, allChunks } from '../oci/tart-image.ts';
import type { BlobPusher, RepositoryPlace } from '../registry/contract.ts';
import type { Session } from '../session/session.ts';

/** A blob that was seen to decode to a content, and the names of repositories that should have it. */
export interface KnownBlob {
  readonly chunk: DiskChunk;
  /** Whose chunk it is. */
  readonly image: TartImage;
  readonly from: readonly RemoteName[];
}

/** By the text of the digest of their content. */
export type KnownBlobs = ReadonlyMap<string, KnownBlob>;

/** The blobs that a VM became when it was pushed last. */
export function blobsOfRecord({ image, repositories }: PushRecord): KnownBlobs {
  return new Map(
    image.base.chunks.map((chunk) => [chunk.contentDigest.toString(), { chunk, image, from: repositories }]),
  );
}

/**
 * Blobs for contents, from the manifests of cached images, of those that local VMs were cloned from, and of those that
 * they became. Only blobs that were decoded or encoded here: otherwise a manifest that lies about one would be
 * believed, and its lie pushed on.
 *
 * @param wanted digests of contents, as texts.
 * @param near the repository that is pushed to: it most likely has blobs of its own images.
 */
export async function findKnownBlobs(
  session: Session,
  wanted: ReadonlySet<string>,
  near: RemoteName,
): Promise<KnownBlobs> {
  const left = new Set(wanted);
  const found = new Map<string, KnownBlob>();
  for (const { owner, image } of knownManifests(session.home, session.vms, { wanted: left, near })) {
    session.signal.throwIfAborted();
    const isProven = await proofOf(owner);
    const from = await whereFrom(owner);
    for (const chunk of allChunks(image)) {
      const content = chunk.contentDigest.toString();
      if (isProven(chunk.descriptor.digest) && left.delete(content)) found.set(content, { chunk, image, from });
    }
  }
  return found;
}

/** Tells of an owner's manifest whether a blob is known to hold the content that the manifest says. */
export async function proofOf(owner: ManifestOwner): Promise<(blob: Digest) => boolean> {
  switch (owner.kind) {
    case 'image':
      return proofOfOwn(owner.directory, VmFile.manifest);
    case 'vm':
      return proofOfOwn(owner.directory, OurFile.baseManifest);
    case 'pushed': {
      const isBelieved = (await readPushRecord(owner.directory)) !== undefined;
      return () => isBelieved;
    }
    case 'partial':
      return () => false;
    default:
      return unreachable(owner);
  }
}

/**
 * That a blob holds a content is not proved again: a user who may write such a manifest decides what is pushed (issue
 * 14, item 10).
 */
async function proofOfOwn(directory: string, manifest: string): Promise<(blob: Digest) => boolean> {
  return (await isOwnFile(`${directory}/${manifest}`)) ? proofOfBlobs(directory) : () => false;
}

async function whereFrom(owner: ManifestOwner): Promise<readonly RemoteName[]> {
  switch (owner.kind) {
    case 'image':
      return [owner.name];
    case 'vm': {
      const origin = await readOrigin(owner.directory).catch(() => undefined);
      const source = origin?.via === 'clone' ? RemoteName.tryParse(origin.source) : undefined;
      return source === undefined ? [] : [source];
    }
    case 'pushed':
      return (await readPushRecord(owner.directory))?.repositories ?? [];
    case 'partial':
      return [];
    default:
      return unreachable(owner);
  }
}

/** Whether a repository has a blob, or has it now, mounted from another one of its registry. */
export async function bringKnownBlob(
  client: BlobPusher & RepositoryPlace,
  { chunk, from }: KnownBlob,
  signal: AbortSignal,
): Promise<boolean> {
  const blob = chunk.descriptor;
  if (await client.blobExists(blob, { action: 'push', signal })) return true;
  const repositories = from
    .filter(({ registry, repository }) => registry.equals(client.registry) && !repository.equals(client.repository))
    .map(({ repository }) => [repository.text, repository] as const);
  for (const repository of new Map(repositories).values()) {
    if (await client.mountBlob(blob, repository, { signal })) return true;
  }
  return false;
}
