import { isTartletError, TartletError } from '../../errors.ts';
import { Backoff } from '../request/backoff.ts';
import { blobExists } from './blob-lookup.ts';
import type { BlobIdentity } from '../../oci/descriptor.ts';
import { smallerPart } from './part-size.ts';
import type { RegistryResponse } from '../request/request.ts';
import { withoutBody } from '../request/response-body.ts';
import type { RepositoryContext } from '../request/repository.ts';
import { SentBytes } from '../request/sent-bytes.ts';
import { cancelUpload } from './upload-cancel.ts';
import { closingLocation, uploadLocation } from './upload-location.ts';
import { DAMAGED, startSession, uploadRefused, type UploadSession } from './upload-session.ts';

/** A blob to upload. */
export interface BlobSource extends BlobIdentity {
  /**
   * Bytes `[from, to)` of the blob; called once per attempt. What it throws should be a TartletError: that is passed on
   * and not retried.
   */
  open(from: number, to: number): Uint8Array | AsyncIterable<Uint8Array>;
}

/** How a blob is sent. */
export interface BlobUploadOptions {
  /** Send the blob in PATCH requests of this many bytes; absent: one PUT. */
  readonly chunkBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * Told how many bytes were handed to the connection; negative when an attempt failed and its bytes are sent again.
   */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

const OCTETS = { 'content-type': 'application/octet-stream' };

/** The registry refused a way of uploading, and another one may work. Never leaves this file. */
class OtherWay extends Error {
  readonly refusal: TartletError;

  constructor(refusal: TartletError) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

/**
 * Uploads a blob; the promises are those of `RegistryClient.uploadBlob`. One PUT by default: parts have quirks in every
 * registry (tart-formats §6.4) and our blobs are small enough. Whatever breaks, a new session starts the blob again,
 * unless the registry has it by then (reliability N59, N60, Q14).
 */
export async function uploadBlob(
  context: RepositoryContext,
  blob: BlobSource,
  options: BlobUploadOptions = {},
): Promise<void> {
  const { signal } = options;
  const backoff = new Backoff(context.timing);
  const upload = new Upload(context, blob, new SentBytes(options.onBytes), signal);
  for (;;) {
    // What the start of a session could not repair is final: it may be repeated freely, so the retry layer did.
    const session = await startSession(context, signal);
    try {
      await upload.attempt(session, options.chunkBytes);
      return;
    } catch (error) {
      if (signal?.aborted === true) await upload.cancel();
      signal?.throwIfAborted();
      if (!(error instanceof OtherWay)) {
        if (!isTartletError(error) || !isCurable(error)) throw error;
        // The answer may be what got lost, not the blob (N59).
        if (await blobExists(context, blob, { action: 'push', signal })) return;
        if (!backoff.shouldRetry(error.facts.found === DAMAGED ? 'damaged-upload' : 'lost-upload')) throw error;
        await backoff.pause(error.message, signal);
      }
      upload.takeBack();
    }
  }
}

/** Whether a new session may do better. What the retry layer already repeated in vain (429, 503) is not. */
function isCurable({ code, facts }: TartletError): boolean {
  return facts.retryable === true && code !== 'RATE_LIMITED' && facts.status !== 503;
}

/** The requests that carry the bytes of one blob in one session. */
class Upload {
  readonly #context: RepositoryContext;
  readonly #blob: BlobSource;
  readonly #sent: SentBytes;
  readonly #signal: AbortSignal | undefined;
  /** Where the session of the current attempt continues. */
  #location: URL | undefined;
  /** What was said first of a request that was too large: the reason, whatever is said of other ways. */
  #tooLarge: TartletError | undefined;

  constructor(context: RepositoryContext, blob: BlobSource, sent: SentBytes, signal: AbortSignal | undefined) {
    this.#context = context;
    this.#blob = blob;
    this.#sent = sent;
    this.#signal = signal;
  }

  /** Everything sent so far was in vain. */
  takeBack(): void {
    this.#sent.takeBack();
  }

