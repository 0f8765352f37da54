import { type ErrorCode, TartletError } from '../../errors.ts';
import type { BlobIdentity } from '../../oci/descriptor.ts';
import type { Backoff } from '../request/backoff.ts';
import { parseContentRange } from './content-range.ts';
import { contentCoding, decodedBody } from '../response/document.ts';
import { hostAndPort } from '../request/network-error.ts';
import { refused } from '../response/refusal.ts';
import type { RegistryResponse } from '../request/request.ts';
import type { RepositoryContext } from '../request/repository.ts';

/** A body under way: bytes `[start, end)` of the blob, if all goes well. */
export interface OpenBlob {
  readonly start: number;
  readonly end: number;
  /** Where it comes from. */
  readonly url: URL;
  readonly body: AsyncIterable<Uint8Array>;
}

/** What the targets of redirects answer when a signed URL has expired (ghcr: after five minutes; reliability N36). */
const EXPIRED = new Set([400, 401, 403, 404, 410]);

/**
 * Opens the body of one blob, as often as it takes; `backoff` counts what goes wrong, here and while the body is read.
 */
export class BlobOpening {
  readonly #context: RepositoryContext;
  readonly #blob: BlobIdentity;
  readonly #transientChunks: boolean;
  readonly #backoff: Backoff;
  /** No more ranges for this blob: the whole is fetched and the beginning skipped. */
  #wholeOnly = false;

  /** @param transientChunks see `BlobReadOptions.transientChunks`. */
  constructor(context: RepositoryContext, blob: BlobIdentity, backoff: Backoff, transientChunks: boolean) {
    this.#transientChunks = transientChunks;
    this.#context = context;
    this.#blob = blob;
    this.#backoff = backoff;
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
        idempotent: true,
        backoff: this.#backoff,
        ...(this.#transientChunks ? { transientChunks: 'blob' as const } : {}),
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
      return { start: 0, end: size, url: response.url, body: decodedBody(response, coding) };
    }
    if (!this.#checkLength(response, length, size)) return undefined;
    return { start: 0, end: size, url: response.url, body: response.body };
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
    return { start: range.start, end: range.end, url: response.url, body: response.body };
  }

  /** False: the length is wrong and the response is gone, ask once more on a fresh connection (N16, N17). */
  #checkLength(response: RegistryResponse, length: number | undefined, expected: number): boolean {
    if (length === undefined || length === expected) return true;
    response.body.destroy();
    if (this.#backoff.shouldRetry('wrong-length')) return false;
    const { digest } = this.#blob;
    throw new TartletError(
      'SIZE_MISMATCH',
      `${hostAndPort(response.url)} offers ${length} instead of ${expected} bytes of blob ${digest.toString()}`,
      { subject: digest.toString(), expected: String(expected), found: String(length), retryable: true },
    );
  }

  async #forgiveOrThrow(response: RegistryResponse, signal: AbortSignal | undefined): Promise<void> {
    const failureKind = failureKindOf(response);
    const name = `${this.#context.registry}/${this.#context.repository}@${this.#blob.digest.toString()}`;
    if (failureKind !== undefined && this.#backoff.shouldRetry(failureKind)) {
      await response.body.discard();
      await this.#backoff.pause(`${hostAndPort(response.url)} answered ${response.status} for a blob`, signal);
      return;
    }
    throw await refused(response, {
      what: `cannot read blob ${name}`,
      subject: name,
      code: codeOf(response.status, failureKind),
      next: failureKind === 'missing-blob' ? { kind: 'complete-image-on-registry' } : undefined,
    });
  }
}

function codeOf(status: number, failureKind: ReturnType<typeof failureKindOf>): ErrorCode | undefined {
  // The storage behind the registry says nothing about our rights, nor about what the registry has.
  if (failureKind === 'expired-address') return 'REG_UNAVAILABLE';
  return status === 206 || status === 416 ? 'RANGE_BROKEN' : undefined;
}

function failureKindOf({ status, crossOrigin }: RegistryResponse): 'expired-address' | 'missing-blob' | undefined {
  if (crossOrigin && EXPIRED.has(status)) return 'expired-address';
  return status === 404 ? 'missing-blob' : undefined;
}

function contentLength(response: RegistryResponse): number | undefined {
  const value = response.headers.get('content-length');
  return value !== undefined && /^\d{1,16}$/.test(value) ? Number(value) : undefined;
}
