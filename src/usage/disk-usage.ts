import { freeBytes } from '../fs/space.ts';
import { SavedState } from '../home/home-entry.ts';
import { eachImage } from '../home/image-walk.ts';
import { hasMark } from '../home/images/image-mark.ts';
import { lastUse } from '../home/last-use.ts';
import { type Footprint, measureDirectory, measureFile } from '../home/prune/footprint.ts';
import { measureTrees } from '../home/prune/occupied.ts';
import type { VmState } from '../home/vms/local-vms.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';

/** What something occupies, in integers of bytes. */
export interface UsedBytes {
  /** Of its files as they look, holes included. */
  readonly logicalBytes: number;
  /** Of the disk blocks that its files have. */
  readonly allocatedBytes: number;
  /** Those that nothing else has; null where the file system does not tell. */
  readonly uniqueBytes: number | null;
  /** Those that others have too: by the content store, by hard links, by reflinks. */
  readonly sharedBytes: number | null;
  /** What deleting it alone would make free now: nothing of what is pinned, or runs. */
  readonly reclaimableBytes: number | null;
}

/** A cached image. */
export interface ImageUsage extends UsedBytes {
  /** By its digest. */
  readonly name: string;
  /** The tags that lead to it, in order. */
  readonly tags: readonly string[];
  readonly pinned: boolean;
  /** ISO 8601; null where that is not known. */
  readonly lastUsed: string | null;
}

/** A VM of this machine. */
export interface VmUsage extends UsedBytes {
  readonly name: string;
  readonly state: VmState;
  /** ISO 8601; null where that is not known. */
  readonly lastUsed: string | null;
}

/** What the home occupies. `schema` changes only when a field changes its meaning. */
export interface DiskUsage {
  readonly schema: 'tartlet.df/v1';
  readonly home: string;
  readonly images: readonly ImageUsage[];
  readonly vms: readonly VmUsage[];
  /** Files of stacked disks, which images share; they are counted with the images that need them as well. */
  readonly content: { readonly files: number; readonly allocatedBytes: number };
  /** Pulls that were not finished: the next one of the same image goes on there. */
  readonly unfinished: { readonly files: number; readonly allocatedBytes: number };
  /** What the doctor put aside. */
  readonly quarantine: { readonly files: number; readonly allocatedBytes: number };
  /** All of the home, whatever shares blocks counted once; null where the file system does not tell. */
  readonly occupiedBytes: number | null;
  /** What is free on the file system of the cache. */
  readonly freeBytes: number;
}

/**
 * What each image and each VM occupies, alone and with others, and the home in all. What cannot be looked at is passed
 * over.
 * @throws TartletError `DISK_*` when the cache as a whole cannot be read.
 */
export async function diskUsage(session: Session): Promise<DiskUsage> {
  const { home } = session;
  const [content, unfinished, quarantine] = await Promise.all(
    [home.contentDirectory, home.stagingDirectory, home.quarantineDirectory].map(async (each) => sizeOf(each)),
  );
  const all = await measureTrees([home.cacheDirectory, home.vmsDirectory, home.scratchDirectory]);
  return {
    schema: 'tartlet.df/v1',
    home: home.root,
    images: await imagesOf(session),
    vms: await vmsOf(session),
    content: content ?? NOTHING,
    unfinished: unfinished ?? NOTHING,
    quarantine: quarantine ?? NOTHING,
    occupiedBytes: all.occupiedBytes ?? null,
    freeBytes: await freeBytes(home.cacheDirectory),
  };
}

const NOTHING = { files: 0, allocatedBytes: 0 };

async function sizeOf(directory: string): Promise<{ readonly files: number; readonly allocatedBytes: number }> {
  const { files, allocatedBytes } = await measureTrees([directory]);
  return { files, allocatedBytes };
}

async function imagesOf(session: Session): Promise<ImageUsage[]> {
  const { home } = session;
  const digests: { readonly name: RemoteName; readonly path: string }[] = [];
  const tags: RemoteName[] = [];
  eachImage(home, {
    onEntry: ({ kind, name, path }) => {
      if (kind === 'digest') digests.push({ name, path });
      else tags.push(name);
    },
  });
  const byDigest = new Map<string, string[]>();
  for (const tag of tags) {
    const found = await home.unreadable.passOverLater(tag.toString(), async () => session.images.find(tag));
    if (found !== undefined) add(byDigest, tag.withDigest(found.digest).toString(), tag.toString());
  }
  const images: ImageUsage[] = [];
  for (const { name, path } of digests.toSorted((one, other) => (one.path < other.path ? -1 : 1))) {
    session.signal.throwIfAborted();
    const image = await home.unreadable.passOverLater(path, async () => {
      const pinned = await hasMark(path, 'pinned');
      const footprint = await measureDirectory(session, path);
      return {
        name: name.toString(),
        tags: byDigest.get(name.toString())?.sort() ?? [],
        ...used(footprint, pinned),
        pinned,
        lastUsed: lastUse(path, session)?.toISOString() ?? null,
      };
    });
    if (image !== undefined) images.push(image);
  }
  return images;
}

async function vmsOf(session: Session): Promise<VmUsage[]> {
  const vms: VmUsage[] = [];
  for (const vm of session.vms.list()) {
    session.signal.throwIfAborted();
    const { path } = vm.directory;
    const measured = await session.home.unreadable.passOverLater(path, async () => {
      const state = await session.vms.state(vm);
      const [files, memory] = await Promise.all([
        measureDirectory(session, path),
        measureFile(`${path}/${SavedState.memory}`),
      ]);
      return {
        name: vm.name.text,
        state,
        ...used(sum(files, memory), state === 'running'),
        lastUsed: lastUse(path, session)?.toISOString() ?? null,
      };
    });
    if (measured !== undefined) vms.push(measured);
  }
  return vms.sort((one, other) => (one.name < other.name ? -1 : 1));
}

function used(footprint: Footprint, stays: boolean): UsedBytes {
  const { logicalBytes, allocatedBytes, sharedBytes, reclaimableBytes } = footprint;
  return {
    logicalBytes,
    allocatedBytes,
    uniqueBytes: sharedBytes === undefined ? null : allocatedBytes - sharedBytes,
    sharedBytes: sharedBytes ?? null,
    reclaimableBytes: stays ? 0 : (reclaimableBytes ?? null),
  };
}

function sum(one: Footprint, other: Footprint): Footprint {
  const plus = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? undefined : a + b;
  return {
    logicalBytes: one.logicalBytes + other.logicalBytes,
    allocatedBytes: one.allocatedBytes + other.allocatedBytes,
    sharedBytes: plus(one.sharedBytes, other.sharedBytes),
    reclaimableBytes: plus(one.reclaimableBytes, other.reclaimableBytes),
  };
}

function add(lists: Map<string, string[]>, key: string, value: string): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
