import { TartletError } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import { Backoff } from './backoff.ts';
import { parseContentRange } from './content-range.ts';
import { contentCoding, decodedBody } from './document.ts';
import { hostAndPort } from './network-error.ts';
import { refused } from './refusal.ts';
import type { RegistryResponse } from './request.ts';
import type { RepositoryContext } from './repository.ts';

/** A blob: what it must hash to, and its exact length in bytes. */
export interface BlobDescriptor {
  readonly digest: Digest;
  readonly size: number;
}

/** A body under way: bytes `[start, end)` of the blob, if all goes well. */
export interface OpenBlob {
  readonly start: number;
  readonly end: number;
  readonly body: AsyncIterable<Uint8Array>;
}

/** How often an answer that should not be is asked for again, before it is believed. */
const PATIENCE = { missing: 2, signedUrl: 3, length: 1 } as const;

/** What the targets of redirects answer when a signed URL has expired (ghcr: after five minutes; reliability N36). */
const EXPIRED = new Set([400, 401, 403, 404, 410]);

/** Opens the body of one blob, as often as it takes, and remembers what went wrong with it so far. */
export class BlobOpening {
  readonly #context: RepositoryContext;
  readonly #blob: BlobDescriptor;
  readonly #strikes = { missing: 0, signedUrl: 0, length: 0 };
  readonly #backoff: Backoff;
  /** No more ranges for this blob: the whole is fetched and the beginning skipped. */
  #wholeOnly = false;

  constructor(context: RepositoryContext, blob: BlobDescriptor) {
    this.#context = context;
    this.#blob = blob;
    this.#backoff = new Backoff(context.timing);
  }

  /** There was progress: earlier trouble is forgiven. */
  forgive(): void {
    this.#strikes.signedUrl = 0;
    this.#backoff.reset();
  }

  /** A body that covers the bytes from `from` on, or more: the caller skips what it has. */
  async open(from: number, to: number, signal?: AbortSignal): Promise<OpenBlob> {
    for (;;) {
      const ranged = (from > 0 || to < this.#blob.size) && !this.#wholeOnly && this.#context.traits.ranges;
      const response = await this.#request(ranged ? `bytes=${from}-${to - 1}` : undefined, signal);
      if (response.status === 200) {
        // A registry that ignores ranges will ignore the next one too (N40).
        if (ranged) this.#context.traits.ranges = false;
        const opened = this.#whole(response);
        if (opened !== undefined) return opened;
      } else if (response.status === 206 && ranged) {
        const opened = this.#part(response, from, to);
        if (opened !== undefined) return opened;
      } else if (response.status === 416 && ranged) {
        // N39: the bytes are there by the descriptor, only this way does not lead to them.
        response.body.destroy();
        this.#wholeOnly = true;
      } else {
        await this.#forgiveOrThrow(response, signal);
      }
    }
  }

  async #request(range: string | undefined, signal: AbortSignal | undefined): Promise<RegistryResponse> {
    return this.#context.send(
      {
        method: 'GET',
        url: await this.#context.url(`blobs/${this.#blob.digest.toString()}`),
        headers: range === undefined ? {} : { range },
        access: { repository: this.#context.repository, action: 'pull' },
        repeat: 'always',
      },
      signal,
    );
  }

  #whole(response: RegistryResponse): OpenBlob | undefined {
    const { size } = this.#blob;
    const coding = contentCoding(response);
    const length = contentLength(response);
    // A server may label bytes as gzip that are gzip: if the length is right, they are what was asked for (N50).
    if (coding !== undefined && length !== size) {
      this.#wholeOnly = true;
      return { start: 0, end: size, body: decodedBody(response, coding) };
    }
    return this.#checkLength(response, length, size) ? { start: 0, end: size, body: response.body } : undefined;
  }

  #part(response: RegistryResponse, from: number, to: number): OpenBlob | undefined {
    const range = parseContentRange(response.headers.get('content-range') ?? '');
    const fits =
      range !== undefined &&
      range.start === from &&
      range.end <= to &&
      (range.total ?? this.#blob.size) === this.#blob.size;
    if (!fits || contentCoding(response) !== undefined) {
      response.body.destroy();
      // Once may be an accident of this blob, twice is the registry (N41).
      this.#context.traits.ranges &&= !this.#wholeOnly;
      this.#wholeOnly = true;
      return undefined;
    }
    const length = range.end - range.start;
    if (!this.#checkLength(response, contentLength(response), length)) return undefined;
    return { start: range.start, end: range.end, body: response.body };
  }

  /** False: the length is wrong and the response is gone, ask once more on a fresh connection (N16, N17). */
  #checkLength(response: RegistryResponse, length: number | undefined, expected: number): boolean {
    if (length === undefined || length === expected) return true;
    response.body.destroy();
    this.#strikes.length += 1;
    if (this.#strikes.length <= PATIENCE.length) return false;
    const { digest } = this.#blob;
    throw new TartletError(
      'SIZE_MISMATCH',
      `${hostAndPort(response.url)} offers ${length} instead of ${expected} bytes of blob ${digest.toString()}`,
      { subject: digest.toString(), expected: String(expected), found: String(length), retryable: true },
    );
  }

  async #forgiveOrThrow(response: RegistryResponse, signal: AbortSignal | undefined): Promise<void> {
    const kind =
      response.foreign && EXPIRED.has(response.status) ? 'signedUrl' : response.status === 404 ? 'missing' : undefined;
    const name = `${this.#context.registry}/${this.#context.repository}@${this.#blob.digest.toString()}`;
    if (kind !== undefined) {
      this.#strikes[kind] += 1;
      if (this.#strikes[kind] <= PATIENCE[kind]) {
        await response.body.discard();
        this.#backoff.allows();
        await this.#backoff.pause(`${hostAndPort(response.url)} answered ${response.status} for a blob`, signal);
        return;
      }
    }
    throw await refused(response, {
      what: `cannot read blob ${name}`,
      subject: name,
      ...(response.status === 206 || response.status === 416 ? { code: 'RANGE_BROKEN' } : {}),
      // The storage behind the registry says nothing about our rights, nor about what the registry has.
      ...(kind === 'signedUrl' ? { code: 'REG_UNAVAILABLE' } : {}),
      ...(kind === 'missing' ? { next: 'push the image again: it is incomplete on the registry' } : {}),
    });
  }
}

function contentLength(response: RegistryResponse): number | undefined {
  const value = response.headers.get('content-length');
  return value !== undefined && /^\d{1,16}$/.test(value) ? Number(value) : undefined;
}
