import type { TransferEvent } from '../../session/progress.ts';
import type { MessageStream } from '../terminal/message-stream.ts';
import { AROUND_BAR, BAR_WIDTH, barText } from './bar.ts';
import { chunkLines } from './chunk-lines.ts';
import type { Colours } from './colour.ts';
import type { Progress, ProgressTime } from './display.ts';
import { fitName } from './fit-name.ts';
import { foldText } from '../terminal/fold.ts';
import { LiveBlock } from './live-block.ts';
import { joined, type Printable, printable, printed } from '../terminal/printable.ts';
import { lastingText, TransferView } from './transfer-view.ts';
import { cutEnd, displayWidth, padToWidth } from '../terminal/width.ts';

const REPAINT_MS = 100;
/** A shorter bar tells less than the percent beside it. */
const SHORTEST_BAR = 6;
/** What the numbers take in all but the rarest cases: a bar that comes and goes with their digits tells nothing. */
const NUMBERS_WIDTH = '  100%  999.9 MB of 100.0 GB  999.9 MB/s  12m 34s left'.length;
/** Lines of the terminal that rows of chunks leave to what was there before. */
const SPARE_LINES = 10;

/**
 * For terminals: a line per image with a bar and numbers, or two, and on a tall one a line per chunk that is under way.
 * Painted at most ten times a second, and gone at the end.
 */
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
    const folded = foldText(printable(line), { isTTY: true, columns: this.#block.columns });
    this.#block.replaceBy(printed`${folded}\n`);
    if (isShown) this.#paint();
  }

  close(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#block.replaceBy(printed``);
  }

  #paint(): void {
    // The last column stays free: filling it makes some terminals wrap.
    const width = this.#block.columns - 1;
    const views = [...this.#views.values()];
    const nameWidth = Math.max(0, ...views.map((view) => displayWidth(view.subject)));
    const layout = { width, nameWidth, isOneLine: nameWidth + AROUND_BAR + BAR_WIDTH + NUMBERS_WIDTH <= width };
    const images = views.map((view) => this.#lines(view, layout));
    const most = this.#block.maxHeight;
    let room = most + 1 - SPARE_LINES - images.flat().length;
    const lines = views.flatMap((view, index) => {
      const rows = chunkLines(view.chunksUnderWay, room, width, this.#colours);
      room -= rows.length;
      return [...(images[index] ?? []), ...rows];
    });
    const shown = lines.length > most ? [...lines.slice(0, most - 1), this.#colours.dim(printed`…`)] : lines;
    this.#block.paint(shown.slice(0, most));
  }

  #lines(view: TransferView, layout: Layout): Printable[] {
    const now = this.#time.monotonic();
    const { width } = layout;
    const notice = view.notice(now);
    if (!view.hasStarted) return waitingLines(view.subject, printable(notice ?? 'looking at what is here'), width);
    const lines = transferLines(view, now, layout, this.#colours);
    return notice === undefined ? lines : [...lines, this.#colours.dim(cutEnd(printable(`  ${notice}`), width))];
  }
}

/** What all images on the screen share, so that their bars stand below each other. */
interface Layout {
  readonly width: number;
  /** Columns of the longest name. */
  readonly nameWidth: number;
  /** Whether names stand before the bars, and not above them. */
  readonly isOneLine: boolean;
}

function waitingLines(subject: Printable, text: Printable, width: number): Printable[] {
  const line = printed`${subject}  ${text}`;
  return displayWidth(line) <= width ? [line] : [fitName(subject, width), cutEnd(printed`  ${text}`, width)];
}

/** Name, bar and numbers. Where there is no room for all, the bar goes first, then what is least asked for. */
function transferLines(view: TransferView, now: number, layout: Layout, colours: Colours): Printable[] {
  const { width, nameWidth, isOneLine } = layout;
  const { percent, amount, rate, left } = view.figures(now);
  const columns = [percent.padStart(4), amount, rate, left].filter((each) => each !== undefined);
  while (columns.length > 1 && widthOf(columns) > width) columns.pop();
  const numbers = joined(columns.map((each) => printable(`  ${each}`)));
  if (isOneLine && nameWidth + AROUND_BAR + BAR_WIDTH + widthOf(columns) <= width) {
    return [printed`${padToWidth(view.subject, nameWidth)}${barText(view.fraction, BAR_WIDTH, colours)}${numbers}`];
  }
  const barWidth = Math.min(BAR_WIDTH, width - AROUND_BAR - Math.max(NUMBERS_WIDTH, widthOf(columns)));
  const bar = barWidth < SHORTEST_BAR ? printed`` : barText(view.fraction, barWidth, colours);
  return [fitName(view.subject, width), bar === '' ? cutEnd(numbers, width) : printed`${bar}${numbers}`];
}

function widthOf(columns: readonly string[]): number {
  return columns.reduce((sum, each) => sum + each.length + 2, 0);
}
