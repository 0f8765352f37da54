import { isTartletError, type TartletError, unreachable } from '../errors.ts';
import { contentReferences, HEX } from '../home/content/content-reference.ts';
import { isInLocalFormat } from './config-format.ts';
import { finding, type Finding, type ImagePlace, repairOf } from './finding.ts';
import { busyFinding } from './home-check.ts';
import { isVerbatimDirectory } from './origin-record.ts';
import { readImageManifest } from './image-manifest.ts';
import { lookAt, namesIn } from '../fs/probe.ts';
import { whileHeld } from '../home/images/image-lock.ts';
import { VmFile } from '../home/vm-directory.ts';
import { Digest } from '../names/digest.ts';
import type { DiskFile } from '../oci/disk-file.ts';
import { stackedFiles, type TartImage } from '../oci/tart-image.ts';
import type { VerifyJob } from '../chunks/chunk-job.ts';
import type { Session } from '../session/session.ts';
import { WorkerPool } from '../chunks/worker-pool.ts';

/** How far a deep check came. */
export interface DeepTotals {
  /** False when it was interrupted: the numbers then say what was checked until then. */
  readonly isComplete: boolean;
  /** Image directories that were to be checked, and those that were, damaged ones included. */
  readonly images: number;
  readonly imagesChecked: number;
  /** Bytes that were hashed. */
  readonly bytesChecked: number;
}

/** One extent of a file, with what it must hash to. */
interface Check {
  readonly job: VerifyJob;
  /** The image's name, if it belongs to one. */
  readonly name?: string | undefined;
  /** The finding when it does not, or when the file ends too soon. */
  readonly damaged: (why: string) => Finding;
}

/**
 * Hashes everything that a manifest speaks of: config, NVRAM, and disks chunk by chunk; then the files of the content
 * store that no image vouches for. Each image is locked for reading meanwhile; one that another process changes is
 * skipped, and the report says so. When the session's signal fires, what was found until then is returned.
 *
 * @param images those that look complete: what is known to be damaged is checked by its repair.
 */
export async function deepCheck(
  session: Session,
  images: readonly ImagePlace[],
): Promise<{ findings: Finding[]; totals: DeepTotals }> {
  const check = new DeepCheck(session);
  let isComplete = true;
  let imagesChecked = 0;
  try {
    for (const place of images) {
      await check.image(place);
      imagesChecked += 1;
    }
    await check.restOfContent();
  } catch (error) {
    if (!session.signal.aborted) throw error;
    isComplete = false;
  } finally {
    await check.close();
  }
  const totals = { isComplete, images: images.length, imagesChecked, bytesChecked: check.bytesChecked };
  return { findings: check.findings, totals };
}

class DeepCheck {
  readonly findings: Finding[] = [];
  bytesChecked = 0;
  readonly #session: Session;
  readonly #pool: WorkerPool;
  /** Files of the content store that were hashed for an image already. */
  readonly #hashed = new Set<string>();
  /** Files that could not be read: each is told once, and nothing is said about what is in it. */
  readonly #unreadable = new Set<string>();

