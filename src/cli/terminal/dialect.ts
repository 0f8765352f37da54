import type { Terminal } from './terminal.ts';

/** Whose command line is spoken. */
export type Dialect = 'tart' | 'vetu';

/**
 * By the name that we were called by, through however many links: as `vetu` we speak Vetu's, which Orchard and Cirrus
 * CLI start on Linux, and by every other name Tart's (run-fleet-demand §b.1).
 */
export function dialectOf({ programName }: Pick<Terminal, 'programName'>): Dialect {
  return programName === 'vetu' ? 'vetu' : 'tart';
}

/** Vetu ends with 1 whatever went wrong; Tart tells failures apart (run-fleet-demand §2, tart-cli §0.2). */
export function exitCodeIn(dialect: Dialect, code: number): number {
  return dialect === 'vetu' && code !== 0 ? 1 : code;
}

/** Vetu's commands (run-fleet-demand §2). @internal exported for its test. */
export const VETU_COMMANDS = 'pull push list fqn create clone delete set run stop ip login logout'.split(' ');

/**
 * Texts name our commands as `tartlet` has them. Gives them the name that we were called by, so that they can be
 * repeated as they stand: as `vetu` where it has the command, and never `export`, which Tart has in another format.
 */
export function calledBy(programName: string, text: string): string {
  const named = (command: string): string => {
    if (command === 'export') return 'tartlet';
    if (programName !== 'vetu') return programName;
    return VETU_COMMANDS.includes(command) ? programName : 'tartlet';
  };
  return text.replaceAll(/\btartlet ([a-z][a-z-]*)/g, (_, command: string) => `${named(command)} ${command}`);
}
