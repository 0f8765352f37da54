import { unreachable } from '../errors.ts';
import { knownManifests, type ManifestOwner } from '../home/known-manifest.ts';
import { proofOfBlobs, readOrigin } from '../home/origin.ts';
import { RemoteName } from '../names/remote-name.ts';
import { type DiskChunk, allChunks } from '../oci/tart-image.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { Session } from './session.ts';

/** A blob that was seen to decode to a content, and a name under which some registry should have it. */
export interface KnownBlob {
  readonly chunk: DiskChunk;
  readonly from: RemoteName | undefined;
}

/**
 * Blobs for contents, from the manifests of cached images and of those that local VMs were cloned from. Only blobs that were decoded here:
 * otherwise a manifest that lies about one would be believed, and its lie pushed on.
 *
 * @param wanted digests of contents, as texts.
 * @param near the repository that is pushed to: it most likely has blobs of its own images.
 */
export async function findKnownBlobs(
  session: Session,
  wanted: ReadonlySet<string>,
  near: RemoteName,
): Promise<ReadonlyMap<string, KnownBlob>> {
  const left = new Set(wanted);
  const found = new Map<string, KnownBlob>();
  for (const { owner, image } of knownManifests(session.home, session.vms, { wanted: left, near })) {
    session.signal.throwIfAborted();
    if (owner.kind === 'partial') continue;
    const isProven = await proofOfBlobs(owner.folder);
    const from = await whereFrom(owner);
    for (const chunk of allChunks(image)) {
      const content = chunk.contentDigest.toString();
      if (isProven(chunk.descriptor.digest) && left.delete(content)) found.set(content, { chunk, from });
    }
  }
  return found;
}

async function whereFrom(owner: ManifestOwner): Promise<RemoteName | undefined> {
  switch (owner.kind) {
    case 'image':
      return owner.name;
    case 'vm': {
      const origin = await readOrigin(owner.folder).catch(() => undefined);
      return origin?.via === 'clone' ? RemoteName.tryParse(origin.source) : undefined;
    }
    case 'partial':
      return undefined;
    default:
      return unreachable(owner);
  }
}

/** Whether a repository has a blob, or has it now, mounted from another one of its registry. */
export async function bringKnownBlob(
  client: RegistryClient,
  { chunk, from }: KnownBlob,
  signal: AbortSignal,
): Promise<boolean> {
  const blob = chunk.descriptor;
  if (await client.blobExists(blob, { action: 'push', signal })) return true;
  if (from === undefined || !from.registry.equals(client.registry) || from.repository === client.repository)
    return false;
  return client.mountBlob(blob, from.repository, { signal });
}
