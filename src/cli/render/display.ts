import type { TransferEvent } from '../../transfer/progress.ts';

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

/** What the display needs of a stream; every `tty.WriteStream` has it. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  /** True while the other side does not read; the display then skips a picture. */
  readonly writableNeedDrain?: boolean | undefined;
}
