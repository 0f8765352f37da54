import { TartletError } from '../errors.ts';
import type { Timing } from './request/backoff.ts';

/** Longer ones are no such names (distribution spec), and not worth remembering. */
const LONGEST = { tag: 128, repository: 255 } as const;

/** What a list is of: `tags` of a repository, or `repositories` of a registry. */
export interface ListSubject {
  readonly one: 'tag' | 'repository';
  readonly many: 'tags' | 'repositories';
  /** Whose they are, for errors. */
  readonly of: string;
}

/**
 * How a list of tags or repositories gets on, of which any server can promise one more page (reliability Q20, S13,
 * S20). It ends where pages bring nothing new, where there are too many, and where the time that was spent waiting for
 * them was not worth it. Each page alone has the limits of a document.
 */
export class TagProgress {
  readonly #list: ListSubject;
  readonly #timing: Timing;
  readonly #pages = new Set<string>();
  readonly #tags = new Set<string>();
  #pagesInVain = 0;
  #waitedMs = 0;
  #tagsBefore = 0;
  #pausedMs = 0;

  constructor(list: ListSubject, timing: Timing) {
    this.#list = list;
    this.#timing = timing;
  }

  /**
   * For the requests of the list: a pause before a repeat, which the registry may have asked for, is no waiting for a
   * page.
   */
  get timing(): Timing {
    const { onWait } = this.#timing;
    return {
      ...this.#timing,
      onWait: (event) => {
        this.#pausedMs += event.milliseconds;
        onWait?.(event);
      },
    };
  }

  /**
   * Fetches a page.
   * @throws TartletError `NET_PROTOCOL` for one that was fetched before, and beyond the limit of pages.
   */
  async fetch<T>(url: URL, request: () => Promise<T>): Promise<T> {
    const { clock, limits } = this.#timing;
    // Its address is the registry's own text, and could repeat a secret.
    if (this.#pages.has(url.href)) throw this.#endless('a page comes again');
    if (this.#pages.size >= limits.tagPages) throw this.#endless(`it has more than ${limits.tagPages} pages`);
    this.#pages.add(url.href);
    const began = clock.monotonic();
    this.#pausedMs = 0;
    const page = await request();
    this.#waitedMs += clock.monotonic() - began - this.#pausedMs;
    return page;
  }

  /** Notes what a page brought. @throws TartletError `NET_PROTOCOL` for more than there can be. */
  brought(tags: readonly string[]): void {
    const { limits } = this.#timing;
    const before = this.#tags.size;
    for (const tag of tags) if (tag.length <= LONGEST[this.#list.one]) this.#tags.add(tag);
    this.#pagesInVain = this.#tags.size > before ? 0 : this.#pagesInVain + 1;
    if (this.#tags.size > limits.tags) throw this.#endless(`it has more than ${limits.tags} ${this.#list.many}`);
  }

  /**
   * Asks whether one more page is worth it.
   * @throws TartletError `NET_PROTOCOL` when the last ones had no new tag, `NET_TIMEOUT` when they came too slowly.
   */
  goesOn(): void {
    const { limits } = this.#timing;
    if (this.#pagesInVain >= limits.tagPagesInVain) {
      throw this.#endless(`the last ${this.#pagesInVain} pages had no new ${this.#list.one}`);
    }
    if (this.#waitedMs < limits.tagsMs) return;
    const tags = this.#tags.size - this.#tagsBefore;
    if (tags < limits.tagsInTime) throw this.#tooSlow(tags);
    this.#waitedMs = 0;
    this.#tagsBefore = this.#tags.size;
  }

  #endless(why: string): TartletError {
    const { many, of } = this.#list;
    return new TartletError('NET_PROTOCOL', `the list of ${many} of ${of} does not end: ${why}`, { subject: of });
  }

  #tooSlow(names: number): TartletError {
    const { many, of } = this.#list;
    const seconds = Math.round(this.#waitedMs / 1000);
    return new TartletError(
      'NET_TIMEOUT',
      `the registry sends the ${many} of ${of} too slowly: ${names} in ${seconds} s, and there are more`,
      { subject: of, retryable: true },
    );
  }
}
