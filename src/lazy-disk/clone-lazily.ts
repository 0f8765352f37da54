import { TartletError } from '../errors.ts';
import { fsyncFile, writeNewFile } from '../fs/fsync.ts';
import { readSmallFile } from '../fs/small-file.ts';
import { writeBootOrder } from '../home/boot-order-file.ts';
import { LazyFile } from '../home/home-entry.ts';
import { writeLazyRecord } from '../home/lazy-record.ts';
import { writeOrigin } from '../home/origin.ts';
import { sweep } from '../home/prune/sweep.ts';
import { Scratch } from '../home/scratch.ts';
import { VmFile } from '../home/vm-directory.ts';
import { fetchBlobFile } from '../chunks/blob-file.ts';
import { zeroContents } from '../chunks/zero-content.ts';
import type { Digest } from '../names/digest.ts';
import type { LocalName } from '../names/local-name.ts';
import { RemoteName } from '../names/remote-name.ts';
import type { BootOrder } from '../oci/boot-order.ts';
import type { FlatImage, TartImage } from '../oci/tart-image.ts';
import type { RegistrySource } from '../registry/mirrors/registry-source.ts';
import type { Session } from '../session/session.ts';
import { askForManifest, understandImage } from '../transfer/pull/asked-image.ts';
import type { VmConfig } from '../vm/config.ts';
import { parseVmConfig } from '../vm/config-file.ts';
import { changeMac, hasTakenMac } from '../vm/mac-collision.ts';
import { type Choice, choose, estimateOf, type NotLazy } from './choose.ts';
import type { StartEstimate } from './estimate.ts';
import { askForOrder } from './order-hint.ts';
import { requireRoomToCome } from './room-to-come.ts';

/** When a VM begins before its disk is here: `auto` where that is worth it. */
export type LazyMode = 'auto' | 'always' | 'never';

export interface LazyCloneOptions {
  readonly mode: Exclude<LazyMode, 'never'>;
  /** Speak plain HTTP to the registry. */
  readonly insecure: boolean;
  /** Most chunks at once, of an image that is pulled as a whole. */
  readonly concurrency?: number | undefined;
  /** Told before an image is pulled as a whole. */
  readonly onWhole?: ((why: NotLazy) => void) | undefined;
  readonly newMac?: boolean | undefined;
  /** Does something with the files of the new VM, before it has its name. */
  readonly beforeNamed?: ((directory: string) => Promise<void>) | undefined;
}

export type LazyCloneOutcome =
  | {
      readonly kind: 'made';
      readonly digest: Digest;
      readonly replaced: boolean;
      /** What the start of the guest needs. */
      readonly estimate: StartEstimate;
    }
  /** Nothing was made: an ordinary clone is what its caller wants. */
  | { readonly kind: 'not-lazy' };

/**
 * Makes a VM of an image without its disk, which arrives when the VM runs: only the manifest, the configuration and the
 * NVRAM are fetched, and with the mode `auto` what shows whether that is worth it. Until then the directory holds
 * nothing that is called a disk.
 *
 * @throws TartletError as a clone does, and `NEEDS_MACOS` with the mode `always` for what cannot run here.
 */
export async function cloneLazily(
  session: Session,
  asked: RemoteName,
  name: LocalName,
  options: LazyCloneOptions,
): Promise<LazyCloneOutcome> {
  await session.vms.refuseRunning(name);
  if ((await session.images.find(asked)) !== undefined) return { kind: 'not-lazy' };
  // As a pull does: when the disk arrives, it would be too late.
  await session.images.refuseCollision(asked);
  const source = await session.source(asked, options.insecure);
  try {
    const raw = await askForManifest(session, asked, source, 'flat');
    const image = requireFlat(understandImage(raw, asked.toString(), 'flat'), asked);
    const imageName = RemoteName.parse(`${asked.repositoryName}@${raw.digest.toString()}`);
    if ((await session.images.find(imageName)) !== undefined) return { kind: 'not-lazy' };
    return await make(session, { asked, imageName, image, name, source }, options);
  } finally {
    await source.close();
  }
}

