import { isTartletError } from '../errors.ts';
import type { Finding, ImagePlace } from './finding.ts';
import { checkHome, type HomeCheck, type HomeTotals } from './home-check.ts';
import { leftBecause, type RepairResult, repairFinding } from './repair-finding.ts';
import { assignRegistry, migrateCache } from '../migration/migrate.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { deepCheck, type DeepTotals } from './deep-check.ts';
import { repairImage } from './repair.ts';
import type { Session } from '../session/session.ts';
import { parseVmConfig } from '../vm/config-file.ts';

/** What the user knows about images without evidence. */
export interface Assignment {
  /** An address, or the very name of a directory of `cache/OCIs` that no address has. */
  readonly from: string;
  readonly to: RegistryAddress;
}

/** How thoroughly a home is checked, and whether it is repaired. */
export interface DoctorOptions {
  /**
   * Repair what can be repaired. Nothing is deleted that cannot be fetched again; local VMs are never touched. Default:
   * only look.
   */
  readonly fix?: boolean;
  /** Hash every disk, and not only look at lengths. Default: no. */
  readonly deep?: boolean;
  /** Speak plain HTTP to the registries that damaged images are fetched from. Default: no. */
  readonly insecure?: boolean;
  /** Carried out before everything else, with or without `fix`. */
  readonly assign?: readonly Assignment[];
  /**
   * Where images of a host may have come from, asked when nothing else tells; a hint for people. Default: unknown.
   */
  readonly knownPorts?: (host: string) => Promise<readonly RegistryAddress[]>;
}

/** Images that got their true name. */
export interface Moved {
  /** Path where it lay. */
  readonly from: string;
  readonly to: string;
}

/** What is known about a home after looking through all of it. */
export interface DoctorReport {
  /** The home's directory. */
  readonly home: string;
  /** What is not as it should be, now: after the repair, when there was one. */
  readonly findings: readonly Finding[];
  /** What was to be done, and what came of it; empty when nothing was to be done. */
  readonly repaired: readonly RepairResult[];
  readonly moved: readonly Moved[];
  readonly totals: HomeTotals;
  /** Absent when disks were not hashed. */
  readonly deep: DeepTotals | undefined;
}

/**
 * Examines a whole home, and repairs it when asked to. Other processes that work in it meanwhile are not disturbed.
 * When the session's signal fires while disks are hashed, what was found until then is returned, and `deep.isComplete`
 * is false.
 *
 * @throws the reason of the session's signal when it fires at another time; `DISK_*` when an assignment cannot be
 * carried out.
 */
export async function runDoctor(session: Session, options: DoctorOptions = {}): Promise<DoctorReport> {
  const { fix = false, deep = false, insecure = false } = options;
  const moved: Moved[] = [];
  for (const { from, to } of options.assign ?? []) {
    const report = await assignRegistry(session, from, to);
    moved.push(...report.moved.map((each) => ({ from: each.from, to: each.to.toString() })));
  }
  const repaired: RepairResult[] = [];
  let first = await look(session, options);
  if (fix && first.needsMigration) {
    repaired.push(...(await migrate(session, first, moved)));
    first = await look(session, options);
  }
  const deeper = deep ? await deepCheck(session, intactImages(first)) : undefined;
  const added = news(deeper?.findings ?? [], first);
  const isUnknown = (each: Finding): boolean => !isSettled(each, deeper);
  const found = [...first.findings.filter(isUnknown), ...added];
  const result = { home: session.home.root, moved, deep: deeper?.totals };
  if (!fix || session.signal.aborted) return { ...result, findings: found, repaired, totals: first.totals };
  repaired.push(...(await repair(session, found, insecure)));
  const second = await look(session, options);
  const fixed = new Set(repaired.filter((each) => each.result === 'repaired').map((each) => each.finding));
  const remaining = added.filter((each) => !fixed.has(each));
  return { ...result, findings: [...second.findings.filter(isUnknown), ...remaining], repaired, totals: second.totals };
}

/** Whether hashing has told what became of a disk that was touched. */
function isSettled({ id, path }: Finding, deeper: Awaited<ReturnType<typeof deepCheck>> | undefined): boolean {
  if (id !== 'disk-touched' || deeper?.totals.isComplete !== true) return false;
  return !deeper.findings.some((each) => each.id === 'image-busy' && path.startsWith(`${each.path}/`));
}

/** What a deep check adds. That a file cannot be read was seen by its permissions, mostly. */
function news(findings: readonly Finding[], first: HomeCheck): Finding[] {
  const unread = new Set(first.findings.flatMap(({ id, path }) => (id === 'unreadable' ? [path] : [])));
  return findings.filter(({ id, path }) => id !== 'unreadable' || !unread.has(path));
}

async function look(session: Session, { knownPorts }: DoctorOptions): Promise<HomeCheck> {
  const check = await checkHome(session, parseVmConfig);
  return { ...check, findings: await Promise.all(check.findings.map(async (each) => advise(each, knownPorts))) };
}

/** What a user can do who knows where an image came from. */
async function advise(each: Finding, knownPorts: DoctorOptions['knownPorts']): Promise<Finding> {
  const { id, name } = each;
  if (id !== 'address-unknown' || name === undefined) return each;
  const known = (await knownPorts?.(name)) ?? [];
  return { ...each, next: { kind: 'assign-registry', name, registries: known.map(String) } };
}

/** Does for the whole cache what every command that changes it does first. */
async function migrate(session: Session, { findings }: HomeCheck, moved: Moved[]): Promise<RepairResult[]> {
  const old = findings.filter(({ remedy }) => remedy.kind === 'migrate');
  try {
    const report = await migrateCache(session, { thorough: true });
    moved.push(...report.moved.map((each) => ({ from: each.from, to: each.to.toString() })));
    const isBusy = (each: Finding): boolean => report.busy.some((busy) => `${each.path}/`.startsWith(`${busy}/`));
    return old.map((each) =>
      isBusy(each)
        ? { finding: each, result: 'left', text: 'another command is using it' }
        : { finding: each, result: 'repaired', text: 'moved under its address' },
    );
  } catch (error) {
    if (isTartletError(error)) return old.map((each) => leftBecause(each, error));
    throw error;
  }
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

async function repair(session: Session, findings: readonly Finding[], insecure: boolean): Promise<RepairResult[]> {
  const repaired: RepairResult[] = [];
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
    const outcome = await repairFinding(session, each);
    if (outcome !== undefined) repaired.push(outcome);
  }
  for (const each of repairs.values()) {
    session.signal.throwIfAborted();
    repaired.push(...(await repairImage(session, each.image, each.findings, { insecure })));
  }
  return repaired;
}
