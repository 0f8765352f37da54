import type { Command } from 'commander';
import { TartletError } from '../../errors.ts';
import { bashScript } from './bash.ts';
import { completionFacts, type Fact } from './facts.ts';
import { fishScript } from './fish.ts';
import { zshScript } from './zsh.ts';

export type Shell = 'bash' | 'zsh' | 'fish';

const WRITERS: Readonly<Record<Shell, (program: string, facts: readonly Fact[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/**
 * A script that teaches a shell to complete this program. It knows commands and options by itself and asks `PROGRAM __complete names PREFIX`
 * for names, one a line. Whatever was typed stays data in it: nothing is evaluated, so no script of ours runs a `$(…)` on the line (dependencies §1). zsh does by itself: its TAB expands first.
 *
 * @param programName what users type; the script completes only that.
 * @throws TartletError `USAGE` for a program name that cannot be one word of a shell.
 */
export function completionScript(program: Command, shell: Shell, programName: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(programName)) {
    throw new TartletError('USAGE', 'completion needs a program name of letters, digits, ".", "_" and "-"');
  }
  return WRITERS[shell](programName, completionFacts(program));
}
