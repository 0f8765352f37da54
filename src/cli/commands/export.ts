import { createInterface } from 'node:readline';
import { TartletError } from '../../errors.ts';
import { exists } from '../../home/folder.ts';
import type { Session } from '../../transfer/session.ts';
import { exportVm, type ExportTarget } from '../../vm/export.ts';
import { renderJson } from '../render/json.ts';
import { humanBytes } from '../render/quantity.ts';
import { exportResult } from '../render/result.ts';
import { type ReportOptions, withSession } from '../session.ts';
import { resolvePath, type Screen, type Terminal } from '../terminal.ts';

export interface ExportCommandOptions extends Pick<ReportOptions, 'quiet'> {
  readonly format: 'text' | 'json';
  readonly reproducible?: true;
}

/**
 * Asks before it overwrites a file that nobody named, as Tart does; whatever is not `yes` is a no, and a no is no failure
 * (tart-cli §1.14). The question goes to stderr, as everything does that is no result.
 */
export async function runExport(
  terminal: Terminal,
  name: string,
  to: string | undefined,
  options: ExportCommandOptions,
): Promise<number> {
  const work = async (session: Session, say: (line: string) => void): Promise<number> => {
    const target = targetOf(terminal, to ?? defaultFile(name));
    const isJson = options.format === 'json';
    if (isJson && target.kind === 'stream') {
      throw new TartletError('USAGE', 'stdout takes the archive or the result, not both', { next: 'name a file' });
    }
    if (to === undefined && target.kind === 'path' && (await exists(target.path))) {
      terminal.stderr.write(`${defaultFile(name)} exists. Replace it? Only "yes" replaces it: `);
      if ((await readLine(terminal)) !== 'yes') {
        terminal.stderr.write(`\nnothing was exported, ${defaultFile(name)} was left alone\n`);
        return 0;
      }
    }
    const outcome = await withBrokenPipe(terminal.stdout, async () =>
      exportVm(session, name, target, { reproducible: options.reproducible ?? false }),
    );
    const where = target.kind === 'path' ? (to ?? defaultFile(name)) : target.name;
    say(`exported ${name} to ${where}, ${humanBytes(outcome.archiveBytes)} (${outcome.digest.toString()})`);
    if (isJson) terminal.stdout.write(renderJson(exportResult(name, where, outcome)));
    return 0;
  };
  return withSession(terminal, work, { report: options });
}

function targetOf(terminal: Terminal, to: string): ExportTarget {
  if (to !== '-') return { kind: 'path', path: resolvePath(terminal, to) };
  if (terminal.stdout.isTTY === true) {
    throw new TartletError('USAGE', 'an archive does not go to a terminal', {
      next: 'redirect stdout, or name a file',
    });
  }
  return { kind: 'stream', stream: terminal.stdout, name: 'stdout' };
}

/** Tart puts the name there as it is, slashes and all (tart-cli §7 #38). 200 characters leave room for the ending. */
function defaultFile(name: string): string {
  return `${name.replaceAll(/[/:@]/g, '_').slice(0, 200)}.oci.tar`;
}

/** One line of stdin; undefined at its end. */
async function readLine(terminal: Terminal): Promise<string | undefined> {
  const lines = createInterface({ input: terminal.stdin, signal: terminal.signal });
  try {
    for await (const line of lines) return line;
    terminal.signal.throwIfAborted();
    return undefined;
  } finally {
    lines.close();
  }
}

/**
 * For other commands a reader that went away is a quiet end. Half an archive is none: while one is written, the failure must
 * reach whoever writes.
 */
async function withBrokenPipe<T>(stdout: Screen, work: () => Promise<T>): Promise<T> {
  const listeners = stdout.rawListeners('error') as ((error: Error) => void)[];
  stdout.removeAllListeners('error');
  stdout.on('error', ignore);
  try {
    return await work();
  } finally {
    stdout.off('error', ignore);
    for (const listener of listeners) stdout.on('error', listener);
  }
}

/** Every write reports its failure by itself. */
function ignore(): void {}
