/** Which part of a list is asked for that is sorted by the bytes of its texts. */
export interface PageRequest {
  /** At most so many entries; none for 0. */
  readonly size: number;
  /** Only what is sorted behind this text, which need not be in the list. */
  readonly after: string | undefined;
}

export interface Page {
  readonly entries: readonly string[];
  /** Whether there are others behind the last entry. */
  readonly more: boolean;
}

/** Cuts a page out of a whole list that is sorted already, without looking at what is not in it. */
export function cutPage(sorted: readonly string[], { size, after }: PageRequest): Page {
  const from = after === undefined ? 0 : firstBehind(sorted, after);
  return { entries: sorted.slice(from, from + size), more: sorted.length - from > size };
}

/** Where the first text of a sorted list stands that is sorted behind `text`; its length when there is none. */
export function firstBehind(sorted: readonly string[], text: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') <= text) low = middle + 1;
    else high = middle;
  }
  return low;
}
