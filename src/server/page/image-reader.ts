import type { Digest } from '../../names/digest.ts';
import type { Repository } from '../../names/repository.ts';
import type { Content } from '../contract/content.ts';
import type { LocalContent } from '../contract/local-content.ts';
import { type ImageSummary, summarize, unknown } from './image-summary.ts';

/** Counts what is kept in memory for one request. */
export interface Memory {
  /** @throws Refusal 429 when it is too much. */
  take(bytes: number): void;
  giveBack(bytes: number): void;
}

/** Blobs of all summaries that are kept, some 100 bytes each. */
const MAX_KEPT_BLOBS = 100_000;
/** What a summary without blobs counts as. */
const LEAST_WEIGHT = 20;

/** Reads manifests, and keeps what pages show of them: a manifest never changes, and the next page needs most again. */
export class ImageReader {
  /** The longest unused first. */
  readonly #kept = new Map<string, ImageSummary>();
  #weight = 0;

  /**
   * @param asked `byTag` when a tag of the repository has just led to it, so that the repository has it.
   * @param limits `bytes` that a manifest may have at most; a larger one is told as `unknown`.
   * @returns undefined when the repository does not have it.
   */
  async read(
    { manifests }: Pick<LocalContent, 'manifests'>,
    {
      repository,
      digest,
      byTag,
    }: { readonly repository: Repository; readonly digest: Digest; readonly byTag: boolean },
    limits: { readonly bytes: number; readonly memory: Memory },
  ): Promise<ImageSummary | undefined> {
    const known = this.#kept.get(digest.toString());
    if (known !== undefined && byTag) return this.#keep(known);
    // Also for one that is known: this repository must have it.
    const manifest = await manifests.open(repository, digest);
    if (manifest === undefined) return undefined;
    const { content, mediaType } = manifest;
    try {
      if (known !== undefined) return this.#keep(known);
      const bytes = await readWhole(content, limits);
      if (bytes === undefined) return unknown(digest, 'Its manifest is too large to be shown here.');
      try {
        return this.#keep(summarize(digest, bytes, mediaType));
      } finally {
        limits.memory.giveBack(bytes.length);
      }
    } finally {
      await content.close();
    }
  }

  #keep(summary: ImageSummary): ImageSummary {
    const key = summary.digest.toString();
    this.#forget(key);
    this.#kept.set(key, summary);
    this.#weight += weightOf(summary);
    for (const oldest of this.#kept.keys()) {
      if (this.#weight <= MAX_KEPT_BLOBS) break;
      this.#forget(oldest);
    }
    return summary;
  }

  #forget(key: string): void {
    const known = this.#kept.get(key);
    if (known === undefined) return;
    this.#kept.delete(key);
    this.#weight -= weightOf(known);
  }
}

/**
 * A small document as it is stored.
 * @returns undefined when it has more bytes than the limit, or does not say how many.
 */
export async function readWhole(
  content: Content,
  { bytes, memory }: { readonly bytes: number; readonly memory: Memory },
): Promise<Buffer | undefined> {
  const { size } = content;
  if (size === undefined || size > bytes) return undefined;
  memory.take(size);
  const buffer = Buffer.alloc(size);
  let at = 0;
  while (at < size) {
    const count = await content.read(buffer.subarray(at), at);
    if (count === 0) break;
    at += count;
  }
  return buffer.subarray(0, at);
}

function weightOf({ blobs, entries }: ImageSummary): number {
  return LEAST_WEIGHT + blobs.size + entries.length;
}
