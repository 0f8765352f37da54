import { isTartletError } from '../../errors.ts';
import { type FlatImage, parseTartImage } from '../../oci/tart-image.ts';
import type { RegistryClient } from '../../registry/client.ts';
import type { BlobPusher, ManifestTarget } from '../../registry/contract.ts';
import type { Session } from '../../session/session.ts';
import { findBootOrder, type PublishedOrder, publishBootOrder } from '../boot-order.ts';
import type { NamedManifest } from '../manifest-tree.ts';
import type { ReferrerSource } from '../referrer.ts';

/** How long a registry has to say what the boot order of an image is, in milliseconds. */
const ANSWERS_WITHIN_MS = 5000;

/** An order that is older than all others, where its publisher does not say when that was. */
const LONG_AGO = new Date(0).toISOString();

export interface OrderRoute {
  /** What gave the image. */
  readonly source: RegistryClient;
  readonly target: ReferrerSource & BlobPusher & ManifestTarget;
  /** The name that events bear. */
  readonly subject: string;
}

/**
 * Brings the boot order of an image along, if one is published. It is a hint, and the image is whole without it: where
 * it is not told, there is none; that it cannot be stored is told.
 *
 * @param node that the target has already.
 * @throws the signal's reason.
 */
export async function copyBootOrder(session: Session, route: OrderRoute, node: NamedManifest): Promise<void> {
  const { target, subject } = route;
  const image = flatImageOf(node, subject);
  const published = image && (await askFor(session, route, image));
  if (image === undefined || published === undefined) return;
  const { order, created = LONG_AGO } = published;
  try {
    await publishBootOrder(target, { image: image.manifest, order, created }, session.signal);
  } catch (error) {
    if (!isTartletError(error) || session.signal.aborted) throw error;
    session.emit({ kind: 'note', subject, text: `the boot order of ${subject} was not copied: ${error.message}` });
  }
}

async function askFor(
  { signal }: Session,
  { source }: OrderRoute,
  image: FlatImage,
): Promise<PublishedOrder | undefined> {
  try {
    const either = AbortSignal.any([signal, AbortSignal.timeout(ANSWERS_WITHIN_MS)]);
    return await findBootOrder(source.withoutRetries(), image, either);
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function flatImageOf({ manifest }: NamedManifest, subject: string): FlatImage | undefined {
  if (manifest.kind !== 'image') return undefined;
  try {
    const image = parseTartImage(manifest, subject);
    return image.layout === 'flat' ? image : undefined;
  } catch (error) {
    // Whatever it is, it is copied as it is.
    if (!isTartletError(error)) throw error;
    return undefined;
  }
}
