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
