import type { TransferEvent } from '../../session/progress.ts';
import type { MessageStream } from '../terminal/message-stream.ts';

/** Shows what transfers tell. Several images at once are fine. */
export interface Progress {
  handle(event: TransferEvent): void;
  /** Writes a line for good, between the pictures. While a display is on, nothing else may write to its stream. */
  print(line: string): void;
  /** Takes the display away and stops its timer. Safe to call twice; to be called however the work ended. */
  close(): void;
}

/** Time as the display needs it; tests bring their own. */
export interface ProgressTime {
  /** Milliseconds that never jump. */
  monotonic(): number;
  /** Calls `tick` every so many milliseconds until the returned function is called. Must not keep the process alive. */
  every(milliseconds: number, tick: () => void): () => void;
}

/** Where a display writes. On a terminal both are one. */
export interface ProgressStreams {
  /** For what is said once: notes, and what was done in the end. */
  readonly notes: MessageStream;
  /** For how far it is; undefined where nothing can take it. */
  readonly reports: MessageStream | undefined;
}
