import type { TransferEvent } from '../../transfer/progress.ts';
import type { MessageStream } from '../message-stream.ts';
import type { Colours } from './colour.ts';
import type { Progress, ProgressTime } from './display.ts';
import { LiveBlock } from './live-block.ts';
import { lastingText, TransferView } from './transfer-view.ts';
import { cutEnd, cutStart, displayWidth, padToWidth } from './width.ts';

const REPAINT_MS = 100;
const BAR_WIDTH = 20;
/** With its brackets and the space before it. */
const BAR_COLUMNS = BAR_WIDTH + 4;
/** A name is cut for the sake of the numbers, but not to less than this. */
const SHORTEST_NAME = 16;

/** For terminals: a line per image with a bar and numbers, painted at most ten times a second, and gone at the end. */
export class LiveProgress implements Progress {
  readonly #block: LiveBlock;
  readonly #colours: Colours;
  readonly #time: ProgressTime;
  readonly #views = new Map<string, TransferView>();
  #stopTimer: (() => void) | undefined;

  constructor(stream: MessageStream, colours: Colours, time: ProgressTime) {
    this.#block = new LiveBlock(stream);
    this.#colours = colours;
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
    if (event.kind === 'finished') {
      this.#views.delete(event.subject);
      if (view.hasStarted) this.print(`${view.subject}: ${view.summary(now)}`);
      if (this.#views.size === 0) this.close();
      return;
    }
    this.#views.set(event.subject, view);
    if (event.kind === 'started' && event.plan !== undefined) this.print(`${view.subject}: ${view.announcement()}`);
    // Painted by the timer only: what is done within a moment never flickers up.
    this.#stopTimer ??= this.#time.every(REPAINT_MS, () => this.#paint());
  }

  print(line: string): void {
    const isShown = this.#stopTimer !== undefined;
    this.#block.replaceBy(`${line}\n`);
    if (isShown) this.#paint();
  }

  close(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#block.replaceBy('');
  }

  #paint(): void {
    // The last column stays free: filling it makes some terminals wrap.
    const width = this.#block.columns - 1;
    const views = [...this.#views.values()];
    const nameWidth = Math.max(0, ...views.map((view) => displayWidth(view.subject)));
    const lines = views.flatMap((view) => this.#lines(view, width, nameWidth));
    const most = this.#block.maxHeight;
    const shown = lines.length > most ? [...lines.slice(0, most - 1), this.#colours.dim('…')] : lines;
    this.#block.paint(shown.slice(0, most));
  }

  #lines(view: TransferView, width: number, nameWidth: number): string[] {
    const now = this.#time.monotonic();
    const notice = view.notice(now);
    if (!view.hasStarted) return [cutEnd(`${view.subject}  ${notice ?? 'looking at what is here'}`, width)];
    const line = transferLine(view, now, width, nameWidth, this.#colours);
    return notice === undefined ? [line] : [line, this.#colours.dim(cutEnd(`  ${notice}`, width))];
  }
}

/**
 * Name, bar and numbers on one line; where there is no room for all, the bar goes first, then what is least asked for.
 *
 * @param nameWidth columns that the longest of all names wants, so that bars stand below each other.
 */
function transferLine(view: TransferView, now: number, width: number, nameWidth: number, colours: Colours): string {
  const { percent, amount, rate, left } = view.figures(now);
  const shortest = Math.min(nameWidth, SHORTEST_NAME);
  const columns = [percent.padStart(4), amount, rate, left].filter((each) => each !== undefined);
  while (columns.length > 1 && shortest + widthOf(columns) > width) columns.pop();
  const rest = Math.max(0, width - widthOf(columns));
  const numbers = columns.map((each) => `  ${each}`).join('');
  if (rest < nameWidth + BAR_COLUMNS) return cutEnd(nameText(view, Math.min(nameWidth, rest)) + numbers, width);
  return `${nameText(view, nameWidth)}  ${barText(view.fraction, colours)}${numbers}`;
}

function nameText(view: TransferView, width: number): string {
  return padToWidth(cutStart(view.subject, width), width);
}

function widthOf(columns: readonly string[]): number {
  return columns.reduce((sum, each) => sum + each.length + 2, 0);
}

function barText(fraction: number, colours: Colours): string {
  const full = Math.floor(fraction * BAR_WIDTH);
  return `[${colours.green('='.repeat(full))}${' '.repeat(BAR_WIDTH - full)}]`;
}
