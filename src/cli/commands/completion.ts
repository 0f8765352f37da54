import type { Command } from 'commander';
import { completionScript, type Shell } from '../completion/script.ts';
import type { Terminal } from '../terminal.ts';

export function runCompletion(terminal: Terminal, program: Command, shell: Shell): Promise<number> {
  terminal.stdout.write(completionScript(program, shell, terminal.programName));
  return Promise.resolve(0);
}
