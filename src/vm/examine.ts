import type { Finding, ImagePlace } from '../home/doctor/finding.ts';
import { checkHome, type HomeCheck, type HomeTotals } from '../home/doctor/home-check.ts';
import { type Mended, mendFinding } from '../home/doctor/mend.ts';
import { deepCheck, type DeepTotals } from '../transfer/deep-check.ts';
import { repairImage } from '../transfer/repair.ts';
import type { Session } from '../transfer/session.ts';
import { parseVmConfig } from './config-file.ts';

export interface ExamineOptions {
  /** Mend what can be mended. Nothing is deleted that cannot be fetched again; local VMs are never touched. Default: only look. */
  readonly fix?: boolean;
  /** Hash every disk, and not only look at lengths. Default: no. */
  readonly deep?: boolean;
  /** Speak plain HTTP to the registries that damaged images are fetched from. Default: no. */
  readonly insecure?: boolean;
}

/** What is known about a home after looking through all of it. */
export interface Examination {
  /** The home's folder. */
  readonly home: string;
  /** What is not as it should be, now: after the mending, when there was one. */
  readonly findings: readonly Finding[];
  /** What was to be done, and what came of it; empty when nothing was to be done. */
  readonly mended: readonly Mended[];
  readonly totals: HomeTotals;
  /** Absent when disks were not hashed. */
  readonly deep: DeepTotals | undefined;
}

/**
 * Examines a whole home, and mends it when asked to. Whoever works in it meanwhile is not disturbed. When the session's signal fires while
 * disks are hashed, what was found until then is returned, and `deep.isComplete` is false.
 *
 * @throws the reason of the session's signal when it fires at another time.
 */
export async function examine(session: Session, options: ExamineOptions = {}): Promise<Examination> {
  const { fix = false, deep = false, insecure = false } = options;
  const first = await look(session);
  const deeper = deep ? await deepCheck(session, intactImages(first)) : undefined;
  const found = [...first.findings, ...(deeper?.findings ?? [])];
  const result = { home: session.home.root, deep: deeper?.totals };
  if (!fix || session.signal.aborted) return { ...result, findings: found, mended: [], totals: first.totals };
  const mended = await mend(session, found, insecure);
  const second = await look(session);
  const healed = new Set(mended.filter((each) => each.result === 'mended').map((each) => each.finding));
  const remaining = (deeper?.findings ?? []).filter((each) => !healed.has(each));
  return { ...result, findings: [...second.findings, ...remaining], mended, totals: second.totals };
}

async function look(session: Session): Promise<HomeCheck> {
  return checkHome(session, parseVmConfig);
}

/** Those worth hashing: of the others it is known that they are damaged, and their repair hashes what they have. */
function intactImages({ images, findings }: HomeCheck): ImagePlace[] {
  const damaged = new Set(
    findings.flatMap(({ severity, remedy }) =>
      severity === 'damage' && remedy.kind === 'repair' ? remedy.image.path : [],
    ),
  );
  return images.filter(({ path }) => !damaged.has(path));
}

async function mend(session: Session, findings: readonly Finding[], insecure: boolean): Promise<Mended[]> {
  const mended: Mended[] = [];
  const repairs = new Map<string, { image: ImagePlace; findings: Finding[] }>();
  for (const each of findings) {
    session.signal.throwIfAborted();
    const { remedy } = each;
    if (remedy.kind === 'repair') {
      const known = repairs.get(remedy.image.path) ?? { image: remedy.image, findings: [] };
      repairs.set(remedy.image.path, known);
      known.findings.push(each);
      continue;
    }
    const outcome = await mendFinding(session, each);
    if (outcome !== undefined) mended.push(outcome);
  }
  for (const each of repairs.values()) {
    session.signal.throwIfAborted();
    mended.push(...(await repairImage(session, each.image, each.findings, { insecure })));
  }
  return mended;
}
