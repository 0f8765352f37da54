import type { Readable, Writable } from 'node:stream';

/** A stream that may be a terminal. */
export interface Screen extends Writable {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** Everything a command knows of the process it runs in. Tests hand in their own. */
export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean | undefined };
  /** Results, and nothing else. */
  readonly stdout: Screen;
  /** Progress, notes and errors. */
  readonly stderr: Screen;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingFolder: string;
  readonly userFolder: string;
  readonly platform: NodeJS.Platform;
  /** The user's number, where the system has them. */
  readonly uid: number | undefined;
  readonly now: () => Date;
  readonly signal: AbortSignal;
  /** The words of the command line after the program. */
  readonly argv: readonly string[];
  /** Where the program lies, as it was called: a link, perhaps. */
  readonly programPath: string;
  /** What the program was called: `tartlet`, or `tart` through a link. */
  readonly programName: string;
}
