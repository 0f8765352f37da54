import type { RateLimit } from '../registry/request/rate-limit.ts';
import type { OnWire } from '../registry/wire.ts';
import { type Direction, type TransferEvent, TransferTotals } from '../session/progress.ts';
import { RateMeter } from '../session/rate.ts';

/** What every operation can be given. */
export interface OperationOptions {
  /** Ends the operation; what was verified is kept, and the next call continues. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Told how far a transfer is, whenever that changes. Several transfers of one operation are told apart by `subject`.
   */
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
  /** Told everything that happens, fact by fact. Default: what `openTartlet` was given. */
  readonly onEvent?: ((event: TransferEvent) => void) | undefined;
  /**
   * Told of every request to a registry and every answer, without their secrets. Default: what `openTartlet` was given.
   */
  readonly onWire?: OnWire | undefined;
  /**
   * How fast this operation moves bytes at most, in bytes per second in each direction. Default: what `openTartlet` was
   * given, which operations share.
   */
  readonly limitRate?: number | RateLimit | undefined;
  /** `off`: images come from the registry in their name alone. Default: what `openTartlet` was given. */
  readonly mirrors?: 'configured' | 'off' | undefined;
}

/** How far a transfer is. */
export interface TransferProgress {
  /** The name of the image or VM, as the caller will see it. */
  readonly subject: string;
  readonly direction: Direction;
  /** From 0 to 1, never less than before unless something has to be sent again. */
  readonly fraction: number;
  /** Bytes that crossed the network, or were written to or read from an archive. */
  readonly bytes: number;
  /** All of them; undefined where that shows only underway (a push compresses as it goes). */
  readonly bytesTotal: number | undefined;
  /** Over the last five seconds; undefined during the first one. */
  readonly bytesPerSecond: number | undefined;
  /** Bytes of the disk, decoded. */
  readonly diskBytes: number;
}

const RATE_WINDOW_MS = 5000;

/**
 * Turns the events of an operation into its progress.
 *
 * @param now monotonic milliseconds.
 */
export function progressListener(
  onProgress: (progress: TransferProgress) => void,
  now: () => number,
): (event: TransferEvent) => void {
  const transfers = new Map<string, { readonly totals: TransferTotals; readonly rate: RateMeter }>();
  return (event) => {
    const { subject } = event;
    const transfer = transfers.get(subject) ?? { totals: new TransferTotals(), rate: new RateMeter(RATE_WINDOW_MS) };
    transfers.set(subject, transfer);
    transfer.totals.add(event);
    const { direction, bytes, bytesTotal, diskBytes, fraction } = transfer.totals;
    if (direction === undefined) return;
    onProgress({
      subject,
      direction,
      fraction: event.kind === 'finished' ? 1 : fraction,
      bytes,
      bytesTotal,
      bytesPerSecond: transfer.rate.measure(bytes, now()),
      diskBytes,
    });
  };
}
