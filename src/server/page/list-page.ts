import type { Page, PageRequest } from '../contract/page.ts';

/** Rows of one page of a list. */
const PAGE_ROWS = 50;

/**
 * The part of a sorted list that a query asks for: what is behind `after`, or from `from` on, which may be in the list
 * itself.
 * @param lists one page of the list; undefined when there is no such list.
 * @param has whether a text is in it.
 */
export async function pageOfList<P extends Page | undefined>(
  query: URLSearchParams,
  lists: (page: PageRequest) => Promise<P>,
  has: (text: string) => Promise<boolean>,
): Promise<P | Page> {
  const from = query.get('from')?.trim() ?? '';
  const after = from === '' ? (query.get('after') ?? undefined) : from;
  const page = await lists({ size: PAGE_ROWS, after });
  if (page === undefined || from === '' || !(await has(from))) return page;
  const more = page.more || page.entries.length === PAGE_ROWS;
  return { entries: [from, ...page.entries].slice(0, PAGE_ROWS), more };
}
