import type { Command } from 'commander';
import type { Terminal } from '../terminal/terminal.ts';

/** What the declaration of a command needs. Its action imports what it runs, so that declaring it costs nothing. */
export interface Declaration {
  readonly program: Command;
  readonly terminal: Terminal;
  readonly setExitCode: (code: number) => void;
}

/** Commands that stand together in the help, each by its name and with what declares it. */
export interface CommandGroup {
  readonly title: string;
  readonly commands: Readonly<Record<string, (declaration: Declaration) => void>>;
}
