import type { Terminal } from '../terminal/terminal.ts';

/** Another process of this very command, under the name that it was called by. */
export function ourselves(
  { programPath, environment }: Terminal,
  words: readonly string[],
): {
  readonly file: string;
  readonly argv: readonly string[];
  readonly name: string;
  readonly environment: Terminal['environment'];
} {
  // A single executable knows by the first word that it is to be the command, as Node does (scripts/binary/main.cjs).
  return {
    file: process.execPath,
    argv: [...process.execArgv, programPath, ...words],
    name: process.argv0,
    environment,
  };
}
