import type { SummaryChunk, SummaryFile } from './image-summary.ts';
import { html, type Markup } from './markup.ts';

/** Width of the drawing in its own units. */
const WIDTH = 1000;
/** Bars at most: more could not be told apart on a small screen, and parts beside each other become one. */
const MAX_BARS = 200;
/** Height of the densest part in units, and of a part with hardly anything in it. */
const FULL = 100;
const LEAST = 4;

/** A stretch of a disk with data in it. */
interface Bar {
  /** Bytes from the beginning of the disk. */
  readonly from: number;
  readonly to: number;
  /** Bytes as they are stored, for each byte of the disk: 0 to 1, rarely a little more. */
  readonly density: number;
}

/**
 * The disk of an image from its beginning to its end: upward what only this image has, downward what others have too,
 * each as high as it is dense after compression. What is all zeros has a base line alone. The numbers are said beside
 * it: for those who do not see it, the picture has a name and nothing else.
 * @param isShared whether a blob is in another image too.
 */
export function diskPicture(file: SummaryFile, label: string, isShared: (blob: string) => boolean): Markup {
  const own = barsOf(file, (chunk) => !chunk.isZeros && !isShared(chunk.blob));
  const shared = barsOf(file, (chunk) => !chunk.isZeros && isShared(chunk.blob));
  const densest = Math.max(Number.EPSILON, ...[...own, ...shared].map(({ density }) => density));
  const heightOf = ({ density }: Bar): number => Math.max(LEAST, Math.round((density / densest) * FULL));
  const above = Math.max(LEAST, ...own.map(heightOf));
  const below = Math.max(LEAST, ...shared.map(heightOf));
  return html`<svg class="disk" role="img" aria-label="${label}" preserveAspectRatio="none"
viewBox="0 ${-above} ${WIDTH} ${above + below}">
<rect class="ground" x="0" y="-1" width="${WIDTH}" height="2"></rect>
${own.map((bar) => rectangle(file, bar, { from: -heightOf(bar), height: heightOf(bar), kind: 'own' }))}
${shared.map((bar) => rectangle(file, bar, { from: 0, height: heightOf(bar), kind: 'shared' }))}</svg>`;
}

/** Where in a disk some of its blobs lie, as a small strip. It is decoration: the number stands beside it. */
export function placesPicture(file: SummaryFile, has: (blob: string) => boolean): Markup {
  const runs: { from: number; to: number; density: number }[] = [];
  for (const bar of barsOf(file, (chunk) => !chunk.isZeros && has(chunk.blob))) {
    const last = runs.at(-1);
    if (last?.to === bar.from) last.to = bar.to;
    else runs.push({ ...bar });
  }
  const bars = runs.map((run) => rectangle(file, run, { from: 0, height: 1, kind: 'shared' }));
  return html`<svg class="places" aria-hidden="true" viewBox="0 0 ${WIDTH} 1" preserveAspectRatio="none">${bars}</svg>`;
}

/** A bar for each part that is wanted, or for each stretch of equal length where these would be too many. */
function barsOf({ size, chunks }: SummaryFile, wants: (chunk: SummaryChunk) => boolean): Bar[] {
  const wanted = chunks.filter(wants);
  if (wanted.length <= MAX_BARS) {
    return wanted.map((chunk) => ({
      from: chunk.offset,
      to: chunk.offset + chunk.size,
      density: chunk.stored / chunk.size,
    }));
  }
  const stretch = size / MAX_BARS;
  const stored = Array.from({ length: MAX_BARS }, () => 0);
  for (const chunk of wanted) {
    const end = chunk.offset + chunk.size;
    const last = Math.min(MAX_BARS, Math.ceil(end / stretch));
    for (let at = Math.floor(chunk.offset / stretch); at < last; at += 1) {
      const overlap = Math.min(end, (at + 1) * stretch) - Math.max(chunk.offset, at * stretch);
      stored[at] = (stored[at] ?? 0) + overlap * (chunk.stored / chunk.size);
    }
  }
  return stored.flatMap((bytes, at) =>
    bytes > 0 ? { from: at * stretch, to: (at + 1) * stretch, density: bytes / stretch } : [],
  );
}

function rectangle(
  { size }: SummaryFile,
  bar: Bar,
  { from, height, kind }: { readonly from: number; readonly height: number; readonly kind: 'own' | 'shared' },
): Markup {
  const x = place(bar.from, size);
  const length = place(bar.to, size) - x;
  // A gap between parts beside each other, where they are wide enough for one.
  const width = Math.max(1.5, length > 6 ? length - 1 : length).toFixed(1);
  return html`<rect class="${kind}" x="${x}" y="${from}" width="${width}" height="${height}"></rect>`;
}

function place(bytes: number, size: number): number {
  return Math.round((bytes / size) * WIDTH * 10) / 10;
}
