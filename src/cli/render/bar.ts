import type { Colours } from './colour.ts';
import { type Printable, printable, printed } from '../terminal/printable.ts';

/** Columns of a bar where there is room. */
export const BAR_WIDTH = 20;
/** Brackets and the space before them. */
export const AROUND_BAR = 4;

/** A bar of `width` columns and {@link AROUND_BAR} more. @param fraction from 0 to 1. */
export function barText(fraction: number, width: number, colours: Colours): Printable {
  const full = Math.floor(fraction * width);
  return printed`  [${colours.green(printable('='.repeat(full)))}${printable(' '.repeat(width - full))}]`;
}
