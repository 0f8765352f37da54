import type { FileLock } from '../../fs/lock/lock.ts';
import { makeRepository } from '../../home/images/image-cache.ts';
import { sweep } from '../../home/prune/sweep.ts';
import type { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import type { TartImage } from '../../oci/tart-image.ts';
import type { RawManifest } from '../../registry/client.ts';
import { askForManifest, understandImage } from './asked-image.ts';
import { collectAfterMove, type MovedTag, tagsElsewhere } from '../collect.ts';
import type { ImageSource } from './download.ts';
import { fetchImage } from './fetch-image.ts';
import { progressOfOther } from './other-pull.ts';
import { findPresence } from './presence.ts';
import { ReadyThreads } from '../../chunks/ready-threads.ts';
import type { Session } from '../../session/session.ts';

/** Chunks under way at once, as in Tart. */
export const DEFAULT_CONCURRENCY = 4;

export interface PullOptions {
  /** Speak plain HTTP to the registry. */
  readonly insecure?: boolean;
  /** Most chunks at once; default {@link DEFAULT_CONCURRENCY}. */
  readonly concurrency?: number;
  /** Which images will do; others are refused before anything of them is fetched. Default: `any`. */
  readonly accept?: 'any' | 'flat';
}

export interface PullOutcome {
  readonly name: RemoteName;
  /**
   * Of the image's manifest, under which it lies in the cache; of an index around one VM image, that of the VM image.
   */
  readonly digest: Digest;
  /** `present`: nothing to do; `linked`: the image was here, the tag was not; `pulled`: it was fetched. */
  readonly status: 'present' | 'linked' | 'pulled';
  /** Bytes of blobs that crossed the network. */
  readonly fetchedBytes: number;
}

/**
 * Brings an image into the cache, under the name that was typed. Nothing is visible before all of it is verified, and whatever
 * was verified when something fails is kept for the next try. A tag that is cached and has not moved costs one request.
 *
 * @throws TartletError of the registry client, `MANIFEST_INVALID`, `MEDIA_UNSUPPORTED`, `NAME_COLLISION`, `DISK_*`, `CHUNK_CORRUPT`.
 */
export async function pull(session: Session, name: RemoteName, options: PullOptions = {}): Promise<PullOutcome> {
  if (name.reference.kind === 'digest') {
    const presence = await findPresence(session, name);
    // What a digest names cannot change: no need to ask anybody.
    if (presence.kind === 'complete') return keepExplicitly(session, name, presence.image.digest);
  }
  await session.images.refuseCollision(name);
  const ready = new ReadyThreads(session.processors);
  try {
    // Of an image that was never here something will have to be fetched; whether a tag has moved, only the registry knows.
    const isNew = name.tag === undefined || (await session.images.taggedDigest(name)) === undefined;
    if (isNew) ready.start(settings(options).concurrency);
    return await pullFromRegistry(session, name, options, ready);
  } finally {
    await ready.close();
  }
}

async function pullFromRegistry(
  session: Session,
  name: RemoteName,
  options: PullOptions,
  ready: ReadyThreads,
): Promise<PullOutcome> {
  const client = await session.client(name, options.insecure ?? false);
  try {
    const raw = await askForManifest(session, name, client, options.accept);
    session.emit({ kind: 'resolved', subject: name.toString(), digest: raw.digest.toString() });
    if (await isCachedAndLinked(session, name, raw.digest)) return await present(session, name, raw.digest);
    return await pullResolved(session, name, raw, { client, ready, options });
  } finally {
    await client.close();
  }
}

/** How an image is fetched. */
interface Means {
  readonly client: ImageSource;
  readonly ready: ReadyThreads;
  readonly options: PullOptions;
}

async function isCachedAndLinked(session: Session, name: RemoteName, digest: Digest): Promise<boolean> {
  if (name.tag === undefined || !(await session.images.isLinked(name, digest))) return false;
  return (await findPresence(session, name)).kind === 'complete';
}

async function pullResolved(session: Session, name: RemoteName, raw: RawManifest, means: Means): Promise<PullOutcome> {
  // Understood before anything is locked or written: an image of another kind leaves no trace.
  const image = understandImage(raw, name, means.options.accept ?? 'any');
  await session.home.prepare();
  await sweep(session, raw.digest);
  await makeRepository(session.home, name);
  const { outcome: done, moved } = await pullLocked(session, name, raw, image, means);
  await collectAfterMove(session, moved);
  return done;
}

async function pullLocked(
  session: Session,
  name: RemoteName,
  raw: RawManifest,
  image: TartImage,
  { client, ready, options }: Means,
): Promise<{ outcome: PullOutcome; moved: readonly MovedTag[] }> {
  const byDigest = name.withDigest(raw.digest);
  const lock = await lockDigest(session, name, image);
  try {
    const presence = await findPresence(session, byDigest);
    const isHere = presence.kind === 'complete';
    const download = { name, image, client, ready, ...settings(options) };
    const fetchedBytes = isHere ? 0 : await fetchImage(session, download, presence.kind);
    const moved = await tagsElsewhere(session, [name], raw.digest);
    if (name.tag === undefined) await session.images.markExplicitlyPulled(name, raw.digest);
    else await session.images.link(name, raw.digest);
    await session.images.touch(session.images.folderOf(name, raw.digest), session.now());
    if (!isHere) session.emit({ kind: 'finished', subject: name.toString() });
    return { outcome: outcome(name, raw.digest, isHere ? 'linked' : 'pulled', fetchedBytes), moved };
  } finally {
    await lock?.release();
  }
}

/** Two pulls of one digest never fetch it twice: the second waits, shows how far the first is, and finds it there. */
async function lockDigest(session: Session, name: RemoteName, image: TartImage): Promise<FileLock | undefined> {
  return session.images.lock(image.manifest.digest, {
    mode: 'exclusive',
    wait: true,
    signal: session.signal,
    onWait: async () => {
      const done = await progressOfOther(session, image);
      const reason = `another command is ${done === undefined ? 'using' : 'pulling'} this image`;
      session.emit({ kind: 'waiting', subject: name.toString(), reason, ...(done === undefined ? {} : { done }) });
    },
  });
}

function settings(options: PullOptions): { insecure: boolean; concurrency: number } {
  return { insecure: options.insecure ?? false, concurrency: options.concurrency ?? DEFAULT_CONCURRENCY };
}

async function keepExplicitly(session: Session, name: RemoteName, digest: Digest): Promise<PullOutcome> {
  await session.images.markExplicitlyPulled(name, digest);
  return present(session, name, digest);
}

/** That somebody wants it is a use of it, although nothing had to be done (unlike in Tart, tart-cli §7 #23). */
async function present(session: Session, name: RemoteName, digest: Digest): Promise<PullOutcome> {
  await session.images.touch(session.images.folderOf(name, digest), session.now());
  await sweep(session, digest);
  return outcome(name, digest, 'present', 0);
}

function outcome(name: RemoteName, digest: Digest, status: PullOutcome['status'], fetchedBytes: number): PullOutcome {
  return { name, digest, status, fetchedBytes };
}
