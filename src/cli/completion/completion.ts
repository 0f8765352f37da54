import { completionScript, type Shell } from './script.ts';
import { ownText } from '../terminal/printable.ts';
import type { Terminal } from '../terminal/terminal.ts';

export function runCompletion(terminal: Terminal, shell: Shell): Promise<number> {
  // Words of ours alone, with the tabs that shells want.
  terminal.stdout.write(ownText(completionScript(shell, terminal.programName)));
  return Promise.resolve(0);
}
