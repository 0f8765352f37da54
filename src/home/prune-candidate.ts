import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import path from 'node:path';
import { systemCode } from '../errors.ts';
import type { LocalName } from '../names/local-name.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { sizeStackedImages } from './content-charge.ts';
import type { ContentStore } from './content-store.ts';
import { diskError } from './disk-error.ts';
import type { Home } from './home.ts';
import type { ImageCache } from './image-cache.ts';
import type { LocalVms } from './local-vms.ts';
import { lookAtVmFolder } from './vm-folder.ts';

/** The parts of a home that pruning works on; a `Session` is one. */
export interface Store {
  readonly home: Home;
  readonly images: ImageCache;
  readonly vms: LocalVms;
  readonly contents: ContentStore;
  readonly platform: NodeJS.Platform;
  /** The wall clock: dates of use are measured by it. */
  readonly now: () => Date;
  readonly signal?: AbortSignal;
}

interface Entry {
  readonly path: string;
  /** Bytes that it occupies on the disk, with what is charged to it in the content store. */
  readonly bytes: number;
  /** When it was used last: the access time of its folder, which every use sets (tart-formats §1.7). */
  readonly accessed: Date;
}

/** Something that pruning may delete. */
export type Candidate =
  | (Entry & {
      readonly kind: 'image';
      /** By digest. */
      readonly name: RemoteName;
      /** The tags that lead to it and go with it. */
      readonly tags: readonly RemoteName[];
    })
  /** A restore image of macOS that Tart downloaded. */
  | (Entry & { readonly kind: 'ipsw'; readonly name: string })
  | (Entry & { readonly kind: 'vm'; readonly name: LocalName });

/** Every complete image, and every restore image. Whatever has another name in the cache is not ours to judge. */
export function cacheCandidates(store: Store): Candidate[] {
  return [...imageCandidates(store), ...restoreImages(store.home)];
}

export function imageCandidates(store: Store): Extract<Candidate, { kind: 'image' }>[] {
  const { entries } = store.images.walk();
  const tags = new Map<string, RemoteName[]>();
  for (const entry of entries) {
    const text = entry.kind === 'tag' ? linkText(entry.path) : undefined;
    if (text === undefined) continue;
    const target = path.resolve(path.dirname(entry.path), text);
    tags.set(target, [...(tags.get(target) ?? []), entry.name]);
  }
  const stacked: string[] = [];
  const candidates = entries.flatMap((entry): Extract<Candidate, { kind: 'image' }>[] => {
    const stats = entry.kind === 'digest' ? lookAt(entry.path) : undefined;
    // A digest can be a link too, to what a registry gave for it (tart-formats §1.4): then the image lies elsewhere.
    if (stats?.isDirectory() !== true) return [];
    const folder = lookAtVmFolder(entry.path);
    if (folder === undefined || folder.layout === 'stacked-local') return [];
    if (folder.layout === 'stacked-cached') stacked.push(entry.path);
    const image = { kind: 'image' as const, name: entry.name, path: entry.path, accessed: stats.atime };
    return [{ ...image, tags: tags.get(path.resolve(entry.path)) ?? [], bytes: folder.allocatedBytes }];
  });
  const sizes = sizeStackedImages(store.contents, stacked);
  return candidates.map((image) => ({ ...image, bytes: image.bytes + (sizes.get(image.path)?.chargedBytes ?? 0) }));
}

function restoreImages(home: Home): Candidate[] {
  const folder = `${home.cacheFolder}/IPSWs`;
  return namesIn(folder)
    .filter((name) => name.endsWith('.ipsw'))
    .flatMap((name) => {
      const stats = lookAt(`${folder}/${name}`);
      if (stats?.isFile() !== true) return [];
      return { kind: 'ipsw', name, path: `${folder}/${name}`, bytes: stats.blocks * 512, accessed: stats.atime };
    });
}

/** Every local VM that does not run: suspended ones too, as in Tart. */
export async function vmCandidates(store: Store): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (const vm of store.vms.list()) {
    const { name, folder } = vm;
    const stats = lookAt(folder.path);
    if (stats === undefined || (await store.vms.state(vm)) === 'running') continue;
    candidates.push({ kind: 'vm', name, path: folder.path, bytes: folder.allocatedBytes, accessed: stats.atime });
  }
  return candidates;
}

/** The date of the last use now, or undefined when it is gone. */
export function accessedNow(candidate: Candidate): Date | undefined {
  return lookAt(candidate.path)?.atime;
}

/** What a link says, or undefined when it is none any more. */
export function linkText(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR', 'EINVAL'].includes(systemCode(cause) ?? '')) return undefined;
    throw diskError(cause, 'read the link', link);
  }
}

function lookAt(file: string): Stats | undefined {
  try {
    return lstatSync(file, { throwIfNoEntry: false });
  } catch (cause) {
    if (systemCode(cause) === 'ENOTDIR') return undefined;
    throw diskError(cause, 'look at', file);
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(cause) ?? '')) return [];
    throw diskError(cause, 'read the folder', folder);
  }
}
