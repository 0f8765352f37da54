import { Repository } from '../../names/repository.ts';
import { Tag } from '../../names/tag.ts';
import type { ImageReader } from './image-reader.ts';
import type { ImageSummary } from './image-summary.ts';
import type { Viewer } from './viewer.ts';

/** An image with a name that leads to it. */
export interface NamedImage {
  readonly repository: string;
  readonly tag: string;
  readonly image: ImageSummary;
}

/** Images that others are compared with. */
export interface Comparison {
  /** No two with the same digest. */
  readonly images: readonly NamedImage[];
  /** Whether these are all images that the viewer may read. */
  readonly isComplete: boolean;
}

/** A larger manifest is not looked at when many are: it has thousands of layers. */
const LIST_MANIFEST_BYTES = 1024 * 1024;
/** At most so many images are looked at for one page, of so many repositories, and so many of another repository. */
const MAX_IMAGES = 200;
const MAX_REPOSITORIES = 100;
const MAX_OWN_TAGS = 100;
const MAX_OTHER_TAGS = 10;
/** And until they have so many blobs together. */
const MAX_BLOBS = 50_000;
/** Tags that are looked at side by side: the disk is waited for, and little memory is taken. */
const AT_A_TIME = 8;

/**
 * Gathers what a page compares its images with: tags of their repository first, then a few of each other that the
 * viewer may read. How much there is at most does not depend on how much there is in the registry.
 */
export async function gatherImages(reader: ImageReader, viewer: Viewer, own: Repository): Promise<Comparison> {
  const found = new Map<string, NamedImage>();
  const list = await viewer.content.catalog.list({ size: MAX_REPOSITORIES, after: undefined });
  let isComplete = !list.more;
  let blobs = 0;
  const others = list.entries.filter((name) => name !== own.text && viewer.mayRead(name));
  const repositories = [own, ...others.flatMap((name) => Repository.tryParseBySpec(name) ?? [])];
  for (const repository of repositories) {
    const most = repository === own ? MAX_OWN_TAGS : MAX_OTHER_TAGS;
    const tags = await viewer.content.tags.list(repository, { size: most, after: undefined });
    if (tags?.more === true) isComplete = false;
    for await (const [tag, image] of readTags(reader, viewer, { repository, tags: tags?.entries ?? [] })) {
      if (found.has(image.digest.toString())) continue;
      if (found.size >= MAX_IMAGES || blobs > MAX_BLOBS) return { images: [...found.values()], isComplete: false };
      blobs += image.blobs.size;
      found.set(image.digest.toString(), { repository: repository.text, tag, image });
    }
  }
  return { images: [...found.values()], isComplete };
}

/** What tags lead to, in their order; those that are gone meanwhile are left out. */
export async function* readTags(
  reader: ImageReader,
  viewer: Viewer,
  { repository, tags }: { readonly repository: Repository; readonly tags: readonly string[] },
): AsyncGenerator<readonly [tag: string, image: ImageSummary]> {
  for (let at = 0; at < tags.length; at += AT_A_TIME) {
    const some = tags.slice(at, at + AT_A_TIME);
    const images = await Promise.all(some.map(async (tag) => readTag(reader, viewer, { repository, tag })));
    for (const [place, tag] of some.entries()) {
      const image = images[place];
      if (image !== undefined) yield [tag, image];
    }
  }
}

async function readTag(
  reader: ImageReader,
  { content, memory }: Viewer,
  { repository, tag }: { readonly repository: Repository; readonly tag: string },
): Promise<ImageSummary | undefined> {
  const parsed = Tag.tryParseBySpec(tag);
  const resolved = parsed === undefined ? undefined : await content.tags.resolve(repository, parsed);
  if (resolved === undefined) return undefined;
  return reader.read(
    content,
    { repository, digest: resolved.digest, byTag: true },
    { bytes: LIST_MANIFEST_BYTES, memory },
  );
}

/** How many of some images have each blob. Each image must be among them once. */
export function countBlobs(images: Iterable<ImageSummary>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { blobs } of images) {
    for (const blob of blobs.keys()) counts.set(blob, (counts.get(blob) ?? 0) + 1);
  }
  return counts;
}

/** Bytes of the blobs of an image; of those alone that `of` takes, where it is given. */
export function bytesOf({ blobs }: ImageSummary, of: (blob: string) => boolean = () => true): number {
  let bytes = 0;
  for (const [blob, size] of blobs) if (of(blob)) bytes += size;
  return bytes;
}
