import { unreachable } from '../../errors.ts';
import { tagLeadingTo } from '../../home/image-walk.ts';
import { type KnownManifest, knownManifests } from '../../home/images/known-manifest.ts';
import { lstatIfThereSync } from '../../fs/stats.ts';
import { holdImage } from '../../home/images/image-lock.ts';
import { Staging } from '../../home/staging.ts';
import { VmFile } from '../../home/vm-directory.ts';
import { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import type { DiskFile } from '../../oci/disk-file.ts';
import { type DiskChunk, stackedFiles } from '../../oci/tart-image.ts';
import { proofOf } from '../known-blob.ts';
import type { ChunkLocation } from './plan.ts';
import type { Seed } from '../../session/plan-summary.ts';
import type { Session } from '../../session/session.ts';

/** Each seed costs an open file; so many seeds are enough for any disk. */
const MOST_SEEDS = 64;

/** What is looked for on this machine. */
export interface SeedSearch {
  /** The image that is pulled. */
  readonly name: RemoteName;
  readonly digest: Digest;
  readonly chunks: readonly DiskChunk[];
  /** `look` changes nothing, takes no lock and promises nothing: for a plan that is only shown. */
  readonly mode: 'lease' | 'look';
}

/**
 * The disks of this machine that should hold chunks of an image: cached images, local VMs cloned from one, unfinished
 * pulls. No process deletes or pulls over them before {@link release}; VMs are not held, because a user who starts one
 * now should not have to wait for a download, and every byte is hashed as it is copied, or in the clone.
 */
export class Seeds {
  /** By the text of the content's digest. */
  readonly places: ReadonlyMap<string, ChunkLocation>;
  readonly #leases: readonly Lease[];

  private constructor(places: ReadonlyMap<string, ChunkLocation>, leases: readonly Lease[]) {
    this.places = places;
    this.#leases = leases;
  }

  static async find(session: Session, search: SeedSearch): Promise<Seeds> {
    const wanted = new Set(search.chunks.map((chunk) => chunk.contentDigest.toString()));
    const places = new Map<string, ChunkLocation>();
    const leases: Lease[] = [];
    try {
      for (const known of knownManifests(session.home, session.vms, { wanted, near: search.name })) {
        session.signal.throwIfAborted();
        // One that cannot be read has nothing to offer.
        const lease = await session.home.unreadable.passOverLater(known.owner.directory, async () =>
          openSeed(session, known, search),
        );
        if (lease === undefined) continue;
        leases.push(lease);
        for (const [content, place] of lease.offers) {
          if (wanted.delete(content)) places.set(content, place);
        }
        if (leases.length === MOST_SEEDS) break;
      }
      return new Seeds(places, leases);
    } catch (error) {
      for (const lease of leases) await lease.release?.();
      throw error;
    }
  }

  /** Lets other processes delete them again. */
  async release(): Promise<void> {
    for (const lease of this.#leases) await lease.release?.();
  }
}

interface Lease {
  readonly offers: readonly (readonly [content: string, place: ChunkLocation])[];
  /** Absent for what is not held. */
  readonly release?: () => Promise<void>;
}

/** @returns undefined for what is no seed now: busy, running, incomplete. */
async function openSeed(session: Session, known: KnownManifest, search: SeedSearch): Promise<Lease | undefined> {
  const { owner } = known;
  switch (owner.kind) {
    case 'image':
      return leased(session, owner.name.digest, search, async () =>
        offersOfImage(session, known, shortName(session, owner.name, owner.directory), await proofOf(owner)),
      );
    case 'vm':
    case 'pushed': {
      const vm = session.vms.find(owner.name);
      if (vm === undefined || (await session.vms.state(vm)) === 'running') return undefined;
      const seed = { path: `${owner.directory}/${VmFile.disk}`, kind: 'vm', name: owner.name.text } as const;
      return { offers: offersOf(known.image.base, seed, await proofOf(owner)) };
    }
    case 'partial': {
      const digest = Digest.sha256(owner.hex);
      const seed = { path: `${owner.directory}/${VmFile.disk}`, kind: 'partial', name: digest.toString() } as const;
      return leased(session, digest, search, async () => {
        const verified = (await Staging.at(session.home, digest).journal.verified()) ?? new Set();
        return offersOf(
          known.image.base,
          seed,
          () => false,
          (chunk) => verified.has(chunk.index),
        );
      });
    }
    default:
      return unreachable(owner);
  }
}

/** Asks for offers under the lock of a digest, because without it they may vanish at any moment. */
async function leased(
  session: Session,
  digest: Digest | undefined,
  search: SeedSearch,
  ask: () => Promise<Lease['offers']>,
): Promise<Lease | undefined> {
  if (digest === undefined || digest.equals(search.digest)) return undefined; // We hold it ourselves, to write.
  if (search.mode === 'look') return { offers: await ask() };
  const held = await holdImage(session.images, digest, { mode: 'shared', wait: false }, ask);
  if (held === 'busy') return undefined;
  if (held.seen.length > 0) return { offers: held.seen, release: held.release };
  await held.release();
  return undefined;
}

/** Tags say more to people than digests. */
function shortName({ home }: Session, name: RemoteName, directory: string): string {
  const tag = tagLeadingTo(home, directory);
  return tag === undefined ? name.toString() : `${name.repositoryName}:${tag}`;
}

function offersOfImage(
  session: Session,
  { owner, image }: KnownManifest,
  name: string,
  isProven: (blob: Digest) => boolean,
): Lease['offers'] {
  if (image.layout === 'flat') {
    return offersOf(image.base, { path: `${owner.directory}/${VmFile.disk}`, kind: 'image', name }, isProven);
  }
  return stackedFiles(image)
    .filter((file) => file.fileDigest.algorithm === 'sha256')
    .flatMap((file) =>
      offersOf(file, { path: session.contents.pathOf(file.fileDigest), kind: 'image', name }, isProven),
    );
}

/** The chunks that lie within the file as it is now: a disk may have grown or shrunk since. */
function offersOf(
  file: DiskFile,
  owner: Omit<Seed, 'size'>,
  isProven: (blob: Digest) => boolean,
  isThere: (chunk: DiskChunk) => boolean = () => true,
): Lease['offers'] {
  const stats = lstatIfThereSync(owner.path);
  if (stats?.isFile() !== true) return [];
  const seed: Seed = { ...owner, size: stats.size };
  const places = new Map<string, ChunkLocation & { readonly offsets: Set<number> }>();
  for (const chunk of file.chunks) {
    if (chunk.offset + chunk.size > seed.size || !isThere(chunk)) continue;
    const content = chunk.contentDigest.toString();
    const { digest } = chunk.descriptor;
    const blob = isProven(digest) ? digest.toString() : undefined;
    const place = places.get(content) ?? { seed, offsets: new Set(), blob };
    place.offsets.add(chunk.offset);
    places.set(content, place);
  }
  return [...places];
}
