import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type MessageStream, releaseNotes } from './message-stream.ts';
import type { Printable } from './printable.ts';

/**
 * A stream that may be a terminal. It takes text that is printable; for the bytes of an archive it is a stream like any
 * other.
 */
export interface Screen extends Omit<Writable, 'write'> {
  write(text: Printable): boolean;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** Everything a command knows of the process it runs in. Tests hand in their own. */
export interface Terminal {
  readonly stdin: Readable & {
    readonly isTTY?: boolean | undefined;
    /** Of a terminal: hands over each key as it is pressed, also those that mean something to the terminal. */
    setRawMode?(isRaw: boolean): unknown;
  };
  /** Results; and where stderr is no terminal, the progress of commands that have none (tart-cli §0.3). */
  readonly stdout: Screen;
  /**
   * Notes and errors, and progress on a terminal. Errors by `writeError`: where this is no terminal, they come first.
   */
  readonly stderr: MessageStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Asked only where something is relative to it: it may be gone. @throws TartletError `NOT_FOUND` */
  readonly workingDirectory: string;
  /** Absolute. Undefined for a user that the system does not know, as in a container whose user is just a number. */
  readonly userDirectory: string | undefined;
  readonly platform: NodeJS.Platform;
  /** The processor of this machine, as its kernel calls it: `x86_64`, `aarch64`, `arm64` … */
  readonly machine: string;
  /** The user's number, where the system has them. */
  readonly uid: number | undefined;
  readonly now: () => Date;
  /**
   * Sets which permissions new files do not get. @returns what it was before. Absent where it cannot be set, as in a
   * thread.
   */
  readonly umask?: (mask: number) => number;
  readonly signal: AbortSignal;
  /** Told what is being asked for, to name it should the command never end. */
  readonly asksFor?: (what: string) => void;
  /**
   * For commands that run until they are stopped: SIGHUP then means that their settings have changed, unless it came
   * because the terminal is gone.
   */
  readonly onReload: (listener: () => void) => void;
  /** The words of the command line after the program. */
  readonly argv: readonly string[];
  /** Where the program lies, as it was called: a link, perhaps. */
  readonly programPath: string;
  /** What the program was called: `tartlet`, or `tart` or `vetu` through a link. */
  readonly programName: string;
}

/** Where to ask the user, at once. @param hasResult whether stdout is for the result, and takes no question. */
export function questionStream({ stdout, stderr }: Terminal, hasResult: boolean): MessageStream {
  if (stderr.isTTY !== true && !hasResult) return stdout;
  releaseNotes(stderr);
  return stderr;
}

/**
 * The absolute path that was typed as `text`. Only a relative one needs the working directory.
 * @throws TartletError `NOT_FOUND`
 */
export function resolvePath(terminal: Terminal, text: string): string {
  return path.isAbsolute(text) ? path.resolve(text) : path.resolve(terminal.workingDirectory, text);
}
