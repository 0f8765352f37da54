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

/** Cuts a page out of a whole list that is sorted already. */
export function cutPage(sorted: readonly string[], { size, after }: PageRequest): Page {
  const rest = after === undefined ? sorted : sorted.filter((entry) => entry > after);
  return { entries: rest.slice(0, size), more: rest.length > size };
}
