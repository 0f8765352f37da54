import type { TransferEvent } from '../../session/progress.ts';
import type { Progress, ProgressStreams, ProgressTime } from './display.ts';
import { printableLine } from '../terminal/printable.ts';
import { lastingText, TransferView } from './transfer-view.ts';

/**
 * For pipes, files and CI: what the transfer sets out to do, a line every few seconds, and one at the end. Never an
 * escape sequence. The lines come even when nothing moves, because some CI systems kill what is silent; what ends
 * within the first few seconds writes none.
 */
export class PlainProgress implements Progress {
  readonly #streams: ProgressStreams;
  readonly #intervalMs: number;
  readonly #time: ProgressTime;
  readonly #views = new Map<string, TransferView>();
  readonly #announced = new WeakSet<TransferView>();
  #stopTimer: (() => void) | undefined;

  constructor(streams: ProgressStreams, intervalMs: number, time: ProgressTime) {
    this.#streams = streams;
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
    if (event.kind === 'finished') this.#finish(event.subject, view, now);
  }

  print(line: string): void {
    this.#streams.notes.write(printableLine(line));
  }

  close(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#views.clear();
  }

  #finish(key: string, view: TransferView, now: number): void {
    // What came from where is worth a line of every pull, short ones too.
    if (view.totals.plan !== undefined) this.#announce(view, (line) => this.print(line));
    if (view.hasStarted) this.print(`${view.subject}: ${view.summary(now)}`);
    this.#views.delete(key);
    if (this.#views.size === 0) this.close();
  }

  #announce(view: TransferView, write: (line: string) => void): void {
    if (this.#announced.has(view)) return;
    this.#announced.add(view);
    write(`${view.subject}: ${view.announcement()}`);
  }

  #report(): void {
    const now = this.#time.monotonic();
    const { reports } = this.#streams;
    if (reports === undefined) return;
    const write = (line: string): void => void reports.write(printableLine(line));
    for (const view of this.#views.values()) {
      if (view.hasStarted) this.#announce(view, write);
      const retries = view.takeRetries();
      const parts = view.hasStarted ? Object.values(view.figures(now)).filter((part) => part !== undefined) : [];
      if (retries !== undefined) parts.push(`${retries.count}x ${retries.last}`);
      if (!view.hasStarted && parts.length === 0) parts.push(view.notice(now) ?? 'looking at what is here');
      write(`${view.subject}: ${parts.join(', ')}`);
    }
  }
}