  /** Gives up the session of the current attempt. */
  async cancel(): Promise<void> {
    if (this.#location !== undefined) await cancelUpload(this.#context, this.#location);
  }

  /**
   * Sends the blob in the way that is known, or hoped, to work. Each way is given up once: after both there is none
   * left.
   */
  async attempt({ location, minimumPart }: UploadSession, chunkBytes: number | undefined): Promise<void> {
    const { traits } = this.#context;
    this.#location = location;
    const wished = smallest(traits.partBytes, chunkBytes);
    const part = wished === undefined || !traits.patch ? this.#blob.size : Math.max(wished, minimumPart);
    const inParts = part < this.#blob.size;
    try {
      await (inParts ? this.#inParts(location, part) : this.#whole(location));
    } catch (error) {
      if (!(error instanceof OtherWay)) throw error;
      this.#tryOtherwise(error, inParts ? part : undefined, minimumPart);
      throw error;
    }
  }

  /**
   * Remembers what may work better than parts of `part` bytes, or than one PUT.
   * @throws TartletError the refusal, when nothing is left to try.
   */
  #tryOtherwise({ refusal }: OtherWay, part: number | undefined, minimumPart: number): void {
    const { traits } = this.#context;
    const wholeIsTooLarge = traits.partBytes !== undefined;
    const { status } = refusal.facts;
    if (status === 413) this.#tooLarge ??= refusal;
    // GHCR says 416 to parts above 4 MiB.
    const isTooLarge = status === 413 || (status === 416 && wholeIsTooLarge);
    const smaller = isTooLarge && traits.patch ? smallerPart(part ?? this.#blob.size, minimumPart) : undefined;
    if (smaller !== undefined) this.#context.limitParts(smaller);
    else if (part !== undefined && !wholeIsTooLarge) traits.patch = false;
    else throw this.#tooLarge ?? refusal;
  }

  /** One PUT with everything. Without Content-Range: some registries then take it for a part (tart-formats §6.1). */
  async #whole(location: URL): Promise<void> {
    const response = await this.#send(
      'PUT',
      closingLocation(location, this.#blob.digest.toString()),
      0,
      this.#blob.size,
      {},
    );
    if (response.status === 413) throw new OtherWay(await this.#refused(response));
    await this.#finished(response);
  }

  /** PATCH for all parts but the last, which travels in the PUT: ECR does not take an empty one (tart-formats §6.4). */
  async #inParts(start: URL, part: number): Promise<void> {
    const { size, digest } = this.#blob;
    let location = start;
    let offset = 0;
    while (size - offset > part) {
      const range = { 'content-range': `${offset}-${offset + part - 1}` };
      const answer = await this.#send('PATCH', location, offset, offset + part, range);
      if (!isAccepted(answer)) await this.#partRefused(answer, offset);
      const response = await withoutBody(answer);
      // Where `Range` points is not believed: ECR's stands still, others count wrongly (reliability Q10).
      if (response.headers.get('location') !== undefined) location = uploadLocation(response, location);
      this.#location = location;
      offset += part;
    }
    const range = { 'content-range': `${offset}-${size - 1}` };
    const last = await this.#send('PUT', closingLocation(location, digest.toString()), offset, size, range);
    if (last.status === 413) await this.#partRefused(last, offset);
    await this.#finished(last);
  }

  async #send(
    method: 'PUT' | 'PATCH',
    url: URL,
    from: number,
    to: number,
    headers: Readonly<Record<string, string>>,
  ): Promise<RegistryResponse> {
    return this.#context.send(
      {
        method,
        url,
        headers: { ...OCTETS, ...headers },
        body: this.#sent.counted(to - from, () => this.#blob.open(from, to)),
        access: { repository: this.#context.repository, action: 'push' },
        idempotent: false,
      },
      this.#signal,
    );
  }

  async #finished(response: RegistryResponse): Promise<void> {
    if (!isAccepted(response)) throw await this.#refused(response);
    const { status } = await withoutBody(response);
    // Only 201 says that it is stored. The others are looked up like an answer that got lost.
    if (status !== 201) throw unconfirmed(this.#context, this.#blob, status);
  }

  /**
   * A first part that is refused means that the registry takes no parts, or not this size (Q13); GHCR says 416 above 4
   * MiB.
   */
  async #partRefused(response: RegistryResponse, offset: number): Promise<never> {
    const refusal = await this.#refused(response);
    const { status } = response;
    if (status < 500 && status !== 429 && (offset === 0 || status === 413 || status === 416))
      throw new OtherWay(refusal);
    throw refusal;
  }

  #refused(response: RegistryResponse): Promise<TartletError> {
    return uploadRefused(this.#context, response, `upload blob ${this.#blob.digest.toString()}`);
  }
}

/** The smaller of two sizes that need not be there. */
function smallest(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
}

/** 201 at the end and 202 for parts by the spec; 202 and 204 are also seen at the end (Q9; openai/tart#273). */
function isAccepted({ status }: RegistryResponse): boolean {
  return status >= 200 && status <= 204;
}

function unconfirmed(
  { registry, repository }: RepositoryContext,
  { digest }: BlobIdentity,
  status: number,
): TartletError {
  return new TartletError(
    'UPLOAD_LOST',
    `${registry} answered ${status} to blob ${digest.toString()}, and does not have it`,
    { subject: `${registry}/${repository}`, status, retryable: true },
  );
}
