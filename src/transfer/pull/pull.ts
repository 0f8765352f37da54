import { ReadyThreads } from '../../chunks/ready-threads.ts';
import { makeRepository } from '../../home/images/image-cache.ts';
import { TO_READ, whileHeld } from '../../home/images/image-lock.ts';
import { sweep } from '../../home/prune/sweep.ts';
import type { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import type { RawManifest } from '../../registry/client.ts';
import type { ManifestSource } from '../../registry/contract.ts';
import { DEFAULT_CONCURRENCY } from '../../session/concurrency.ts';
import type { Session } from '../../session/session.ts';
import type { GuestFill } from '../fill/disk-layers.ts';
import type { Patience } from '../fill/patience.ts';
import { collectAfterMove, type MovedTag, nameImage } from '../collect.ts';
import { askForManifest, understandImage } from './asked-image.ts';
import type { Transferred, TransferContext } from './download.ts';
import { fetchImage } from './fetch-image.ts';
import { progressOfOther } from './other-pull.ts';
import { findPresence, lookAgain, type MarkImage, type PullTarget } from './pull-target.ts';

/** How an image is pulled. */
export interface PullOptions {
  /** Speak plain HTTP to the registry. */
  readonly insecure?: boolean;
  /** Most chunks at once; default 4. */
  readonly concurrency?: number;
  /** Which images will do; others are refused before anything of them is fetched. Default: `any`. */
  readonly accept?: 'any' | 'flat';
  /**
   * Which MiB of the disk of a flat image are fetched first, by their numbers from 0, in this order: a hint, which
   * changes nothing but the order of the work. Default: everything in the order of the disk.
   */
  readonly order?: readonly number[] | undefined;
}

const NOTHING: Transferred = { fetchedBytes: 0, peerBytes: 0 };

/** What a pull did. */
export interface PullOutcome {
  readonly name: RemoteName;
  /**
   * Of the image's manifest, under which it lies in the cache; of an index around one VM image, that of the VM image.
   */
  readonly digest: Digest;
  /** `present`: nothing to do; `linked`: the image was here, the tag was not; `pulled`: it was fetched. */
  readonly status: 'present' | 'linked' | 'pulled';
  /** Bytes of blobs that came from the registry. */
  readonly fetchedBytes: number;
  /** Bytes that came from peers instead. */
  readonly peerBytes: number;
}

/**
 * Brings an image into the cache, under the name that was typed. Nothing is visible before all of it is verified, and
 * whatever was verified when something fails is kept for the next try. A tag that is cached and has not moved costs one
 * request.
 *
 * @throws TartletError of the registry client, `MANIFEST_INVALID`, `MEDIA_UNSUPPORTED`, `NAME_COLLISION`, `DISK_*`,
 * `CHUNK_CORRUPT`.
 */
export async function pull(session: Session, name: RemoteName, options: PullOptions = {}): Promise<PullOutcome> {
  return bring(session, name, options, {});
}

/** What a pull needs that something waits for. */
export interface PatientPull {
  /** What is done about parts that cannot be fetched. */
  readonly patience: Patience;
  /**
   * What is fetched while it waits: layers that have pieces come by these. With `waited-for` a pull ends only when all
   * of the image was waited for. Default: it is not known that something waits, until it does.
   */
  readonly guest?: GuestFill | undefined;
  /** Of the image, where it is known: the name has its digest. Default: the registry is asked for it. */
  readonly manifest?: RawManifest | undefined;
}

/** {@link pull}, which parts that fail do not end. */
export async function pullPatiently(
  session: Session,
  name: RemoteName,
  options: PullOptions,
  waited: Partial<PatientPull>,
): Promise<PullOutcome> {
  return bring(session, name, options, waited);
}

/**
 * {@link pull} of a digest, after which no name leads to the image, and no mark says that the user asked for it.
 *
 * @param mark what keeps it instead. Done before others can see the image, or under its lock where it was here.
 */
export async function pullUnnamed(
  session: Session,
  name: RemoteName,
  options: PullOptions,
  mark: MarkImage,
  waited: Partial<PatientPull> = {},
): Promise<PullOutcome> {
  return bring(session, name, options, { ...waited, mark });
}

async function bring(
  session: Session,
  name: RemoteName,
  options: PullOptions,
  needs: Partial<PatientPull> & { readonly mark?: MarkImage },
): Promise<PullOutcome> {
  const { reference } = name;
  const presence = reference.kind === 'digest' ? await findPresence(session, name) : undefined;
  // What a digest names cannot change: no need to ask any registry.
  if (reference.kind === 'digest' && presence === 'complete') {
    const kept = await keep(session, name, reference.digest, needs.mark);
    if (kept !== undefined) return kept;
  }
  const place = await session.images.refuseCollision(name);
  const ready = new ReadyThreads(session.processors);
  try {
    const { insecure = false, concurrency = DEFAULT_CONCURRENCY, accept = 'any', order } = options;
    const { mark, manifest, patience, guest } = needs;
    // Of an image that was never here something will have to be fetched; whether a tag has moved, only the registry
    // knows.
    if (place === 'free') ready.start(concurrency);
    const source = await session.source(name, insecure);
    try {
      const asked = { accept, mark, manifest };
      return await pullFromRegistry(session, name, asked, { source, concurrency, ready, order, guest, patience });
    } finally {
      await source.close();
    }
  } finally {
    await ready.close();
  }
}

/** What is asked for, beside the name. */
interface AskedOf extends Pick<PatientPull, 'manifest'> {
  readonly accept: NonNullable<PullOptions['accept']>;
  readonly mark: MarkImage | undefined;
}

async function pullFromRegistry(
  session: Session,
  name: RemoteName,
  { accept, mark, manifest: known }: AskedOf,
  context: TransferContext & { readonly source: ManifestSource },
): Promise<PullOutcome> {
  const manifest = known ?? (await askForManifest(session, name, context.source, accept));
  const { digest } = manifest;
  session.emit({ kind: 'resolved', subject: name.toString(), digest: digest.toString() });
  const presence = await findPresence(session, name.withDigest(digest));
  if (presence === 'complete' && (await session.images.isLinked(name, digest))) {
    const kept = await keep(session, name, digest, mark);
    if (kept !== undefined) return kept;
  }
  // Understood before anything is locked or written: an image of another kind leaves no trace.
  const image = understandImage(manifest, name.toString(), accept);
  const target = { name, digest, manifest, image, presence, mark };
  await session.home.prepare();
  await sweep(session, digest);
  await makeRepository(session.home, name);
  const { moved, ...outcome } = await pullHeld(session, target, context);
  await collectAfterMove(session, moved);
  return outcome;
}

/** Two pulls of one digest never fetch it twice: the second waits, shows how far the first is, and finds it there. */
async function pullHeld(
  session: Session,
  target: PullTarget,
  context: TransferContext,
): Promise<PullOutcome & { moved: readonly MovedTag[] }> {
  const { name, digest } = target;
  const onWait = async (): Promise<void> => {
    const done = await progressOfOther(session, target.image);
    const reason = `another command is ${done === undefined ? 'using' : 'pulling'} this image`;
    session.emit({ kind: 'waiting', subject: name.toString(), reason, done });
  };
  return whileHeld(
    session.images,
    digest,
    { mode: 'exclusive', wait: true, signal: session.signal, onWait },
    async () => lookAgain(session, target),
    async (now) => {
      const isHere = now.presence === 'complete';
      const transferred = isHere ? NOTHING : await fetchImage(session, now, context);
      // A stacked image that lacked a file was not published anew, and so not marked.
      if (isHere || now.presence === 'lacks-content') await now.mark?.(session.images.directoryOf(name, digest));
      const moved = now.mark === undefined ? await nameImage(session, [name], digest) : [];
      if (!isHere) session.emit({ kind: 'finished', subject: name.toString() });
      return { name, digest, status: isHere ? 'linked' : 'pulled', ...transferred, moved };
    },
  );
}

/**
 * Nothing is written for a tag that is there; where the lock cannot be made, no other command can delete the image
 * either.
 */
const TO_KEEP = { ...TO_READ, needless: [...TO_READ.needless, 'DISK_FULL'] } as const;

/**
 * Keeps an image that is here under its name. That it is asked for is a use of it, although nothing has to be done
 * (unlike in Tart, tart-cli §7 #23). Under its lock, so that a command that deletes it does so before or sees that it
 * was used.
 *
 * @returns undefined when it has gone, or its tag has.
 */
async function keep(
  session: Session,
  name: RemoteName,
  digest: Digest,
  mark: MarkImage | undefined,
): Promise<PullOutcome | undefined> {
  const { images, signal } = session;
  const onWait = (): void =>
    session.emit({ kind: 'waiting', subject: name.toString(), reason: 'another command is using this image' });
  const isKept = await whileHeld(
    images,
    digest,
    { ...TO_KEEP, signal, onWait },
    async () => findPresence(session, name.withDigest(digest)),
    async (presence) => {
      if (presence !== 'complete') return false;
      if (mark !== undefined) await mark(images.directoryOf(name, digest));
      else if (name.tag === undefined) await images.markExplicitlyPulled(name, digest);
      else if (!(await images.isLinked(name, digest))) return false;
      await images.touch(images.directoryOf(name, digest), session.now());
      return true;
    },
  );
  if (!isKept) return undefined;
  await sweep(session, digest);
  return { name, digest, status: 'present', ...NOTHING };
}
