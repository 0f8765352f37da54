import { TartletError } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import type { Repository } from '../names/repository.ts';
import type { BlobStore } from '../server/contract/blob-store.ts';
import type { Content } from '../server/contract/content.ts';
import type { Asked, UpstreamAccess } from './access.ts';
import type { BlobRecords, BlobWord } from './blob-records.ts';
import type { BlobOrigin, CachedBlobs } from './blobs/contract.ts';
import { LateContent } from './late-content.ts';
import { readOnly } from './read-only.ts';
import type { SingleFlight } from './single-flight.ts';
import { isPassing, refusalOf } from './upstream-failure.ts';

/** What requests for blobs share. */
export interface BlobWork {
  readonly access: UpstreamAccess;
  readonly blobs: CachedBlobs;
  readonly records: BlobRecords;
  readonly questions: SingleFlight<BlobWord | undefined>;
}

/** The blobs of upstreams, as one client may see them. */
export class UpstreamBlobs implements BlobStore {
  readonly #work: BlobWork;
  readonly #askedFor: (name: Repository) => Asked;

  constructor(work: BlobWork, askedFor: (name: Repository) => Asked) {
    this.#work = work;
    this.#askedFor = askedFor;
  }

  /**
   * Two things are needed: that the client may read the repository, and that the repository has the blob. Both are the
   * upstream's word; nothing is fetched before the content is read, because `HEAD` opens it, too.
   */
  async open(name: Repository, digest: Digest): Promise<Content | undefined> {
    const asked = this.#askedFor(name);
    try {
      const word = await this.#word(asked, digest);
      if (word === undefined) return undefined;
      return new LateContent(word.size, {
        open: async () => this.#fetch(asked, digest, word),
        explain: (error) => refusalOf(error, asked.upstream, asked.loginAdvice),
        onServed: (bytes) => asked.usage.count('servedBytes', bytes),
      });
    } catch (error) {
      throw refusalOf(error, asked.upstream, asked.loginAdvice);
    }
  }

  async delete(): Promise<boolean> {
    throw readOnly();
  }

  async #word(asked: Asked, digest: Digest): Promise<BlobWord | undefined> {
    const { access, records, questions } = this.#work;
    const known = await records.find(digest, asked.upstream, repositoryOf(asked));
    if (known !== undefined && access.isAllowed(asked)) return known;
    try {
      const key = `${asked.key} ${digest.toString()}`;
      return await questions.run(key, async () => this.#ask(asked, digest, known !== undefined));
    } catch (error) {
      if (known === undefined || !isPassing(error) || !(await access.isAllowedWithoutUpstream(asked))) throw error;
      asked.usage.count('stale');
      return known;
    }
  }

  async #ask(asked: Asked, digest: Digest, isKnown: boolean): Promise<BlobWord | undefined> {
    const { access, records } = this.#work;
    const repository = repositoryOf(asked);
    const status = await access.ask(asked, isKnown, async (signal) =>
      asked.client.documents.statBlob(digest, { signal }),
    );
    if (status === undefined) {
      await records.removeRepository(digest, asked.upstream, repository);
      return undefined;
    }
    const { size } = status;
    if (size === undefined) {
      const text = `it does not tell the size of blob ${digest.toString()}`;
      throw new TartletError('NET_PROTOCOL', text, { subject: asked.upstream });
    }
    await records.addRepository(digest, asked.upstream, repository, size);
    return { size, isVerified: await records.isVerified(digest, asked.upstream) };
  }

  async #fetch(asked: Asked, digest: Digest, word: BlobWord): Promise<Content> {
    const { blobs, records } = this.#work;
    const isVerified = word.isVerified || (await records.isVerified(digest, asked.upstream));
    const found = isVerified ? await blobs.find(digest) : undefined;
    asked.usage.count(found === undefined ? 'misses' : 'hits');
    return found ?? blobs.open(digest, originOf(asked, digest, { size: word.size, isVerified }));
  }
}

function repositoryOf({ place }: Asked): string {
  return place.repository.text;
}

function originOf({ client, upstream, usage }: Asked, digest: Digest, { size, isVerified }: BlobWord): BlobOrigin {
  return {
    upstream,
    onlyOwn: !isVerified,
    size: async () => size,
    read: (from, signal, to) =>
      client.blobs.blob(
        { digest, size },
        {
          from,
          signal,
          to,
          transientChunks: true,
          onBytes: (bytes) => usage.count('fetchedBytes', bytes),
        },
      ),
  };
}
