import type { Session } from '../../session/session.ts';
import { importVm, type ImportSource } from '../../archive/import.ts';
import { renderJson } from '../render/json.ts';
import { importResult } from '../render/result.ts';
import { type ReportOptions, withSession } from '../session/session.ts';
import { resolvePath, type Terminal } from '../terminal/terminal.ts';
import { newLocalName } from '../session/usage-error.ts';
import { replacedLine } from './clone.ts';

export interface ImportCommandOptions extends Pick<ReportOptions, 'quiet'> {
  readonly ref?: string;
  readonly format: 'text' | 'json';
}

/** `-` is stdin, as for export. */
export async function runImport(
  terminal: Terminal,
  from: string,
  text: string,
  options: ImportCommandOptions,
): Promise<number> {
  const work = async (session: Session, say: (line: string) => void): Promise<number> => {
    const name = newLocalName(text);
    const source: ImportSource =
      from === '-'
        ? { kind: 'stream', stream: terminal.stdin, name: 'stdin' }
        : { kind: 'path', path: resolvePath(terminal, from) };
    const outcome = await importVm(session, source, name, {
      reference: options.ref,
    });
    say(`imported ${name.text} (${outcome.digest.toString()})`);
    if (outcome.replaced) say(replacedLine(name));
    if (outcome.macChanged) say('note: it has a new MAC address, because another VM has the one it came with');
    if (options.format === 'json') terminal.stdout.write(renderJson(importResult(from, outcome)));
    return 0;
  };
  return withSession(terminal, work, { report: options, stdout: options.format === 'json' ? 'result' : 'progress' });
}