interface Making {
  readonly asked: RemoteName;
  readonly imageName: RemoteName;
  readonly image: FlatImage;
  readonly name: LocalName;
  readonly source: RegistrySource;
}

async function make(
  session: Session,
  { asked, imageName, image, name, source }: Making,
  { mode, insecure, newMac = false, beforeNamed, concurrency, onWhole }: LazyCloneOptions,
): Promise<LazyCloneOutcome> {
  const orderInTime = askForOrder(session, source, image);
  await session.home.prepareForVms();
  await sweep(session);
  const scratch = await Scratch.createForVm(session.home, session.platform);
  try {
    const { directory } = scratch;
    const route = { client: source, signal: session.signal, onBytes: () => undefined };
    await fetchBlobFile(route, image.config, `${directory}/${VmFile.config}`);
    const config = parseVmConfig(await readSmallFile(`${directory}/${VmFile.config}`), asked.toString());
    if (!isForLinux(config)) {
      if (mode === 'auto') {
        onWhole?.({ kind: 'not-for-linux' });
        return { kind: 'not-lazy' };
      }
      throw new TartletError(
        'NEEDS_MACOS',
        `${asked.toString()} does not run on Linux, and begins nowhere else so soon`,
        {
          subject: asked.toString(),
        },
      );
    }
    await requireRoomToCome(session, { asked, imageName, image });
    const order = await orderInTime();
    const estimate = estimateOf(session, image, {
      zeros: await zeroContents(image.base.chunks, session.signal),
      order,
    });
    const choice: Choice =
      mode === 'auto'
        ? await choose(session, asked, estimate, { insecure, concurrency, order, onWhole })
        : { kind: 'lazy', estimate };
    if (choice.kind === 'whole') return { kind: 'not-lazy' };
    await fetchBlobFile(route, image.nvram, `${directory}/${VmFile.nvram}`);
    for (const file of [VmFile.config, VmFile.nvram]) await fsyncFile(`${directory}/${file}`);
    await writeRecords(session, directory, { asked, imageName, image, insecure, order });
    await beforeNamed?.(directory);
    const replaced = await session.vms.underLock(session.signal, async () => {
      const made = { directory, source: asked.toString(), name };
      if (newMac || (await hasTakenMac(session, made))) await changeMac(made);
      return session.vms.publish(scratch, name);
    });
    return { kind: 'made', digest: image.manifest.digest, replaced, estimate: choice.estimate };
  } finally {
    await scratch.dispose();
  }
}

/** What is known of the VM: which image it begins as, where that is from, and what of it is fetched first. */
async function writeRecords(
  session: Session,
  directory: string,
  {
    asked,
    imageName,
    image,
    insecure,
    order,
  }: Pick<Making, 'asked' | 'imageName' | 'image'> & {
    readonly insecure: boolean;
    readonly order?: BootOrder | undefined;
  },
): Promise<void> {
  await writeNewFile(`${directory}/${LazyFile.manifest}`, image.manifest.bytes);
  await writeLazyRecord(directory, {
    version: 1,
    image: imageName.toString(),
    insecure,
    diskBytes: image.base.size,
    asked: asked.toString(),
  });
  await writeOrigin(directory, {
    version: 1,
    via: 'clone',
    source: asked.toString(),
    digest: image.manifest.digest.toString(),
    clonedAt: session.now().toISOString(),
  });
  if (order !== undefined) await writeBootOrder(`${directory}/${LazyFile.order}`, order);
}

function isForLinux({ os, diskFormat }: VmConfig): boolean {
  return os === 'linux' && diskFormat === 'raw';
}

function requireFlat(image: TartImage, name: RemoteName): FlatImage {
  if (image.layout === 'flat') return image;
  throw new TartletError('MEDIA_UNSUPPORTED', `${name.toString()} is stacked`, { subject: name.toString() });
}
