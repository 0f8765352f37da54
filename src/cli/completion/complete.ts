import type { Command } from 'commander';
import { listVms } from '../../vm/listing.ts';
import { ownText, printableLines } from '../terminal/printable.ts';
import { withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { type Candidate, candidatesFor } from './candidates.ts';

/**
 * What the completion scripts call at every TAB. The first line says what can stand there: `words`, and then one a
 * line, with a tab and its meaning where it has one; or `files`, which the shell completes by itself. Of names only
 * those that begin with what was typed are given, because they may be thousands; of other words all, for shells that
 * also find what is written a little differently.
 *
 * Never fails, and changes nothing, not even an old cache: a shell is waiting.
 *
 * @param words what follows the program's name; the last one is being typed.
 */
export async function runComplete(terminal: Terminal, program: Command, words: readonly string[]): Promise<number> {
  const candidates = candidatesFor(program, words);
  if (candidates.kind === 'names') {
    const names = await namesHere(terminal, words.at(-1) ?? '');
    terminal.stdout.write(printableLines(['words', ...names]));
  } else {
    const lines = candidates.kind === 'files' ? ['files'] : ['words', ...candidates.words.map(line)];
    terminal.stdout.write(ownText(`${lines.join('\n')}\n`));
  }
  return 0;
}

function line({ word, about }: Candidate): string {
  return about === '' ? word : `${word}\t${about}`;
}

async function namesHere(terminal: Terminal, prefix: string): Promise<readonly string[]> {
  try {
    const rows = await withSession(terminal, async (session) => listVms(session), {
      cache: 'untouched',
      report: { quiet: true },
    });
    return rows.map((row) => row.name).filter((name) => name.startsWith(prefix));
  } catch {
    return []; // `list` says why, when it is asked.
  }
}
