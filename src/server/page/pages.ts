import { unreachable } from '../../errors.ts';
import type { Repository } from '../../names/repository.ts';
import type { CacheFacts } from '../contract/cache-facts.ts';
import type { Reference } from '../contract/reference.ts';
import type { StoreFacts } from '../contract/store-status.ts';
import type { RepositoryUses } from '../metrics/repository-use.ts';
import type { PullCommand } from '../settings/beside-api.ts';
import { cachePage } from './cache-page.ts';
import { imagePage } from './image-page.ts';
import { ImageReader } from './image-reader.ts';
import { repositoriesPage } from './repositories-page.ts';
import { tagsPage } from './tags-page.ts';
import type { Viewer } from './viewer.ts';

/** Every page there is. */
export type PageView =
  | { readonly view: 'repositories' }
  | { readonly view: 'tags'; readonly repository: Repository }
  | { readonly view: 'image'; readonly repository: Repository; readonly reference: Reference };

/** What pages tell beside the content itself. */
export interface PageFacts {
  readonly uses: RepositoryUses;
  readonly store: StoreFacts | undefined;
  readonly cache: CacheFacts | undefined;
  readonly pullCommand: PullCommand | undefined;
}

/** The web pages of a registry. That the viewer may see the page was decided before. */
export class Pages {
  readonly #reader = new ImageReader();

  /** @returns HTML. @throws Refusal 404 for what is not here, 429 when it would take too much memory. */
  async text(page: PageView, viewer: Viewer, facts: PageFacts): Promise<string> {
    const reader = this.#reader;
    switch (page.view) {
      case 'repositories':
        if (facts.cache !== undefined) return cachePage(viewer, facts.cache, facts.store?.stored);
        return repositoriesPage(viewer, { uses: facts.uses, stored: facts.store?.stored });
      case 'tags':
        return tagsPage(viewer, page.repository, { reader, use: facts.uses.of(page.repository.text) });
      case 'image':
        return imagePage(viewer, page, { reader, pullCommand: facts.pullCommand });
      default:
        return unreachable(page);
    }
  }
}
