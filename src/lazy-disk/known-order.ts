import { TartletError } from '../errors.ts';
import { readBootOrder } from '../home/boot-order-file.ts';
import { LazyFile, OurFile } from '../home/home-entry.ts';
import { imageManifest } from '../home/images/known-manifest.ts';
import { readLazyRecord } from '../home/lazy-record.ts';
import type { Digest } from '../names/digest.ts';
import { RemoteName } from '../names/remote-name.ts';
import { BOOT_UNIT_BYTES, type BootOrder } from '../oci/boot-order.ts';
import type { FlatImage } from '../oci/tart-image.ts';
import type { RegistrySource } from '../registry/mirrors/registry-source.ts';
import type { Session } from '../session/session.ts';
import { findBootOrder, publishBootOrder } from '../transfer/boot-order.ts';
import { chunksWithin } from '../transfer/fill/chunks-within.ts';
import { askForManifest, understandImage } from '../transfer/pull/asked-image.ts';

/** How the registry of a boot order is spoken to. */
export interface BootOrderOptions {
  /** Speak plain HTTP to the registry. */
  readonly insecure?: boolean | undefined;
}

/** So many parts of an image, and their bytes in the registry. */
export interface Layers {
  readonly count: number;
  readonly bytes: number;
}

/** In which order guests touch the disk of an image when they start. */
export interface KnownBootOrder {
  readonly name: RemoteName;
  /** Of the image's manifest. */
  readonly digest: Digest;
  /** `recorded`: seen on this machine; `published`: as the registry has it beside the image. */
  readonly from: 'recorded' | 'published';
  /** When it was published, as its publisher says; absent for one that was recorded. */
  readonly created?: string | undefined;
  /** Numbers of MiB of the disk, from 0, in the order of first touch. */
  readonly order: readonly number[];
  /** Bytes of the disk that these are. */
  readonly bytes: number;
  readonly diskBytes: number;
  /** What of the image has to be here for them, where it is fetched by whole layers, and all of it. */
  readonly layers: { readonly touched: Layers; readonly all: Layers };
}

/** What became of a boot order that was to be published. */
export interface PublishedBootOrder extends KnownBootOrder {
  /** Of the manifest that refers to the image. */
  readonly referrer: Digest;
  /** `present`: the registry had the same one already. */
  readonly status: 'published' | 'present';
}

/**
 * The boot order of an image: what was recorded on this machine, or else what was published.
 *
 * @throws TartletError `NOT_FOUND` where there is neither, `MEDIA_UNSUPPORTED` for a stacked image, and what the
 * registry client throws.
 */
export async function knownBootOrder(
  session: Session,
  name: RemoteName,
  { insecure = false }: BootOrderOptions = {},
): Promise<KnownBootOrder> {
  const cached = await cachedImage(session, name);
  const recorded = cached && (await recordedOrder(session, name, cached));
  if (cached !== undefined && recorded !== undefined) return known(name, cached, recorded);
  const source = await session.source(name, insecure);
  try {
    const image = await imageInRegistry(session, name, source);
    const order = await recordedOrder(session, name, image);
    if (order !== undefined) return known(name, image, order);
    const published = source.answering && (await findBootOrder(source.answering, image, session.signal));
    if (published === undefined) throw none(name, 'recorded on this machine, and none is published');
    return { ...known(name, image, published.order), from: 'published', created: published.created };
  } finally {
    await source.close();
  }
}

/**
 * Publishes the boot order that was recorded on this machine, beside the image in its registry.
 *
 * @throws TartletError `NOT_FOUND` where none was recorded, or the registry does not have the image; and what the
 * registry client throws.
 */
