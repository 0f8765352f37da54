import type { TransferEvent } from '../../transfer/progress.ts';
import type { Progress, ProgressStream, ProgressTime } from './display.ts';
import { lastingText, TransferView } from './transfer-view.ts';

/**
 * For pipes, files and CI: a line with what the transfer sets out to do, one every few seconds, and one at the end. Never an
 * escape sequence. The lines come even when nothing moves, because some CI systems kill what is silent. Nothing is said before the
 * first few seconds are over, or a chunk is in its place: drivers show the first line of stderr as the reason of a failure (tart-cli §5), and
 * what fails, mostly fails at once.
 */
export class PlainProgress implements Progress {
  readonly #stream: ProgressStream;
  readonly #intervalMs: number;
  readonly #time: ProgressTime;
  readonly #views = new Map<string, TransferView>();
  readonly #announced = new WeakSet<TransferView>();
  #stopTimer: (() => void) | undefined;

  constructor(stream: ProgressStream, intervalMs: number, time: ProgressTime) {
    this.#stream = stream;
    this.#intervalMs = intervalMs;
    this.#time = time;
  }

  handle(event: TransferEvent): void {
    const lasting = lastingText(event);
    if (lasting !== undefined) {
      this.print(lasting);
      return;
    }
    const now = this.#time.monotonic();
    const view = this.#views.get(event.subject) ?? new TransferView(event.subject);
    view.add(event, now);
    this.#views.set(event.subject, view);
    this.#stopTimer ??= this.#time.every(this.#intervalMs, () => this.#report());
    // A chunk in its place: whatever would have failed at once has not.
    if (view.totals.plan !== undefined && isProgress(event)) this.#announce(view);
    if (event.kind === 'finished') this.#finish(event.subject, view, now);
  }

  print(line: string): void {
    this.#stream.write(`${line}\n`);
  }

  close(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#views.clear();
  }

  #finish(key: string, view: TransferView, now: number): void {
    if (view.hasStarted) this.print(`${view.subject}: ${view.summary(now)}`);
    this.#views.delete(key);
    if (this.#views.size === 0) this.close();
  }

  #announce(view: TransferView): void {
    if (this.#announced.has(view)) return;
    this.#announced.add(view);
    this.print(`${view.subject}: ${view.announcement()}`);
  }

  #report(): void {
    const now = this.#time.monotonic();
    for (const view of this.#views.values()) {
      if (view.hasStarted) this.#announce(view);
      const retries = view.takeRetries();
      const parts = view.hasStarted ? Object.values(view.figures(now)).filter((part) => part !== undefined) : [];
      if (retries !== undefined) parts.push(`${retries.count}x ${retries.last}`);
      if (!view.hasStarted && parts.length === 0) parts.push(view.notice(now) ?? 'looking at what is here');
      this.print(`${view.subject}: ${parts.join(', ')}`);
    }
  }
}

function isProgress({ kind }: TransferEvent): boolean {
  return kind === 'chunk-done' || kind === 'chunk-reused' || kind === 'finished';
}
