import path from 'node:path';
import { type TartletError } from '../../errors.ts';
import type { LocalName } from '../../names/local-name.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { sizeStackedImages } from '../content/content-charge.ts';
import type { ContentStore } from '../content/content-store.ts';
import { namesIn } from '../../fs/entry-names.ts';
import { linkText, lstatIfThereSync } from '../../fs/stats.ts';
import type { Home } from '../home.ts';
import type { ImageCache } from '../images/image-cache.ts';
import { hasMark } from '../images/image-mark.ts';
import type { CacheEntry } from '../image-walk.ts';
import { lastUse } from '../last-use.ts';
import type { LocalVms } from '../vms/local-vms.ts';
import { lookAtVmDirectory, type VmLayout } from '../vm-directory.ts';

/** The parts of a home that pruning works on; a `Session` is one. */
export interface Store {
  readonly home: Home;
  readonly images: ImageCache;
  readonly vms: LocalVms;
  readonly contents: ContentStore;
  readonly platform: NodeJS.Platform;
  /** The wall clock: dates of use are measured by it. */
  readonly now: () => Date;
  readonly signal?: AbortSignal | undefined;
}

/** What all of them have. */
export interface PrunableEntry {
  readonly path: string;
  /** Bytes that it occupies on the disk, with what is charged to it in the content store. */
  readonly bytes: number;
  /** When it was used last. */
  readonly accessed: Date;
  /** The user said that it stays. */
  readonly pinned: boolean;
}

/** A cached image that pruning may delete. */
export type ImageCandidate = PrunableEntry & {
  readonly kind: 'image';
  /** By digest. */
  readonly name: RemoteName;
  /** The tags that lead to it and go with it. */
  readonly tags: readonly RemoteName[];
};

/** Something that pruning may delete. */
export type Candidate =
  | ImageCandidate
  /** A restore image of macOS that Tart downloaded. */
  | (PrunableEntry & { readonly kind: 'ipsw'; readonly name: string })
  | (PrunableEntry & { readonly kind: 'vm'; readonly name: LocalName });

/** Something that was to go and was not deleted. */
export interface Spared {
  readonly kind: Candidate['kind'];
  readonly name: string;
  readonly path: string;
  /** `BUSY` when another process uses it; everything else is a failure. */
  readonly error: TartletError;
}

/**
 * Every complete image, and every restore image. Whatever has another name in the cache is not ours to judge, and what
 * cannot be looked at is passed over.
 */
export async function cacheCandidates(store: Store): Promise<Candidate[]> {
  return [...(await imageCandidates(store)), ...restoreImages(store)];
}

export async function imageCandidates(store: Store): Promise<ImageCandidate[]> {
  const { entries } = store.images.walk();
  const tags = tagsByTarget(store.home, entries);
  const stacked: string[] = [];
  const candidates: ImageCandidate[] = [];
  for (const { kind, name, path: directory } of entries) {
    if (kind === 'tag') continue;
    const look = await store.home.unreadable.passOverLater(directory, async () => lookAtImage(store, directory));
    if (look === undefined) continue;
    if (look.layout === 'stacked-cached') stacked.push(directory);
    candidates.push({ kind: 'image', name, path: directory, tags: tags.get(path.resolve(directory)) ?? [], ...look });
  }
  const sizes = sizeStackedImages(store, stacked, store);
  const charged = (image: ImageCandidate): number => image.bytes + (sizes.get(image.path)?.chargedBytes ?? 0);
  return candidates.map((image) => ({ ...image, bytes: charged(image) }));
}

function tagsByTarget(home: Home, entries: readonly CacheEntry[]): ReadonlyMap<string, RemoteName[]> {
  const tags = new Map<string, RemoteName[]>();
  for (const entry of entries) {
    const { kind, path: link } = entry;
    const text = kind === 'tag' ? home.unreadable.passOver(link, () => linkText(link)) : undefined;
    if (text === undefined) continue;
    const target = path.resolve(path.dirname(entry.path), text);
    tags.set(target, [...(tags.get(target) ?? []), entry.name]);
  }
  return tags;
}

type ImageLook = Pick<ImageCandidate, 'bytes' | 'accessed' | 'pinned'> & { readonly layout: VmLayout };

async function lookAtImage(store: Store, directory: string): Promise<ImageLook | undefined> {
  // A digest can be a symlink too, to what a registry gave for it (tart-formats §1.4): then the image lies elsewhere.
  if (lstatIfThereSync(directory)?.isDirectory() !== true) return undefined;
  const look = lookAtVmDirectory(directory);
  const accessed = lastUse(directory, store);
  if (look === undefined || look.layout === 'stacked-local' || accessed === undefined) return undefined;
  return { bytes: look.allocatedBytes, accessed, pinned: await hasMark(directory, 'pinned'), layout: look.layout };
}

function restoreImages(store: Store): Candidate[] {
  const { unreadable, restoreImagesDirectory: directory } = store.home;
  const names = unreadable.passOver(directory, () => namesIn(directory)) ?? [];
  return names
    .filter((name) => name.endsWith('.ipsw'))
    .flatMap((name) => unreadable.passOver(`${directory}/${name}`, () => restoreImage(store, directory, name)) ?? []);
}

function restoreImage(store: Store, directory: string, name: string): Candidate | undefined {
  const file = `${directory}/${name}`;
  const stats = lstatIfThereSync(file);
  const accessed = lastUse(file, store);
  if (stats?.isFile() !== true || accessed === undefined) return undefined;
  return { kind: 'ipsw', name, path: file, bytes: stats.blocks * 512, accessed, pinned: false };
}

/** Every local VM that does not run: suspended ones too, as in Tart. One that cannot be looked at is passed over. */
export async function vmCandidates(store: Store): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (const vm of store.vms.list()) {
    const { name, directory } = vm;
    const candidate = await store.home.unreadable.passOverLater(
      directory.path,
      async (): Promise<Candidate | undefined> => {
        const accessed = lastUse(directory.path, store);
        if (accessed === undefined || (await store.vms.state(vm)) === 'running') return undefined;
        return { kind: 'vm', name, path: directory.path, bytes: directory.allocatedBytes, accessed, pinned: false };
      },
    );
    if (candidate !== undefined) candidates.push(candidate);
  }
  return candidates;
}

export function spare(entry: Pick<Candidate, 'kind' | 'name' | 'path'>, error: TartletError): Spared {
  return { kind: entry.kind, name: entry.name.toString(), path: entry.path, error };
}
