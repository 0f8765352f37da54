import { isTartletError, TartletError } from '../../errors.ts';
import type { Deletion } from '../../home/prune/prune-measure.ts';
import { prune, type PruneReport, type PruneRequest } from '../../home/prune/prune.ts';
import { writeError, writeLines } from '../terminal/message-stream.ts';
import { type Mood, renderDeletion, renderFreed } from '../render/deletion.ts';
import { renderError } from '../render/error.ts';
import { foldText } from '../terminal/fold.ts';
import { renderJson } from '../render/json.ts';
import { joined, type Printable, printableLine, printed } from '../terminal/printable.ts';
import { humanBytes, isoSeconds } from '../render/quantity.ts';
import { withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

export interface PruneCommandOptions {
  readonly entries: 'caches' | 'vms';
  /** Days of 24 hours. */
  readonly olderThan?: number;
  /** GiB. */
  readonly spaceBudget?: number;
  /** The old name of `spaceBudget`. */
  readonly cacheBudget?: number;
  /** GiB. */
  readonly freeSpace?: number;
  readonly gc?: true;
  readonly dryRun?: true;
  readonly format?: 'text' | 'json';
}

const DAY_MS = 24 * 60 * 60 * 1000;
const GIB = 1024 ** 3;

/**
 * What would be deleted is the result of a dry run; what was deleted is told on stderr, since Tart prints nothing on
 * success.
 */
export async function runPrune(terminal: Terminal, options: PruneCommandOptions): Promise<number> {
  const request = requestOf(terminal, options);
  return withSession(terminal, async (session) => {
    const report = await prune(session, request);
    const mood: Mood = request.dryRun === true ? 'would' : 'did';
    if (options.format === 'json') terminal.stdout.write(renderJson(toJson(report, mood)));
    else {
      const screen = mood === 'would' ? terminal.stdout : terminal.stderr;
      screen.write(foldText(toText(report, terminal.now(), mood), screen));
    }
    const exitCode = sayWhatWasSpared(terminal, report);
    if (mood === 'did') requireRoom(report, request);
    return exitCode;
  });
}

function requestOf(terminal: Terminal, options: PruneCommandOptions): PruneRequest {
  const { entries, olderThan, freeSpace, gc, dryRun } = options;
  const budget = budgetOf(terminal, options);
  if ([olderThan, budget, freeSpace, gc].every((criterion) => criterion === undefined)) {
    throw new TartletError('USAGE', 'say what must go', {
      next: { kind: 'in-words', words: 'give --older-than, --space-budget or --free-space, or several of them' },
    });
  }
  if (freeSpace !== undefined && entries === 'vms') {
    throw new TartletError('USAGE', '--free-space makes room by deleting from the cache, never VMs', {
      next: { kind: 'in-words', words: 'leave out --entries vms, or choose the VMs by --older-than or --space-budget' },
    });
  }
  return {
    entries,
    olderThanMs: olderThan === undefined ? undefined : olderThan * DAY_MS,
    budgetBytes: budget === undefined ? undefined : budget * GIB,
    freeBytes: freeSpace === undefined ? undefined : freeSpace * GIB,
    collect: gc ?? false,
    dryRun: dryRun ?? false,
  };
}

function budgetOf(terminal: Terminal, { spaceBudget, cacheBudget }: PruneCommandOptions): number | undefined {
  if (cacheBudget === undefined) return spaceBudget;
  if (spaceBudget !== undefined) {
    throw new TartletError('USAGE', '--cache-budget is the old name of --space-budget: give only one of them');
  }
  writeLines(terminal.stderr, 'note: --cache-budget is the old name of --space-budget');
  return cacheBudget;
}

/** An entry that another process uses is no failure: a later run deletes it. */
function sayWhatWasSpared(terminal: Terminal, report: PruneReport): number {
  let exitCode = 0;
  for (const { error } of report.spared) {
    if (isTartletError(error, 'BUSY', 'VM_RUNNING')) {
      writeLines(terminal.stderr, `note: skipped, because ${error.message}`);
    } else {
      exitCode = 1;
      writeError(terminal.stderr, renderError(error, terminal.stderr, terminal.environment, terminal.programName));
    }
  }
  return exitCode;
}

/** The user who asks for room counts on it. @throws TartletError `DISK_FULL` */
function requireRoom({ freeBytes }: PruneReport, request: PruneRequest): void {
  if (freeBytes === undefined || request.freeBytes === undefined || freeBytes >= request.freeBytes) return;
  throw new TartletError(
    'DISK_FULL',
    `${humanBytes(freeBytes, 1)} are free now, ${humanBytes(request.freeBytes, 1)} ` +
      `(${request.freeBytes / GIB} GiB) were asked for: nothing else in the cache can go`,
    {
      expected: String(request.freeBytes),
      found: String(freeBytes),
      next: { kind: 'in-words', words: 'unpin images, or delete VMs that you no longer need (tartlet list)' },
    },
  );
}

function toText({ danglingTags, deleted }: PruneReport, now: Date, mood: Mood): Printable {
  const lines = [
    ...danglingTags.map(({ name }) =>
      printableLine(`${mood === 'would' ? 'would remove' : 'removed'} ${name.toString()}: it leads to nothing`),
    ),
    ...deleted.map((deletion) => renderDeletion(deletion, now, mood)),
  ];
  if (deleted.length > 0) lines.push(renderFreed(deleted, mood));
  if (lines.length > 0) return joined(lines);
  return mood === 'would' ? printed`nothing would be deleted\n` : printed`nothing was deleted\n`;
}

/**
 * All sizes are whole bytes; null is what cannot be told on this file system. `bytes` counts a shared file once, for
 * one of its images.
 */
function toJson(report: PruneReport, mood: Mood): object {
  return {
    schema: 'tartlet.prune/v1',
    dryRun: mood === 'would',
    bytes: report.deleted.reduce((sum, { candidate }) => sum + candidate.bytes, 0),
    freeBytes: report.freeBytes ?? null,
    entries: report.deleted.map(toJsonEntry),
    danglingTags: report.danglingTags.map((tag) => tag.name.toString()),
    skipped: report.spared.map(({ kind, name, error }) => ({ kind, name, code: error.code, message: error.message })),
  };
}

function toJsonEntry({ candidate, reason, footprint }: Deletion): object {
  return {
    kind: candidate.kind,
    name: candidate.name.toString(),
    ...(candidate.kind === 'image' ? { tags: candidate.tags.map((tag) => tag.toString()) } : {}),
    path: candidate.path,
    reason,
    accessed: isoSeconds(candidate.accessed),
    bytes: candidate.bytes,
    logicalBytes: footprint.logicalBytes,
    allocatedBytes: footprint.allocatedBytes,
    sharedBytes: footprint.sharedBytes ?? null,
    reclaimableBytes: footprint.reclaimableBytes ?? null,
  };
}
