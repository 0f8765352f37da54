import { fieldOf, type JsonObject, parseJson, textOf } from '../json/foreign.ts';
import { Digest } from '../names/digest.ts';
import { type BootOrder, formatBootOrder, MAX_BOOT_ORDER_BYTES, parseBootOrder } from '../oci/boot-order.ts';
import { MediaType } from '../oci/media-type.ts';
import type { FlatImage } from '../oci/tart-image.ts';
import type { RawManifest, RegistryClient } from '../registry/client.ts';
import type { BlobPusher, ManifestTarget } from '../registry/contract.ts';
import { findReferrers, nameByTag, type ReferrerSource, storeBytes, storeReferrer } from './referrer.ts';

/** Image spec § annotations: date and time of RFC 3339. */
const CREATED = 'org.opencontainers.image.created';

/** Where published boot orders are read; a `RegistryClient` is one. */
export type BootOrderSource = ReferrerSource & Pick<RegistryClient, 'fetchBlob'>;

/** A boot order in a registry. */
export interface PublishedOrder {
  readonly order: BootOrder;
  /** Of the manifest that refers to the image. */
  readonly digest: Digest;
  /** When it was published, in RFC 3339, as its publisher says it; undefined where that is not said. */
  readonly created: string | undefined;
}

/**
 * Asks a registry for the boot order of an image: two requests as a rule. Of several the newest counts, and none but
 * that is looked at: it is a hint.
 *
 * @returns undefined where there is none, or none that can be used.
 * @throws TartletError of the registry client.
 */
export async function findBootOrder(
  client: BootOrderSource,
  { manifest, base }: FlatImage,
  signal: AbortSignal,
): Promise<PublishedOrder | undefined> {
  const { entries } = await findReferrers(client, manifest.digest, MediaType.bootOrder, signal);
  const newest = newestOf(entries);
  if (newest === undefined) return undefined;
  const document = await readDocument(client, newest.digest, manifest.digest, signal);
  const order = document && parseBootOrder(document, base.size);
  return order && { order, ...newest };
}

/** Of those of one time the first by its digest, so that all who ask take the same one. */
function newestOf(entries: readonly JsonObject[]): Omit<PublishedOrder, 'order'> | undefined {
  const dated = entries.flatMap((entry) => {
    const digest = Digest.tryParse(textOf(entry, 'digest') ?? '');
    const time = Date.parse(textOf(fieldOf(entry, 'annotations'), CREATED) ?? '');
    return digest === undefined ? [] : [{ digest, time: Number.isNaN(time) ? -Infinity : time }];
  });
  const [newest] = dated.toSorted((a, b) => b.time - a.time || (a.digest.toString() < b.digest.toString() ? -1 : 1));
  if (newest === undefined) return undefined;
  const { digest, time } = newest;
  return { digest, created: Number.isFinite(time) ? new Date(time).toISOString() : undefined };
}

/** The document of a referrer: of its manifest, or, where that does not have it, the blob. */
async function readDocument(
  client: BootOrderSource,
  referrer: Digest,
  subject: Digest,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const { bytes } = await client.manifest({ digest: referrer }, { signal });
  const document = parseJson(bytes);
  const layers = fieldOf(document, 'layers');
  const layer: unknown = Array.isArray(layers) ? layers[0] : undefined;
  const digest = Digest.tryParse(textOf(layer, 'digest') ?? '');
  const size = fieldOf(layer, 'size');
  const isOfImage = textOf(fieldOf(document, 'subject'), 'digest') === subject.toString();
  const isOrder = textOf(layer, 'mediaType') === MediaType.bootOrder;
  if (!isOfImage || !isOrder || digest === undefined || !isLength(size)) return undefined;
  const data = textOf(layer, 'data');
  const embedded = data === undefined ? undefined : Buffer.from(data, 'base64');
  if (embedded !== undefined) return Digest.of(embedded, digest.algorithm).equals(digest) ? embedded : undefined;
  return client.fetchBlob({ digest, size }, { limit: MAX_BOOT_ORDER_BYTES, signal });
}

function isLength(size: unknown): size is number {
  return Number.isSafeInteger(size) && (size as number) > 0 && (size as number) <= MAX_BOOT_ORDER_BYTES;
}

/** A boot order to be published. */
export interface OrderToPublish {
  /** As the registry has its manifest. */
  readonly image: RawManifest;
  readonly order: BootOrder;
  /** Date and time of RFC 3339. */
  readonly created: string;
}

/**
 * Stores the boot order of an image beside it in a registry, as what refers to it. One that was published earlier
 * stays, and does not count any more.
 *
 * @returns of the manifest that refers to the image.
 * @throws TartletError of the registry client.
 */
export async function publishBootOrder(
  client: ReferrerSource & BlobPusher & ManifestTarget,
  { image, order, created }: OrderToPublish,
  signal: AbortSignal,
): Promise<Digest> {
  const data = formatBootOrder(order);
  const blob = await storeBytes(client, data, signal);
  const annotations = { [CREATED]: created };
  const artifact = { ...blob, mediaType: MediaType.bootOrder, data, annotations };
  const entry = await storeReferrer(client, image, artifact, signal);
  const { how } = await findReferrers(client, image.digest, MediaType.bootOrder, signal);
  if (how === 'by-tag') await nameByTag(client, image.digest, entry, signal);
  return Digest.parse(entry.digest);
}
