import { setMaxListeners } from 'node:events';

/**
 * Does something with each item, at most `width` at once, in order of their list. The first failure stops the others.
 * @param work is given a signal that fires when another lane failed, or the caller's did.
 */
export async function inLanes<T>(
  items: readonly T[],
  width: number,
  signal: AbortSignal,
  work: (item: T, index: number, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  setMaxListeners(0, either); // Each item under way may have some.
  const queue = items.entries();
  const lane = async (): Promise<void> => {
    for (const [index, item] of queue) {
      either.throwIfAborted();
      try {
        await work(item, index, either);
      } catch (error) {
        failure.abort(error);
        throw error;
      }
    }
  };
  await Promise.allSettled(Array.from({ length: Math.min(Math.max(1, width), items.length) }, lane));
  signal.throwIfAborted();
  // The reason of the abort is the first failure; the others only followed from it.
  failure.signal.throwIfAborted();
}
