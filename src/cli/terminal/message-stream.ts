import { foldText } from './fold.ts';
import { joined, type Printable, printableLine } from './printable.ts';

/** The part of a stream that messages for people need. */
export interface MessageStream {
  write(text: Printable): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  /** True while the other side does not read. */
  readonly writableNeedDrain?: boolean | undefined;
}

/**
 * stderr where it is no terminal. Orchard, GitLab's executor and Cirrus CLI show the first line of a command that
 * failed as its reason (tart-cli §5): notes are held back until the command has ended, or until an error was written
 * before them.
 */
export class ErrorFirstStream implements MessageStream {
  readonly #target: MessageStream;
  /** Undefined once nothing is held back any more. */
  #held: Printable[] | undefined = [];
  /** What is written when all is over. */
  readonly #last: Printable[] = [];

  constructor(target: MessageStream) {
    this.#target = target;
  }

  write(text: Printable): void {
    if (this.#held === undefined) this.#target.write(text);
    else this.#held.push(text);
  }

  /** Writes everything that was held back, and from now on whatever comes at once. Safe to call twice. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const text of held) this.#target.write(text);
  }

  /** Keeps a note for the very end, whatever is released before. */
  writeLast(text: Printable): void {
    this.#last.push(text);
  }

  /** Writes all that is still held back: nothing comes any more. */
  finish(): void {
    this.release();
    for (const text of this.#last.splice(0)) this.#target.write(text);
  }

  /** Writes an error, and behind it what was held back. */
  writeError(text: Printable): void {
    this.#target.write(text);
    this.release();
  }
}

/** Writes lines for people, made printable and, where this is a terminal, broken at their spaces. */
export function writeLines(stream: MessageStream, ...lines: readonly string[]): void {
  stream.write(joined(lines.map((line) => foldText(printableLine(line), stream))));
}

/** Writes a text that says why a command fails, before any note of it. */
export function writeError(stream: MessageStream, text: Printable): void {
  if (stream instanceof ErrorFirstStream) stream.writeError(text);
  else stream.write(text);
}

/**
 * Writes what explains how a long command ran, and must not be taken for the reason of its end: there, where this is no
 * terminal.
 */
export function writeLast(stream: MessageStream, text: Printable): void {
  if (stream instanceof ErrorFirstStream) stream.writeLast(text);
  else stream.write(text);
}

/** For a command that has ended: nothing is held back any more. */
export function finishNotes(stream: MessageStream): void {
  if (stream instanceof ErrorFirstStream) stream.finish();
}

/** For a command that runs until it is stopped: from now on its messages are a log, and come at once. */
export function releaseNotes(stream: MessageStream): void {
  if (stream instanceof ErrorFirstStream) stream.release();
}
