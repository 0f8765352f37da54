import type { Endpoint } from '../../endpoints/endpoint.ts';
import { isTartletError, type TartletError } from '../../errors.ts';
import type { BlobIdentity } from '../../oci/descriptor.ts';
import type { BlobReadOptions } from '../blobs/blob.ts';
import type { BlobQuestion } from '../blobs/blob-lookup.ts';
import type { BlobFetcher, BlobLookup, CallOptions, ManifestOptions, ManifestSource } from '../contract.ts';
import type { ManifestReference } from '../manifest-reference.ts';
import type { ManifestStatus, RawManifest } from '../manifest.ts';
import { type EndpointMemory, type WhyLeft, whyOf } from './endpoint-memory.ts';
import { anotherManifest, blockedEndpoint, noEndpointLeft, nothingToAsk, tagNotThere } from './no-endpoint.ts';

/** What is asked of an endpoint. */
export interface EndpointClient extends BlobFetcher, BlobLookup, ManifestSource {
  headManifest(reference: ManifestReference, options?: CallOptions): Promise<ManifestStatus | undefined>;
}

/** One of the places that may answer. */
export interface SourceEndpoint<Client extends EndpointClient = EndpointClient> {
  readonly endpoint: Endpoint;
  readonly client: Client;
}

/** The places that may answer, in their order. */
export type SourceEndpoints<Client extends EndpointClient = EndpointClient> = readonly [
  SourceEndpoint<Client>,
  ...SourceEndpoint<Client>[],
];

/** So many new bytes of a blob let the times be counted anew that it broke off. */
const PROGRESS_BYTES = 1024 * 1024;

/**
 * An image that several places may give, which are asked in order: mirrors, and last the registry itself. Every error
 * leads to the next; an endpoint that failed is not asked again, but for one that only lacks a blob. A blob that breaks
 * off goes on at the next endpoint with the byte where it stopped: what is verified is the whole, by the caller, and a
 * digest makes every endpoint as good as the registry.
 *
 * Where all fail, the error is that of the last, with the reasons of the others before it.
 */
export class MirroredSource implements BlobFetcher, BlobLookup, ManifestSource {
  readonly #subject: string;
  readonly #all: SourceEndpoints;
  readonly #memory: EndpointMemory;
  /** By digest of a blob: where bytes of its latest read came from. */
  readonly #contributors = new Map<string, ReadonlySet<number>>();
  /** By digest of a blob: what gave wrong bytes for it. */
  readonly #distrusted = new Map<string, Set<number>>();

  /** @param subject the image, as its user calls it. */
  constructor(subject: string, all: SourceEndpoints, memory: EndpointMemory) {
    this.#subject = subject;
    this.#all = all;
    this.#memory = memory;
  }

  /** See {@link ManifestSource}. */
  async manifest(reference: ManifestReference, options: ManifestOptions = {}): Promise<RawManifest> {
    const { signal, isMeant = () => true } = options;
    return this.#first('tag' in reference ? 'tags' : 'content', signal, async ({ endpoint, client }, index) => {
      if (endpoint.answers === 'tags') {
        // It only says what a tag leads to.
        const found = await client.headManifest(reference, options);
        if (found === undefined) throw tagNotThere(this.#subject, endpoint);
        return this.manifest({ digest: found.digest }, options);
      }
      const manifest = await client.manifest(reference, options);
      if (!this.#isLast(index) && !isMeant(manifest)) throw anotherManifest(endpoint, manifest.digest);
      this.#memory.serve(index);
      return manifest;
    });
  }