  constructor(session: Session) {
    this.#session = session;
    this.#pool = new WorkerPool({
      concurrency: session.processors,
      processors: session.processors,
      signal: session.signal,
      onBytes: () => undefined,
      onWait: () => undefined,
    });
  }

  async image(place: ImagePlace): Promise<void> {
    const checked = await whileHeld(
      this.#session.images,
      place.digest,
      { mode: 'shared', wait: false, needless: ['DISK_READONLY', 'DISK_DENIED', 'DISK_FULL'] },
      () => readImageManifest(place, isVerbatimDirectory(place.path)),
      async (verdict) => {
        if (verdict.kind === 'image')
          await this.#run(place.name?.toString() ?? place.path, this.#checksOf(place, verdict.image));
      },
    );
    if (checked === 'busy') this.findings.push(busyFinding(place));
  }

  #checksOf(place: ImagePlace, image: TartImage): Check[] {
    const facts = { name: place.name?.toString(), remedy: repairOf(place) };
    const whole = (id: 'config-damaged' | 'nvram-damaged', file: string, blob: TartImage['config']): Check => {
      const at = `${place.path}/${file}`;
      return {
        job: verifyJob(at, 0, blob.size, blob.digest),
        name: facts.name,
        damaged: (why) => finding(id, at, why, facts),
      };
    };
    const checks = [whole('nvram-damaged', VmFile.nvram, image.nvram)];
    const config = `${place.path}/${VmFile.config}`;
    if (isVerbatimDirectory(place.path) || !isInLocalFormat(config)) {
      checks.push(whole('config-damaged', VmFile.config, image.config));
    }
    switch (image.layout) {
      case 'flat':
        return [...checks, ...chunkChecks(`${place.path}/${VmFile.disk}`, image.base, facts)];
      case 'stacked':
        for (const file of stackedFiles(image)) {
          if (this.#hashed.has(file.fileDigest.hex)) continue;
          this.#hashed.add(file.fileDigest.hex);
          checks.push(...chunkChecks(this.#session.contents.pathOf(file.fileDigest), file, facts));
        }
        return checks;
      default:
        return unreachable(image);
    }
  }

  /** Files that only local VMs need, or nothing: all that is known of them is their name. */
  async restOfContent(): Promise<void> {
    const { home } = this.#session;
    const directory = `${home.contentDirectory}/sha256`;
    const references = contentReferences(home);
    for (const name of namesIn(directory)) {
      if (!HEX.test(name) || this.#hashed.has(name)) continue;
      const at = `${directory}/${name}`;
      const look = lookAt(at);
      if (look.kind !== 'found' || !look.value.isFile()) continue;
      const isNeeded = references.kind === 'unknown' || references.digests.has(name);
      await this.#run(at, [
        {
          job: verifyJob(at, 0, look.value.size, Digest.sha256(name)),
          damaged: (why) =>
            isNeeded
              ? finding('content-damaged', at, why, { next: { kind: 'pull-what-needs-it' } })
              : finding('content-damaged', at, why, { remedy: { kind: 'quarantine' } }),
        },
      ]);
    }
  }

  async #run(subject: string, checks: readonly Check[]): Promise<void> {
    const { emit } = this.#session;
    const byJob = new Map(checks.map((check) => [check.job, check]));
    const bytesTotal = checks.reduce((sum, { job }) => sum + job.contentSize, 0);
    emit({ kind: 'started', subject, direction: 'check', bytesTotal, diskBytes: bytesTotal, chunks: checks.length });
    await this.#pool.runAll(
      [...byJob.keys()],
      (job, result) => {
        this.bytesChecked += job.contentSize;
        emit({ kind: 'bytes', subject, count: job.contentSize });
        if (!result.intact) this.#report(byJob.get(job), `it does not hash to ${job.contentDigest}`);
      },
      {
        survives: (job, error) => {
          if (isTartletError(error, 'CHUNK_CORRUPT')) this.#report(byJob.get(job), error.message);
          else if (isTartletError(error, 'DISK_IO', 'DISK_DENIED', 'DISK_UNSUPPORTED'))
            this.#passOver(job, error, byJob.get(job));
          else return false;
          return true;
        },
      },
    );
    emit({ kind: 'finished', subject });
  }

  #passOver({ disk }: VerifyJob, error: TartletError, check: Check | undefined): void {
    if (this.#unreadable.has(disk)) return;
    this.#unreadable.add(disk);
    this.findings.push(finding('unreadable', disk, error.message, { name: check?.name, next: error.facts.next }));
  }

  #report(check: Check | undefined, why: string): void {
    if (check !== undefined) this.findings.push(check.damaged(why));
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }
}

function chunkChecks(at: string, file: DiskFile, facts: Pick<Finding, 'name' | 'remedy'>): Check[] {
  return file.chunks.map(({ index, offset, size, contentDigest }) => ({
    job: verifyJob(at, offset, size, contentDigest),
    name: facts.name,
    damaged: (why) => {
      const where = `chunk ${index} (bytes ${offset} to ${offset + size - 1})`;
      return finding('chunk-damaged', at, `${where}: ${why}`, {
        ...facts,
        extent: { chunk: index, offset, bytes: size },
      });
    },
  }));
}

function verifyJob(disk: string, offset: number, contentSize: number, digest: Digest): VerifyJob {
  return { kind: 'verify', contentDigest: digest.toString(), contentSize, disk, offset };
}
