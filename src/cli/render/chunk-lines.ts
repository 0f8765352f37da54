import { AROUND_BAR, BAR_WIDTH, barText } from './bar.ts';
import type { Colours } from './colour.ts';
import { type Printable, printable, printed } from '../terminal/printable.ts';
import { counted } from './quantity.ts';
import type { ChunkFigures } from './transfer-view.ts';
import { cutEnd, displayWidth } from '../terminal/width.ts';

/**
 * A line for each chunk that is under way, below the line of its image.
 * @param room lines that may be taken. Where they are too few, the last one says how many chunks have none.
 */
export function chunkLines(
  chunks: readonly ChunkFigures[],
  room: number,
  width: number,
  colours: Colours,
): Printable[] {
  if (chunks.length <= room) return chunks.map((chunk) => chunkLine(chunk, width, colours));
  if (room < 2) return [];
  const more = printable(`    … and ${counted(chunks.length - room + 1, 'more chunk')}`);
  return [...chunks.slice(0, room - 1).map((chunk) => chunkLine(chunk, width, colours)), cutEnd(more, width)];
}

/** Where there is no room for all, the bar goes first, then the bytes. */
function chunkLine({ name, fraction, percent, amount }: ChunkFigures, width: number, colours: Colours): Printable {
  const start = printed`    ${name}`;
  const short = printable(`  ${percent.padStart(4)}`);
  const numbers = printed`${short}  ${printable(amount)}`;
  if (displayWidth(start) + AROUND_BAR + BAR_WIDTH + numbers.length <= width) {
    return printed`${start}${barText(fraction, BAR_WIDTH, colours)}${numbers}`;
  }
  const whole = printed`${start}${numbers}`;
  return displayWidth(whole) <= width ? whole : cutEnd(printed`${start}${short}`, width);
}