  /** See {@link BlobLookup}. */
  async blobExists(blob: BlobIdentity, question: BlobQuestion = {}): Promise<boolean> {
    const found = await this.#first('content', question.signal, async ({ client }, index) => {
      const isThere = await client.blobExists(blob, question);
      return isThere || this.#isLast(index) ? { isThere } : undefined;
    });
    return found.isThere;
  }

  /** See {@link BlobFetcher}. */
  async *blob(blob: BlobIdentity, options: BlobReadOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    const { from = 0, to = blob.size } = options;
    const key = blob.digest.toString();
    const contributors = new Set<number>();
    this.#contributors.set(key, contributors);
    const failed = new Map<number, WhyLeft>();
    let offset = from;
    for (const [index, at] of this.#all.entries()) {
      if (!this.#isAsked(index, 'content') || this.#distrusted.get(key)?.has(index) === true) continue;
      for (let breaks = 0; ; ) {
        const before = offset;
        try {
          refuseBlocked(at.endpoint);
          for await (const piece of at.client.blob(blob, { ...options, from: offset, to })) {
            offset += piece.length;
            contributors.add(index);
            yield piece;
          }
          this.#memory.serve(index);
          return;
        } catch (error) {
          const why = this.#whyNext(index, error, failed, options.signal);
          breaks = offset - before >= PROGRESS_BYTES ? 1 : breaks + 1;
          if (offset > before && breaks === 1 && mayGoOn(error) && this.#isAsked(index, 'content')) continue;
          failed.set(index, why);
          // One of many may be missing: a mirror need not have everything.
          if (why.code === 'NOT_FOUND') this.#memory.miss(index, why);
          else this.#memory.leave(index, why);
          break;
        }
      }
    }
    if (!this.#isAsked(this.#all.length - 1, 'content')) throw nothingToAsk(this.#subject, 'content');
  }

  /** See {@link BlobFetcher}. */
  distrust(blob: BlobIdentity): boolean {
    const key = blob.digest.toString();
    const contributors = [...(this.#contributors.get(key) ?? [])];
    const suspects = contributors.filter((index) => !this.#isLast(index));
    const distrusted = this.#distrusted.get(key) ?? new Set();
    this.#distrusted.set(key, distrusted);
    for (const index of suspects) distrusted.add(index);
    const [only] = suspects;
    // Of several that gave a part each it is unknown which part is wrong.
    if (only !== undefined && contributors.length === 1) {
      this.#memory.leave(only, { code: 'DIGEST_MISMATCH', reason: `it sends wrong bytes for blob ${key}` });
    }
    return suspects.length > 0;
  }

  /** See {@link BlobFetcher}. */
  askAllAgain(): void {
    this.#memory.forget();
    this.#distrusted.clear();
  }

  /** What the first endpoint gives that gives something, of those that may be asked for it. */
  async #first<T>(
    what: 'tags' | 'content',
    signal: AbortSignal | undefined,
    ask: (at: SourceEndpoint, index: number) => Promise<T | undefined>,
  ): Promise<T> {
    const failed = new Map<number, WhyLeft>();
    for (const [index, at] of this.#all.entries()) {
      if (!this.#isAsked(index, what)) continue;
      try {
        refuseBlocked(at.endpoint);
        const found = await ask(at, index);
        if (found !== undefined) return found;
      } catch (error) {
        const why = this.#whyNext(index, error, failed, signal);
        failed.set(index, why);
        this.#memory.leave(index, why);
      }
    }
    throw nothingToAsk(this.#subject, what);
  }

  /**
   * Why the next endpoint is to be asked. @throws what went wrong, where there is no next one, and what is no fault of
   * an endpoint.
   */
  #whyNext(
    index: number,
    error: unknown,
    failed: ReadonlyMap<number, WhyLeft>,
    signal: AbortSignal | undefined,
  ): WhyLeft {
    signal?.throwIfAborted();
    if (!isTartletError(error) || error.code === 'INTERNAL' || error.code === 'INTERRUPTED') throw error;
    if (this.#isLast(index)) throw this.#explained(failed, error);
    return whyOf(error);
  }

  #explained(failed: ReadonlyMap<number, WhyLeft>, error: TartletError): TartletError {
    const last = this.#all.at(-1) ?? this.#all[0];
    const before = [...this.#all.entries()].flatMap(([index, { endpoint }]): [Endpoint, WhyLeft][] => {
      const why = failed.get(index) ?? this.#memory.left.get(index);
      return why === undefined ? [] : [[endpoint, why]];
    });
    return noEndpointLeft(this.#subject, before, last.endpoint, error);
  }

  #isLast(index: number): boolean {
    return index === this.#all.length - 1;
  }

  #isAsked(index: number, what: 'tags' | 'content'): boolean {
    const answers = this.#all[index]?.endpoint.answers;
    return (answers === 'all' || answers === what) && !this.#memory.left.has(index);
  }
}

function refuseBlocked(endpoint: Endpoint): void {
  if (endpoint.blockedBy !== undefined) throw blockedEndpoint(endpoint, endpoint.blockedBy);
}

/** Whether what broke may do better at once. One that stalled has cost enough. */
function mayGoOn(error: unknown): boolean {
  return isTartletError(error) && error.facts.retryable === true && error.code !== 'NET_TIMEOUT';
}
