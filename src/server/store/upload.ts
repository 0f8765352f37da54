import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { TartletError } from '../../errors.ts';
import { Digest, type DigestAlgorithm } from '../../names/digest.ts';
import { ClientAborted, type RequestBody } from '../contract/request-body.ts';
import { Refusal } from '../contract/refusal.ts';
import type { Repository } from '../../names/repository.ts';
import type { TakenUpload, Upload, UploadBeginning } from '../contract/upload-store.ts';
import type { StagingBudget } from './staging-budget.ts';

/** What an upload needs from its surroundings. */
export interface UploadFacts extends UploadBeginning {
  readonly id: string;
  /** Staged file to be made. */
  readonly file: string;
  /** Makes a blob of the repository of a staged file that was fsynced and verified, or throws and leaves the file. */
  readonly publish: (upload: DiskUpload, digest: Digest) => Promise<void>;
  /** Told when a request is done with it, and when it has ended. */
  readonly rested: (upload: DiskUpload) => void;
  readonly budget: StagingBudget;
  /** Largest blob taken, in bytes. */
  readonly limit: number;
}

/**
 * A blob on its way in: a staged file and the hash of what is in it so far, always of the same bytes, so that neither a
 * continued upload nor the closing request reads anything again. It lives until it is marked as unmodified or
 * discarded.
 */
export class DiskUpload implements Upload, TakenUpload {
  readonly id: string;
  readonly repository: Repository;
  readonly user: string | undefined;
  readonly client: string;
  readonly file: string;
  /** Open while a request works on the upload: those that rest are many, and descriptors are few (issue 14, item 6). */
  #handle: FileHandle | undefined;
  readonly #budget: StagingBudget;
  readonly #limit: number;
  readonly #publish: UploadFacts['publish'];
  readonly #rested: UploadFacts['rested'];
  #hash: Hash;
  #algorithm: DigestAlgorithm;
  #received = 0;
  #open = true;
  /** The request that works on it; ends without a rejection. */
  #busy: { readonly body: RequestBody; readonly done: Promise<unknown> } | undefined;

  private constructor(facts: UploadFacts) {
    this.id = facts.id;
    this.repository = facts.repository;
    this.user = facts.user;
    this.client = facts.client;
    this.file = facts.file;
    this.#budget = facts.budget;
    this.#limit = facts.limit;
    this.#publish = facts.publish;
    this.#rested = facts.rested;
    this.#algorithm = facts.algorithm;
    this.#hash = createHash(facts.algorithm);
  }

  static async begin(facts: UploadFacts): Promise<DiskUpload> {
    const made = await open(facts.file, 'wx', 0o600);
    await made.close();
    return new DiskUpload(facts);
  }

  /** Bytes that are safely counted: written, and in the hash. */
  get received(): number {
    return this.#received;
  }

  /** False once it was marked as unmodified or discarded. */
  get open(): boolean {
    return this.#open;
  }

  get busy(): boolean {
    return this.#busy !== undefined;
  }

  async alone(body: RequestBody, work: (taken: TakenUpload) => Promise<void>): Promise<void> {
    while (this.#busy !== undefined) {
      this.#busy.body.abort();
      await this.#busy.done;
    }
    if (!this.#open) throw new Refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'there is no such upload');
    const result = this.#withFile(work);
    const done = result.then(
      () => undefined,
      () => undefined,
    );
    this.#busy = { body, done };
    try {
      await result;
    } finally {
      this.#busy = undefined;
      this.#rested(this);
    }
  }

  async #withFile(work: (taken: TakenUpload) => Promise<void>): Promise<void> {
    this.#handle = await open(this.file, 'r+');
    try {
      await work(this);
    } finally {
      await this.#close();
    }
  }

  /** @throws TartletError when no request has taken the upload for itself. */
  get #opened(): FileHandle {
    if (this.#handle === undefined) throw new TartletError('INTERNAL', 'an upload is used by no request');
    return this.#handle;
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  expect(algorithm: DigestAlgorithm): void {
    if (this.#received > 0 || algorithm === this.#algorithm) return;
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  async announce(bytes: number): Promise<void> {
    this.#checkSize(bytes);
    if (bytes > 0) await this.#budget.announce(bytes);
  }

  async append(body: RequestBody, exact?: number): Promise<void> {
    const before = this.#received;
    try {
      await body.consume(async (pieces) => this.#write(pieces));
      if (exact !== undefined && this.#received - before !== exact) {
        throw new Refusal(400, 'SIZE_INVALID', 'the chunk has not the length that its Content-Range says');
      }
    } catch (error) {
      // After any other failure, file and hash may disagree.
      if (!(error instanceof ClientAborted)) await this.discard();
      throw error;
    }
  }

  async complete(digest: Digest): Promise<void> {
    await this.#marker(digest);
    try {
      await this.#publish(this, digest);
    } catch (error) {
      await rm(this.file, { force: true });
      throw error;
    }
  }

  /** Checks the whole content and fsyncs it: the upload has ended then, and the staged file is to be published. */
  async #marker(expected: Digest): Promise<void> {
    try {
      const hash = expected.algorithm === this.#algorithm ? this.#hash : await this.#rehash(expected.algorithm);
      const found = Digest.parse(`${expected.algorithm}:${hash.digest('hex')}`);
      if (!found.equals(expected)) {
        throw new Refusal(400, 'DIGEST_INVALID', 'the digest does not match the uploaded content', {
          detail: { digest: expected.toString(), uploaded: found.toString(), size: this.#received },
        });
      }
      await this.#opened.sync();
    } catch (error) {
      await this.discard();
      throw error;
    }
    await this.#end();
  }

  /** Forgets everything; harmless when it has ended already. */
  async discard(): Promise<void> {
    if (!this.#open) return;
    await this.#end();
    await rm(this.file, { force: true });
  }

  async cancel(): Promise<void> {
    this.#busy?.body.abort();
    await this.#busy?.done;
    await this.discard();
    this.#rested(this);
  }

  async #end(): Promise<void> {
    this.#open = false;
    this.#budget.release(this.#received);
    await this.#close();
  }

  async #write(pieces: readonly Buffer[]): Promise<void> {
    let size = 0;
    for (const piece of pieces) size += piece.length;
    this.#checkSize(size);
    await this.#budget.take(size);
    // The disk works in another thread while this one hashes.
    const written = writeFully(this.#opened, pieces, this.#received, size);
    this.#received += size;
    for (const piece of pieces) this.#hash.update(piece);
    await written;
  }

  #checkSize(more: number): void {
    if (this.#received + more <= this.#limit) return;
    throw new Refusal(413, 'SIZE_INVALID', `a blob may have at most ${this.#limit} bytes`);
  }

  async #rehash(algorithm: DigestAlgorithm): Promise<Hash> {
    const hash = createHash(algorithm);
    const buffer = Buffer.allocUnsafe(256 * 1024);
    for (let at = 0; at < this.#received; ) {
      const { bytesRead } = await this.#opened.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return hash;
  }
}

/** Writes all `size` bytes of the pieces: one write may take less than it was given, just before the disk is full. */
export async function writeFully(
  file: FileHandle,
  pieces: readonly Uint8Array[],
  position: number,
  size: number,
): Promise<void> {
  const { bytesWritten } = await file.writev(pieces, position);
  if (bytesWritten === size) return;
  const rest = Buffer.concat(pieces).subarray(bytesWritten);
  for (let at = 0; at < rest.length; ) {
    const more = await file.write(rest, at, rest.length - at, position + bytesWritten + at);
    at += more.bytesWritten;
  }
}