export async function publishKnownOrder(
  session: Session,
  name: RemoteName,
  { insecure = false }: BootOrderOptions = {},
): Promise<PublishedBootOrder> {
  const client = await session.client(name, insecure);
  try {
    const { signal } = session;
    const image = (await cachedImage(session, name)) ?? (await imageInRegistry(session, name, client));
    const order = await recordedOrder(session, name, image);
    if (order === undefined) throw none(name, 'recorded on this machine');
    const { digest } = image.manifest;
    if ((await client.headManifest({ digest }, { signal })) === undefined) throw notThere(name, digest);
    const earlier = await findBootOrder(client, image, signal);
    const isSame = earlier?.order.length === order.length && earlier.order.every((unit, at) => unit === order[at]);
    if (isSame) return { ...known(name, image, order), referrer: earlier.digest, status: 'present' };
    const created = session.now().toISOString();
    const referrer = await publishBootOrder(client, { image: image.manifest, order, created }, signal);
    return { ...known(name, image, order), referrer, status: 'published' };
  } finally {
    await client.close();
  }
}

function known(name: RemoteName, { manifest, base }: FlatImage, order: BootOrder): KnownBootOrder {
  const rangeOf = (unit: number) => ({ offset: unit * BOOT_UNIT_BYTES, length: BOOT_UNIT_BYTES });
  const touched = new Set(order.flatMap((unit) => chunksWithin(base.chunks, rangeOf(unit))));
  const layersOf = (chunks: typeof base.chunks): Layers => ({
    count: chunks.length,
    bytes: chunks.reduce((sum, { descriptor }) => sum + descriptor.size, 0),
  });
  return {
    name,
    digest: manifest.digest,
    from: 'recorded',
    order,
    bytes: order.reduce((sum, unit) => sum + Math.min(BOOT_UNIT_BYTES, base.size - unit * BOOT_UNIT_BYTES), 0),
    diskBytes: base.size,
    layers: {
      touched: layersOf([...touched]),
      all: layersOf(base.chunks),
    },
  };
}

/** @throws TartletError `MEDIA_UNSUPPORTED` */
async function cachedImage(session: Session, name: RemoteName): Promise<FlatImage | undefined> {
  const cached = await session.images.find(name);
  const image = cached && imageManifest(cached.directory.path);
  return image?.layout === 'flat' ? image : undefined;
}

async function imageInRegistry(
  session: Session,
  name: RemoteName,
  source: Pick<RegistrySource, 'manifest'>,
): Promise<FlatImage> {
  const image = understandImage(await askForManifest(session, name, source, 'flat'), name.toString(), 'flat');
  if (image.layout === 'flat') return image;
  throw new TartletError('INTERNAL', `${name.toString()} is stacked`);
}

/** Beside the image, or of VMs whose disks have still to arrive: the one that knows the most. */
async function recordedOrder(
  session: Session,
  name: RemoteName,
  { manifest, base }: FlatImage,
): Promise<BootOrder | undefined> {
  const named = RemoteName.parse(`${name.repositoryName}@${manifest.digest.toString()}`);
  const cached = await session.images.find(named);
  const vms = session.vms.list().filter(({ directory: { path, layout } }) => {
    const image = layout === 'lazy' ? RemoteName.tryParse(readLazyRecord(path)?.image ?? '') : undefined;
    return image?.digest?.equals(manifest.digest) === true;
  });
  const files = vms.map(({ directory }) => `${directory.path}/${LazyFile.touched}`);
  if (cached !== undefined) files.unshift(`${cached.directory.path}/${OurFile.bootOrder}`);
  const orders = await Promise.all(files.map(async (file) => readBootOrder(file, base.size)));
  return orders
    .filter((order) => order !== undefined)
    .reduce<BootOrder | undefined>((best, order) => (order.length > (best?.length ?? 0) ? order : best), undefined);
}

function none(name: RemoteName, where: string): TartletError {
  return new TartletError('NOT_FOUND', `no boot order of ${name.toString()} is ${where}`, {
    subject: name.toString(),
    next: { kind: 'record-boot-order' },
  });
}

function notThere(name: RemoteName, digest: Digest): TartletError {
  return new TartletError(
    'NOT_FOUND',
    `${name.repositoryName} does not have the image ${digest.toString()} whose boot order was recorded`,
    { subject: name.toString(), next: { kind: 'check-image-name' } },
  );
}
