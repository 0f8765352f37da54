import type { Candidate } from '../../home/prune-candidate.ts';
import type { PruneReason } from '../../home/prune-choice.ts';
import { prune, type PruneReport } from '../../home/prune.ts';
import { TartletError } from '../../errors.ts';
import { renderError } from '../render/error.ts';
import { renderJson } from '../render/json.ts';
import { humanBytes, isoSeconds, relativeTime } from '../render/quantity.ts';
import { renderTable } from '../render/table.ts';
import { withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export interface PruneCommandOptions {
  readonly entries: 'caches' | 'vms';
  /** Days of 24 hours. */
  readonly olderThan?: number;
  /** GiB. */
  readonly spaceBudget?: number;
  /** The old name of `spaceBudget`. */
  readonly cacheBudget?: number;
  readonly gc?: true;
  readonly dryRun?: true;
  readonly format?: 'text' | 'json';
}

const DAY_MS = 24 * 60 * 60 * 1000;
const GIB = 1024 ** 3;

/** Silent on success, as in Tart, unless asked what would be or was deleted. */
export async function runPrune(terminal: Terminal, options: PruneCommandOptions): Promise<number> {
  const budget = budgetOf(terminal, options);
  if (options.olderThan === undefined && budget === undefined && options.gc === undefined) {
    throw new TartletError('USAGE', 'say what must go', { next: 'give --older-than, --space-budget, or both' });
  }
  return withSession(terminal, async (session) => {
    const dryRun = options.dryRun ?? false;
    const report = await prune(session, {
      entries: options.entries,
      ...(options.olderThan === undefined ? {} : { olderThanMs: options.olderThan * DAY_MS }),
      ...(budget === undefined ? {} : { budgetBytes: budget * GIB }),
      collect: options.gc ?? false,
      dryRun,
    });
    if (options.format === 'json') terminal.stdout.write(renderJson(toJson(report, dryRun)));
    else if (dryRun) terminal.stdout.write(toText(report, terminal));
    return sayWhatWasSpared(terminal, report);
  });
}

function budgetOf(terminal: Terminal, { spaceBudget, cacheBudget }: PruneCommandOptions): number | undefined {
  if (cacheBudget === undefined) return spaceBudget;
  if (spaceBudget !== undefined) {
    throw new TartletError('USAGE', '--cache-budget is the old name of --space-budget: give only one of them');
  }
  terminal.stderr.write('note: --cache-budget is the old name of --space-budget\n');
  return cacheBudget;
}

/** Somebody using an entry is no failure: it goes the next time. */
function sayWhatWasSpared(terminal: Terminal, report: PruneReport): number {
  let exitCode = 0;
  for (const { error } of report.spared) {
    if (error.code === 'BUSY' || error.code === 'VM_RUNNING') {
      terminal.stderr.write(`note: skipped, because ${error.message}\n`);
    } else {
      exitCode = 1;
      terminal.stderr.write(renderError(error, terminal.stderr, terminal.environment));
    }
  }
  return exitCode;
}

/** Tags say more to people than digests. */
function namesOf(candidate: Candidate): string {
  if (candidate.kind !== 'image' || candidate.tags.length === 0) return candidate.name.toString();
  return candidate.tags.map((tag) => tag.toString()).join(', ');
}

function reasonText(reason: PruneReason): string {
  return { age: 'not used for long', budget: 'does not fit', unreferenced: 'no tag leads to it' }[reason];
}

function toText(report: PruneReport, terminal: Terminal): string {
  const now = terminal.now();
  return renderTable(
    ['Kind', 'Name', 'Size', 'Accessed', 'Reason'],
    [
      ...report.danglingTags.map((tag) => ['tag', tag.name.toString(), '', '', 'leads to nothing']),
      ...report.deleted.map(({ candidate, reason }) => [
        candidate.kind,
        namesOf(candidate),
        humanBytes(candidate.bytes),
        relativeTime(candidate.accessed, now),
        reasonText(reason),
      ]),
    ],
    terminal.stdout,
  );
}

/** `bytes` are whole bytes as they lie on the disk. */
function toJson(report: PruneReport, dryRun: boolean): object {
  return {
    schema: 'tartlet.prune/v1',
    dryRun,
    bytes: report.deleted.reduce((sum, { candidate }) => sum + candidate.bytes, 0),
    entries: report.deleted.map(({ candidate, reason }) => ({
      kind: candidate.kind,
      name: candidate.name.toString(),
      ...(candidate.kind === 'image' ? { tags: candidate.tags.map((tag) => tag.toString()) } : {}),
      path: candidate.path,
      bytes: candidate.bytes,
      accessed: isoSeconds(candidate.accessed),
      reason,
    })),
    danglingTags: report.danglingTags.map((tag) => tag.name.toString()),
    skipped: report.spared.map(({ candidate, error }) => ({
      kind: candidate.kind,
      name: candidate.name.toString(),
      code: error.code,
      message: error.message,
    })),
  };
}
