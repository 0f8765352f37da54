import type { MessageStream } from '../terminal/message-stream.ts';
import { ownText, type Printable } from '../terminal/printable.ts';

const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;
const ERASE_LINE_END = '\u001b[K';
const ERASE_BELOW = '\u001b[J';

/**
 * Some lines at the bottom of a terminal that are painted again and again. The cursor rests below them and is never
 * hidden: whatever ends the process, even SIGKILL, leaves a usable terminal. One write per picture, so that none is
 * seen half.
 */
export class LiveBlock {
  readonly #stream: MessageStream;
  #height = 0;

  constructor(stream: MessageStream) {
    this.#stream = stream;
  }

  /** Columns of the terminal; ptys of scripts say 0 and mean nothing by it (dependencies §9). */
  get columns(): number {
    return this.#stream.columns || DEFAULT_COLUMNS;
  }

  /** Lines that can be painted: with more, the top ones could not be reached any more. */
  get maxHeight(): number {
    return Math.max(1, (this.#stream.rows || DEFAULT_ROWS) - 1);
  }

  /** @param lines no longer than the terminal is wide, no more than {@link maxHeight}. */
  paint(lines: readonly Printable[]): void {
    if (this.#stream.writableNeedDrain === true) return;
    const text = lines.map((line) => `${line}${ERASE_LINE_END}\n`).join('');
    if (text === '' && this.#height === 0) return;
    this.#stream.write(ownText(`${this.#toTop()}${text}${lines.length < this.#height ? ERASE_BELOW : ''}`));
    this.#height = lines.length;
  }

  /** Takes the lines away and leaves `text` where they were, for good. */
  replaceBy(text: Printable): void {
    const erased = this.#height === 0 ? '' : `${this.#toTop()}${ERASE_BELOW}`;
    this.#height = 0;
    if (erased !== '' || text !== '') this.#stream.write(ownText(erased + text));
  }

  #toTop(): string {
    return this.#height === 0 ? '' : `\u001b[${this.#height}A\r`;
  }
}
