import { once } from 'node:events';
import type { BootOrder } from '../oci/boot-order.ts';
import type { FlatImage } from '../oci/tart-image.ts';
import type { RegistrySource } from '../registry/mirrors/registry-source.ts';
import type { Session } from '../session/session.ts';
import { findBootOrder } from '../transfer/boot-order.ts';

/** So long it is waited for once everything else is there, in milliseconds: it is a hint, and no VM waits for it. */
const GRACE_MS = 500;

/**
 * Asks the registry for the boot order of an image, beside the other work of a clone.
 *
 * @param source that gave the manifest of the image: what gave that is asked, and nothing else.
 * @returns what gives the order, if it is there by then or a moment later. Never fails, whatever the registry sends.
 */
export function askForOrder(
  session: Session,
  source: Pick<RegistrySource, 'answering'>,
  image: FlatImage,
): () => Promise<BootOrder | undefined> {
  const client = source.answering?.withoutRetries();
  const late = new AbortController();
  const signal = AbortSignal.any([session.signal, late.signal]);
  const asking = client && findBootOrder(client, image, signal).catch(() => undefined);
  return async () => {
    const none = once(late.signal, 'abort').then(() => undefined);
    const grace = setTimeout(() => late.abort(new Error('the order comes too late')), GRACE_MS);
    try {
      return (await Promise.race([asking, none]))?.order;
    } finally {
      clearTimeout(grace);
    }
  };
}
