import { createInterface } from 'node:readline';
import { TartletError } from '../../errors.ts';
import { exists } from '../../fs/stats.ts';
import type { Session } from '../../session/session.ts';
import { exportVm, type ExportTarget } from '../../archive/export.ts';
import { withoutErrorListeners } from '../terminal/broken-output.ts';
import { renderJson } from '../render/json.ts';
import { printable, printed } from '../terminal/printable.ts';
import { humanBytes } from '../render/quantity.ts';
import { exportResult } from '../render/result.ts';
import { type ReportOptions, withSession } from '../session/session.ts';
import { questionStream, resolvePath, type Terminal } from '../terminal/terminal.ts';

export interface ExportCommandOptions extends Pick<ReportOptions, 'quiet'> {
  readonly format: 'text' | 'json';
  readonly reproducible?: true;
}

/**
 * Asks before it overwrites a file whose name the user did not give, as Tart does; whatever is not `yes` is a no, and a
 * no is no failure (tart-cli §1.14). Half an archive is none: when the reader of one goes away, that is a failure and
 * no quiet end.
 */
export async function runExport(
  terminal: Terminal,
  name: string,
  to: string | undefined,
  options: ExportCommandOptions,
): Promise<number> {
  const target = targetOf(terminal, to ?? defaultFile(name));
  const isJson = options.format === 'json';
  if (isJson && target.kind === 'stream') {
    throw new TartletError('USAGE', 'stdout takes the archive or the result, not both', {
      next: { kind: 'in-words', words: 'name a file' },
    });
  }
  const work = async (session: Session, say: (line: string) => void): Promise<number> => {
    if (to === undefined && target.kind === 'path' && (await exists(target.path))) {
      questionStream(terminal, isJson).write(
        printed`${printable(defaultFile(name))} exists. Replace it? Only "yes" replaces it: `,
      );
      if ((await readLine(terminal)) !== 'yes') {
        terminal.stderr.write(printed`\nnothing was exported, ${printable(defaultFile(name))} was left alone\n`);
        return 0;
      }
    }
    const outcome = await withoutErrorListeners(terminal.stdout, async () =>
      exportVm(session, name, target, { reproducible: options.reproducible ?? false }),
    );
    const where = target.kind === 'path' ? (to ?? defaultFile(name)) : target.name;
    say(`exported ${name} to ${where}, ${humanBytes(outcome.archiveBytes)} (${outcome.digest.toString()})`);
    if (isJson) terminal.stdout.write(renderJson(exportResult(name, where, outcome)));
    return 0;
  };
  return withSession(terminal, work, {
    report: options,
    stdout: isJson || target.kind === 'stream' ? 'result' : 'progress',
  });
}

function targetOf(terminal: Terminal, to: string): ExportTarget {
  if (to !== '-') return { kind: 'path', path: resolvePath(terminal, to) };
  if (terminal.stdout.isTTY === true) {
    throw new TartletError('USAGE', 'an archive does not go to a terminal', {
      next: { kind: 'in-words', words: 'redirect stdout, or name a file' },
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
