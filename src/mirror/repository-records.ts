import path from 'node:path';
import * as v from 'valibot';
import { readSmallFileIfThere } from '../fs/small-file.ts';
import { parseRecord } from '../json/record.ts';
import { Digest } from '../names/digest.ts';
import type { Tag } from '../names/tag.ts';
import type { RawManifest } from '../registry/manifest.ts';
import type { StoredManifest } from '../server/contract/manifest-store.ts';
import type { DataDirectory } from '../server/store/data-directory.ts';
import { openFile } from '../server/store/content-store.ts';
import { tagFileName } from '../server/store/tag-file.ts';
import { upstreamText } from './upstream-name.ts';
import type { UpstreamRepository } from './upstreams.ts';

/** Where a tag led to when its upstream was last asked. */
export interface KnownTag {
  readonly digest: Digest;
  /** Epoch milliseconds. */
  readonly askedAt: number;
}

/** A name that is no legal part of a repository, so that none of an upstream is in the way. */
const MANIFESTS = '_manifests';
const TAGS = '_tags';
const WORD = '_public';
/** Beside a manifest: where it came from. */
const ORIGIN = '.origin';
const MOST_RECORD_BYTES = 4096;

const tagRecord = v.object({ digest: v.string(), askedAt: v.number() });
const originRecord = v.object({
  upstream: v.string(),
  repository: v.string(),
  mediaType: v.string(),
  bytes: v.number(),
  fetchedAt: v.number(),
});
const wordRecord = v.object({ askedAt: v.number() });

/**
 * What is known of one repository of an upstream: one small file for each fact, with the time at which the upstream
 * said it. Manifests are kept for each repository by itself, so that none is ever given for another. Nothing is written
 * anywhere else: what is deleted here is asked for again.
 */
export class RepositoryRecords {
  readonly #directory: DataDirectory;
  readonly #place: UpstreamRepository;
  readonly #path: string;

  constructor(directory: DataDirectory, place: UpstreamRepository) {
    const { upstream, repository } = place;
    this.#directory = directory;
    this.#place = place;
    this.#path = path.join(directory.repositories, upstreamText(upstream.address), ...repository.text.split('/'));
  }

  async tag(tag: Tag): Promise<KnownTag | undefined> {
    const record = await this.#read(tagRecord, path.join(TAGS, tagFileName(tag)));
    const digest = record === undefined ? undefined : Digest.tryParse(record.digest);
    return record === undefined || digest === undefined ? undefined : { digest, askedAt: record.askedAt };
  }

  async setTag(tag: Tag, { digest, askedAt }: KnownTag): Promise<void> {
    await this.#write(path.join(TAGS, tagFileName(tag)), { digest: digest.toString(), askedAt });
  }

  async forgetTag(tag: Tag): Promise<void> {
    await this.#directory.remove(path.join(this.#path, TAGS, tagFileName(tag)));
  }

  /** Verified: bytes that the disk has damaged are as none. The caller closes. */
  async manifest(digest: Digest): Promise<StoredManifest | undefined> {
    const name = this.#manifestName(digest);
    const origin = await this.#read(originRecord, `${name}${ORIGIN}`);
    if (origin === undefined) return undefined;
    const file = path.join(this.#path, name);
    const bytes = await readSmallFileIfThere(file);
    if (bytes === undefined || !Digest.of(bytes, digest.algorithm).equals(digest)) return undefined;
    // From the file, and not from memory, where each would wait for a client that does not read.
    const content = await openFile(file);
    return content === undefined ? undefined : { mediaType: origin.mediaType, content };
  }

  /** Its record last: without that it is not here. */
  async keepManifest({ bytes, mediaType, digest }: RawManifest, fetchedAt: number): Promise<void> {
    const { upstream, repository } = this.#place;
    await this.#directory.write(path.join(this.#path, this.#manifestName(digest)), bytes);
    await this.#write(`${this.#manifestName(digest)}${ORIGIN}`, {
      upstream: upstream.address.toString(),
      repository: repository.text,
      mediaType,
      bytes: bytes.length,
      fetchedAt,
    });
  }

  /** When the upstream last said that everybody may read it, in epoch milliseconds; 0 for never, or not any more. */
  async publicAt(): Promise<number> {
    return (await this.#read(wordRecord, WORD))?.askedAt ?? 0;
  }

  /** @param askedAt undefined: not everybody may. */
  async setPublic(askedAt: number | undefined): Promise<void> {
    if (askedAt === undefined) await this.#directory.remove(path.join(this.#path, WORD));
    else await this.#write(WORD, { askedAt });
  }

  #manifestName({ algorithm, hex }: Digest): string {
    return path.join(MANIFESTS, `${algorithm}-${hex}`);
  }

  async #read<Schema extends v.GenericSchema>(
    schema: Schema,
    name: string,
  ): Promise<v.InferOutput<Schema> | undefined> {
    const bytes = await readSmallFileIfThere(path.join(this.#path, name), MOST_RECORD_BYTES);
    return parseRecord(schema, bytes?.toString('utf8'));
  }

  async #write(name: string, record: object): Promise<void> {
    await this.#directory.write(path.join(this.#path, name), JSON.stringify(record));
  }
}
