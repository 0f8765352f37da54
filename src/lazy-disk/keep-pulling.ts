import { setTimeout as delay } from 'node:timers/promises';
import type { RemoteName } from '../names/remote-name.ts';
import type { BootOrder } from '../oci/boot-order.ts';
import type { RawManifest } from '../registry/client.ts';
import type { Limits } from '../registry/request/limits.ts';
import type { TransferEvent } from '../session/progress.ts';
import type { Session } from '../session/session.ts';
import type { GuestFill } from '../transfer/fill/disk-layers.ts';
import type { Patience } from '../transfer/fill/patience.ts';
import { bringImage } from './arrival/bring-image.ts';

/**
 * A guest waits: a network that has come back is to be noticed within two seconds. What fails a few times in a row is
 * tried again by {@link Patience}, and what does not fail meanwhile comes before it. Times in milliseconds.
 */
const PATIENT: Partial<Limits> = {
  connectAddressMs: 2000,
  connectMs: 10_000,
  stillMs: 1000,
  attempts: 3,
  backoffCapMs: 500,
};

export interface KeepPullingOptions {
  readonly insecure: boolean;
  /** What is fetched beside what the guest waits for. Default: `everything`. */
  readonly fill?: GuestFill | undefined;
  /** Of the image: the registry need not have it any more. Default: the registry is asked for it. */
  readonly manifest?: RawManifest | undefined;
  /** The name that was asked for: the image gets its tag. */
  readonly asked?: string | undefined;
  /** What of the disk is fetched first. Default: everything in the order of the disk. */
  readonly order?: BootOrder | undefined;
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly patience: Patience;
  /** Told why the registry is asked again: that passes, as a rule. */
  readonly onRetry: (reason: string) => void;
  /** Told what the pull does. */
  readonly onEvent?: ((event: TransferEvent) => void) | undefined;
  /** Told what the pull has to say beside that, each thing once. */
  readonly onNote?: ((text: string) => void) | undefined;
}

/**
 * Brings an image into the cache, however often that fails: a digest that does not match, a login that is not good any
 * more, and a network that is away all wait until they are mended, and what they do not concern arrives meanwhile.
 * Another process that brings it is waited for.
 *
 * @param name with the digest of the image.
 * @throws the signal's reason
 */
export async function keepPulling(
  session: Session,
  name: RemoteName,
  {
    insecure,
    fill = 'everything',
    manifest,
    asked,
    order,
    signal,
    patience,
    onRetry,
    onEvent: tell,
    onNote,
  }: KeepPullingOptions,
): Promise<void> {
  const noted = new Set<string>();
  const onEvent = (event: TransferEvent): void => {
    tell?.(event);
    if (event.kind === 'retrying') onRetry(event.reason);
    if (event.kind !== 'note' || noted.has(event.text)) return;
    noted.add(event.text);
    onNote?.(event.text);
  };
  const patient = session.with({ signal, limits: PATIENT, onEvent });
  for (;;) {
    try {
      await bringImage(patient, { imageName: name, insecure, manifest, asked }, { order, patience, guest: fill });
      return;
    } catch (error) {
      signal.throwIfAborted();
      await delay(patience.afterWork(error), undefined, { signal });
    }
  }
}
