import { isTartletError, type TartletError } from '../errors.ts';

/** What is in the registry already after an upload broke off, for an error; undefined when that is nothing. */
export function keptBlobs(there: number, all: number, what: string): string | undefined {
  if (there === 0) return undefined;
  return `${there} of ${all} ${what} are in the registry, no tag was moved; the same command sends only the rest`;
}

/**
 * Runs an upload, and adds to its failure what was kept. An interruption is the failure, whatever it broke on its way.
 * @param kept asked when it fails.
 */
export async function tellingKept<T>(
  signal: AbortSignal,
  kept: () => string | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (failure) {
    const error = whyItEnded(signal, failure);
    const told = kept();
    throw told === undefined || !isTartletError(error) ? error : error.with({ kept: told });
  }
}

/** An interruption with what is known of it by now, or the failure itself. */
export function whyItEnded(signal: AbortSignal, failure: unknown): unknown {
  if (!signal.aborted || isTartletError(failure, 'INTERRUPTED')) return failure;
  return signal.reason as TartletError | undefined;
}
