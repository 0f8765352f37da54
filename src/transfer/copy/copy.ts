import type { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { refuseUpperCase } from '../../names/upper-case.ts';
import { copyTree } from './image-copy.ts';
import { copyBootOrder } from './order-copy.ts';
import { requireDigest } from '../manifest-store.ts';
import { manifestTree, resolveManifest } from '../manifest-tree.ts';
import { DEFAULT_CONCURRENCY } from '../../session/concurrency.ts';
import type { Session } from '../../session/session.ts';

/** How an image is copied between registries. */
export interface CopyOptions {
  /** Speak plain HTTP to the registry that is read. */
  readonly insecureSource?: boolean;
  /** Speak plain HTTP to the registry that is written. */
  readonly insecureTarget?: boolean;
  /** Most blobs at once; default as for a pull. */
  readonly concurrency?: number;
  /** Upload each blob in PATCH requests of this many bytes; default: one PUT. */
  readonly uploadChunkBytes?: number;
}

/** What a copy did. */
export interface CopyOutcome {
  readonly source: RemoteName;
  readonly target: RemoteName;
  /** The same on both sides. */
  readonly digest: Digest;
  /** Bytes of blobs that crossed the network to the target; mounted ones did not. */
  readonly uploadedBytes: number;
}

/**
 * Copies an image from one registry to another, byte for byte, whatever its kind: VM images, container images, indexes
 * with all their manifests. Blobs are mounted within a registry, and otherwise stream through; the local disk and the
 * home are not touched.
 *
 * @throws TartletError of both registries; `DIGEST_MISMATCH` when the target is a digest that the image does not have,
 * or the source sends damaged bytes; `MANIFEST_*`. Every tag is then where it was.
 */
export async function copyImage(
  session: Session,
  from: RemoteName,
  to: RemoteName,
  options: CopyOptions = {},
): Promise<CopyOutcome> {
  refuseUpperCase(to);
  const isOneRegistry = from.registry.equals(to.registry);
  const source = await session.source(from, options.insecureSource ?? false);
  const shared = isOneRegistry ? source.named?.sibling(to.repository) : undefined;
  const target = shared ?? (await session.client(to, options.insecureTarget ?? false));
  const { signal } = session;
  const subject = to.toString();
  try {
    // Whatever the tag leads to later: from here on there are only digests.
    const root = await resolveManifest(source, from, signal);
    requireDigest([to], root.digest, 'nothing was changed');
    session.emit({ kind: 'resolved', subject, digest: root.digest.toString() });
    const tree = await manifestTree(source, root, from.toString(), signal);
    const route = {
      source,
      target,
      subject,
      concurrency: options.concurrency ?? DEFAULT_CONCURRENCY,
      uploadChunkBytes: options.uploadChunkBytes,
    };
    const uploadedBytes = await copyTree(session, route, tree, [to]);
    const { answering } = source;
    if (answering !== undefined && from.repositoryName !== to.repositoryName)
      for (const node of tree) await copyBootOrder(session, { source: answering, target, subject }, node);
    session.emit({ kind: 'finished', subject });
    return { source: from, target: to, digest: root.digest, uploadedBytes };
  } finally {
    await source.close();
    if (shared === undefined) await target.close();
  }
}
