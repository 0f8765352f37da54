import { canMoveCursor, coloursFor } from './colour.ts';
import type { Progress, ProgressStreams, ProgressTime } from './display.ts';
import { LiveProgress } from './live-progress.ts';
import { PlainProgress } from './plain-progress.ts';

export interface ProgressOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Milliseconds between lines where there is no terminal; default 5000. */
  readonly plainIntervalMs?: number;
  /** Default: the machine's. */
  readonly time?: ProgressTime;
}

const PLAIN_INTERVAL_MS = 5000;

const systemTime: ProgressTime = {
  monotonic: () => performance.now(),
  every: (milliseconds, tick) => {
    const timer = setInterval(tick, milliseconds).unref();
    return () => clearInterval(timer);
  },
};

/**
 * A live display on a terminal, plain lines elsewhere. With `CI` set there are lines on a terminal too, as in Tart:
 * what CI systems call a terminal ends up in a log (tart-cli §0.3).
 */
export function createProgress(streams: ProgressStreams, options: ProgressOptions): Progress {
  const { environment, plainIntervalMs = PLAIN_INTERVAL_MS, time = systemTime } = options;
  const { reports } = streams;
  const inCi = !['', 'false', '0'].includes(environment['CI'] ?? '');
  if (reports === undefined || inCi || !canMoveCursor(reports, environment)) {
    return new PlainProgress(streams, plainIntervalMs, time);
  }
  return new LiveProgress(reports, coloursFor(reports, environment), time);
}
