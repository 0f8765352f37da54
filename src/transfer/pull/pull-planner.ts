import { stat } from 'node:fs/promises';
import type { StreamPosition } from '../../codec/chunk-decoder.ts';
import type { ContentStore } from '../../home/content/content-store.ts';
import { probablySharesBlocks } from '../../fs/space.ts';
import { Staging } from '../../home/staging.ts';
import { VmFile } from '../../home/vm-directory.ts';
import type { DiskFile, StoredDiskFile } from '../../oci/disk-file.ts';
import { allChunks, stackedFiles } from '../../oci/tart-image.ts';
import type { DiskTarget } from './disk-build.ts';
import { Seeds } from './seeds.ts';
import { type FilePlan, planFile, type PullPlan, type LocalState } from './plan.ts';
import type { PullTarget } from './pull-target.ts';
import type { Session } from '../../session/session.ts';
import { zeroContents } from '../../chunks/zero-content.ts';

/** What is the same for all files of an image. */
type Constant = Pick<LocalState, 'zeros' | 'places' | 'canShare'>;

/** What this machine can contribute to an image. Seeds stay where they are until {@link release}. */
export class PullPlanner {
  readonly #session: Session;
  readonly #target: PullTarget;
  readonly #seeds: Seeds;
  readonly #constant: Constant;

  private constructor(session: Session, target: PullTarget, seeds: Seeds, constant: Constant) {
    this.#session = session;
    this.#target = target;
    this.#seeds = seeds;
    this.#constant = constant;
  }

  /**
   * Looks around, changing nothing.
   * @param mode `look` takes no locks: for a plan that is only shown.
   */
  static async prepare(session: Session, target: PullTarget, mode: 'lease' | 'look'): Promise<PullPlanner> {
    const { image, name, digest } = target;
    const chunks = allChunks(image);
    const zeros = await zeroContents(chunks, session.signal);
    const canShare = await probablySharesBlocks(session.home.cacheDirectory, session.platform);
    const seeds = await Seeds.find(session, {
      name,
      digest,
      chunks: chunks.filter((chunk) => !zeros.has(chunk.contentDigest.toString())),
      mode,
    });
    return new PullPlanner(session, target, seeds, { zeros, places: seeds.places, canShare });
  }

  /** How everything that is missing comes about. */
  async plan(): Promise<PullPlan> {
    const { image, presence } = this.#target;
    const vmFileBytes = presence === 'lacks-content' ? 0 : image.config.size + image.nvram.size;
    if (image.layout === 'flat') {
      const workplace = diskOf(Staging.at(this.#session.home, image.manifest.digest));
      return { image, vmFileBytes, storedBytes: 0, files: [await this.planFile(image.base, workplace)] };
    }
    const { contents } = this.#session;
    const files = stackedFiles(image);
    const missing = await contents.missing(files);
    const plans: FilePlan[] = [];
    for (const file of missing) plans.push(await this.planFile(file, storedTarget(contents, file)));
    const stored = files.filter((file) => !missing.includes(file));
    return { image, vmFileBytes, storedBytes: stored.reduce((sum, { size }) => sum + size, 0), files: plans };
  }

  /** How one file comes about as things are now: another command may have begun it while we waited for it. */
  async planFile(file: DiskFile, { path, journal }: DiskTarget): Promise<FilePlan> {
    const begun = await stat(path).catch(() => undefined);
    const isBegun = begun !== undefined && begun.size > 0;
    const verified = isBegun ? await journal.verified() : new Set<number>();
    // Begun by a program without a journal, e.g. Tart: any of it may be right.
    const partial = verified ?? new Set(file.chunks.map(({ index }) => index));
    const underWay = isBegun ? await journal.underWay() : new Map<number, StreamPosition>();
    const pieces = isBegun ? await journal.pieces() : new Map<number, ReadonlySet<number>>();
    return planFile(file, { ...this.#constant, isBegun, partial, underWay, pieces });
  }

  async release(): Promise<void> {
    await this.#seeds.release();
  }
}

/** Where the disk of a flat image is put together. */
export function diskOf(staging: Staging): DiskTarget {
  return { path: staging.pathOf(VmFile.disk), journal: staging.journal };
}

/** Where a file of the content store is put together. */
export function storedTarget(contents: ContentStore, { fileDigest }: StoredDiskFile): DiskTarget {
  return { path: contents.partialOf(fileDigest), journal: contents.journalOf(fileDigest) };
}
