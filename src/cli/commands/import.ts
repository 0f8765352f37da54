import { importVm, type ImportSource } from '../../vm/import.ts';
import { withSession } from '../session.ts';
import { resolvePath, type Terminal } from '../terminal.ts';
import { newLocalName } from './clone.ts';

export interface ImportCommandOptions {
  readonly ref?: string;
}

/** `-` is stdin, as for export. */
export async function runImport(
  terminal: Terminal,
  from: string,
  text: string,
  options: ImportCommandOptions,
): Promise<number> {
  return withSession(terminal, async (session) => {
    const name = newLocalName(text);
    const source: ImportSource =
      from === '-'
        ? { kind: 'stream', stream: terminal.stdin, name: 'stdin' }
        : { kind: 'path', path: resolvePath(terminal, from) };
    const { digest, macChanged } = await importVm(session, source, name, {
      reference: options.ref,
    });
    terminal.stderr.write(`imported ${name.text} (${digest.toString()})\n`);
    if (macChanged)
      terminal.stderr.write('note: it has a new MAC address, because another VM has the one it came with\n');
    return 0;
  });
}
