import { TartletError } from '../../errors.ts';
import { BASH_SCRIPT } from './bash.ts';
import { FISH_SCRIPT } from './fish.ts';
import { ZSH_SCRIPT } from './zsh.ts';

export type Shell = 'bash' | 'zsh' | 'fish';

const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH_SCRIPT, zsh: ZSH_SCRIPT, fish: FISH_SCRIPT };

/**
 * A script that teaches a shell to complete this program. It knows nothing by itself: at each TAB it gives the words
 * typed so far to `PROGRAM __complete`, which decides (complete.ts), so that a script stays right when Tartlet becomes
 * another version. Whatever was typed stays data in it: nothing is evaluated, so no script of ours runs a `$(…)` on the
 * line (dependencies §1). zsh does by itself: its TAB expands first.
 *
 * @param programName what users type; the script completes only that.
 * @throws TartletError `USAGE` for a program name that cannot be one word of a shell.
 */
export function completionScript(shell: Shell, programName: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(programName)) {
    throw new TartletError('USAGE', 'completion needs a program name of letters, digits, ".", "_" and "-"');
  }
  const functionName = `_${programName.replaceAll(/[^A-Za-z0-9]/g, '_')}`;
  return SCRIPTS[shell].replaceAll('@PROGRAM@', programName).replaceAll('@FUNCTION@', functionName);
}
