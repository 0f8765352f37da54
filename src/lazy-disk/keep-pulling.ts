import { setTimeout as delay } from 'node:timers/promises';
import { describeError, isTartletError } from '../errors.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { Limits } from '../registry/request/limits.ts';
import type { TransferEvent } from '../session/progress.ts';
import type { Session } from '../session/session.ts';
import { pull } from '../transfer/pull/pull.ts';

/**
 * A guest waits: a network that has come back is to be noticed within two seconds, and one that is away is never a
 * reason to give up. Times in milliseconds.
 */
const PATIENT: Partial<Limits> = {
  connectAddressMs: 2000,
  connectMs: 4000,
  bodyIdleMs: 5000,
  attempts: Number.MAX_SAFE_INTEGER,
  inVainMs: Number.MAX_SAFE_INTEGER,
  backoffCapMs: 1000,
};

/** When a pull that failed is begun anew, in milliseconds: sooner where that may help by itself. */
const AGAIN_SOON_MS = 1000;
const AGAIN_MS = 5000;

export interface KeepPullingOptions {
  readonly insecure: boolean;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Told why nothing comes, each time that another reason is the reason. */
  readonly onTrouble: (reason: string) => void;
  /** Told why the registry is asked again: that passes, as a rule. */
  readonly onRetry: (reason: string) => void;
}

/**
 * Brings an image into the cache, however often that fails: a digest that does not match, a login that is not good any
 * more, and a network that is away all wait until they are mended. Another process that brings it is waited for.
 *
 * @param name with the digest of the image.
 * @throws the signal's reason
 */
export async function keepPulling(
  session: Session,
  name: RemoteName,
  { insecure, signal, onTrouble, onRetry }: KeepPullingOptions,
): Promise<void> {
  const onEvent = (event: TransferEvent): void => {
    if (event.kind === 'retrying') onRetry(event.reason);
  };
  const patient = session.with({ signal, limits: PATIENT, onEvent });
  let told: string | undefined;
  for (;;) {
    try {
      await pull(patient, name, { insecure, accept: 'flat' });
      return;
    } catch (error) {
      signal.throwIfAborted();
      const reason = describeError(error);
      if (reason !== told) onTrouble(reason);
      told = reason;
      const isPassing = isTartletError(error) && error.facts.retryable === true;
      await delay(isPassing ? AGAIN_SOON_MS : AGAIN_MS, undefined, { signal });
    }
  }
}
