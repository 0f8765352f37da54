import type { PrefetchOptions, PrefetchReport } from '../prefetch/prefetch.ts';
import type { RolledBack } from '../prefetch/rollback.ts';
import type { PrefetchStatus } from '../prefetch/status.ts';
import type { Session } from '../session/session.ts';
import { Looking } from './looking.ts';
import { type ImageName, imageName } from './name.ts';
import type { OperationOptions } from './operation.ts';
import type { Operations } from './operations.ts';

/** Images that are kept ready before they are asked for: see docs/guide/fleet.md. */
export class PrefetchedImages {
  readonly #operations: Operations;

  /** @internal `openTartlet` makes it. */
  constructor(operations: Operations) {
    this.#operations = operations;
  }

  /**
   * Brings images, one after the other: pulls each by its digest, verified, and then moves its tag in one step. What
   * the tag led to before is kept, pinned, until the next one has come. An image that fails stops none of the others:
   * all is in the report. Those that `options.sources` name are brought as well.
   *
   * @throws TartletError `STORE_DAMAGED` for a record of earlier calls that cannot be read, `NAME_MALFORMED`
   */
  async refresh(
    images: readonly ImageName[],
    options: PrefetchOptions & OperationOptions = {},
  ): Promise<PrefetchReport> {
    return this.#operations.run(options, async (session) => {
      const { prefetch } = await import('../prefetch/prefetch.ts');
      const { insecure = false } = options;
      return prefetch(session, { ...options, images: images.map((image) => ({ name: imageName(image), insecure })) });
    });
  }

  /** How all of them are, by name. Changes nothing. */
  async status(options: OperationOptions = {}): Promise<PrefetchStatus[]> {
    const work = async (session: Session): Promise<PrefetchStatus[]> => {
      const { prefetchStatus } = await import('../prefetch/status.ts');
      return prefetchStatus(session);
    };
    return this.#operations.run(options, work, 'untouched');
  }

  /**
   * Leads the tag of an image back to what it led to before. That is not undone by {@link refresh}, until the registry
   * has another image; a second call undoes the first.
   *
   * @throws TartletError `NOT_FOUND` when none is kept
   */
  async rollBack(image: ImageName, options: OperationOptions = {}): Promise<RolledBack> {
    return this.#operations.run(options, async (session) => {
      const { rollBack } = await import('../prefetch/rollback.ts');
      return rollBack(session, imageName(image));
    });
  }

  /** Keeps an image ready no more: its tag stays, the one before it is let go. @returns whether it was prefetched. */
  async forget(image: ImageName, options: OperationOptions = {}): Promise<boolean> {
    return this.#operations.run(options, async (session) => {
      const { forgetPrefetched } = await import('../prefetch/rollback.ts');
      return forgetPrefetched(session, imageName(image));
    });
  }
}

/** The part of `Tartlet` that keeps images ready. */
export class Prefetching extends Looking {
  /** Images that are kept ready before they are asked for. */
  readonly prefetched: PrefetchedImages;

  /** @internal `openTartlet` makes it. */
  constructor(operations: Operations) {
    super(operations);
    this.prefetched = new PrefetchedImages(operations);
  }
}
