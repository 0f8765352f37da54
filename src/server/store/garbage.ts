import { describeError } from '../../errors.ts';
import type { RegistryEvent } from '../settings/event.ts';
import { parsePushedManifest } from './pushed-manifest.ts';
import type { RepositoryDirectory } from './repository-directory.ts';
import type { Storage } from './storage.ts';

/** What a garbage collection removed. */
export interface GarbageReport {
  /** Blobs and manifests whose content was removed. */
  readonly blobs: number;
  /** Bytes freed. */
  readonly bytes: number;
  /** Blobs that a repository had and none of its manifests linked to. */
  readonly unlinked: number;
}

/**
 * Removes what no manifest needs: first blobs from repositories whose manifests do not link to them, then content that
 * is in no repository. Manifests stay, tagged or not, until a client deletes them.
 *
 * Pushes may go on: bytes in staging are not looked at, publishing waits for this to end, and what is younger than
 * `graceMs` stays, because its manifest is probably still to come. A repository with a manifest that cannot be read
 * keeps all its blobs.
 */
export async function collectGarbage(
  storage: Storage,
  { graceMs, log }: { readonly graceMs: number; readonly log: (event: RegistryEvent) => void },
): Promise<GarbageReport> {
  return storage.lock.alone(async () => {
    const now = await storage.directory.now();
    const young = (time: number): boolean => time > now - graceMs;
    const live = new Set<string>();
    let unlinked = 0;
    for await (const repository of storage.repositories()) {
      const needed = await blobsNeeded(storage, repository, log);
      for (const digest of await repository.manifests()) live.add(digest.toString());
      for (const { digest, linkedAt } of await repository.blobs()) {
        const keep = needed === 'unknown' || needed.has(digest.toString()) || young(linkedAt);
        if (keep) live.add(digest.toString());
        else if (await repository.unlinkBlob(digest)) unlinked += 1;
      }
    }
    let blobs = 0;
    let bytes = 0;
    for await (const { digest, size, pushedAt } of storage.blobs.entries()) {
      if (live.has(digest.toString()) || young(pushedAt)) continue;
      await storage.blobs.remove(digest);
      blobs += 1;
      bytes += size;
    }
    log({ kind: 'garbage-collected', blobs, bytes });
    return { blobs, bytes, unlinked };
  });
}

async function blobsNeeded(
  storage: Storage,
  repository: RepositoryDirectory,
  log: (event: RegistryEvent) => void,
): Promise<ReadonlySet<string> | 'unknown'> {
  const needed = new Set<string>();
  for (const digest of await repository.manifests()) {
    const link = await repository.manifest(digest);
    const bytes = await storage.blobs.read(digest);
    try {
      if (link === undefined || bytes === undefined) throw new Error(`manifest ${digest.toString()} is missing`);
      const { blobs, children } = parsePushedManifest(bytes, link.mediaType);
      for (const linked of [...blobs, ...children]) needed.add(linked.toString());
    } catch (error) {
      const message = `no blob of ${repository.name.text} is collected: ${describeError(error)}`;
      log({ kind: 'failure', method: '', path: '', message });
      return 'unknown';
    }
  }
  return needed;
}
