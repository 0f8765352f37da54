import type { Digest, DigestAlgorithm } from '../../names/digest.ts';
import type { Repository } from '../../names/repository.ts';
import type { RequestBody } from './request-body.ts';

/** Whose upload, and where to. */
export interface UploadOwner {
  readonly repository: Repository;
  /** Undefined for any client, where no login is needed. */
  readonly user: string | undefined;
}

export interface UploadBeginning extends UploadOwner {
  /** The client, as limits count it. */
  readonly client: string;
  /** What the digest will probably be of. */
  readonly algorithm: DigestAlgorithm;
}

/** A blob on its way in, known by its id from one request to the next. */
export interface Upload {
  /** 32 hex digits that cannot be guessed. */
  readonly id: string;
  readonly repository: Repository;
  /** Bytes that are there to stay: a client goes on behind them. */
  readonly received: number;
  /**
   * Works on the upload alone. A request that is still sending is cut off first: only the same client knows the id, so
   * it has lost that connection and we have not noticed yet.
   * @param body of the request that wants to, by which it is cut off in its turn.
   * @throws Refusal `BLOB_UPLOAD_UNKNOWN` when the upload has ended meanwhile; whatever `work` throws.
   */
  alone(body: RequestBody, work: (taken: TakenUpload) => Promise<void>): Promise<void>;
  /** Cuts off the client that is sending, and forgets everything. Harmless when the upload has ended. */
  cancel(): Promise<void>;
}

/** What one request may do with an upload while it has it alone. */
export interface TakenUpload {
  readonly received: number;
  /** Says what the digest will be of, before the first byte: spares reading everything again. */
  expect(algorithm: DigestAlgorithm): void;
  /** Refuses what is known to be too much before a byte of it is asked for. @throws Refusal 413 or 507 */
  announce(bytes: number): Promise<void>;
  /**
   * Appends a body. When the client hangs up, everything up to then stays and can be continued; any other failure ends
   * the upload.
   * @param exact how many bytes it must have, where the client said so.
   * @throws ClientAborted, Refusal 413, 507 or 400 `SIZE_INVALID`, or what the file system says.
   */
  append(body: RequestBody, exact?: number): Promise<void>;
  /**
   * Ends the upload: checks the content, and adds it to the repository. It resolves when no crash can take the blob
   * away.
   * @throws Refusal `DIGEST_INVALID` when it is something else; then nothing of it is left.
   */
  complete(digest: Digest): Promise<void>;
}

/** How blobs come in. A store that takes none refuses each of these with 405. */
export interface UploadStore {
  /**
   * Adds a blob that other repositories have.
   * @param from repositories that the client may read, of which one must have it; `any`, when it may read all.
   * @returns false when none has it, and for whatever other reason there is: the client then uploads it.
   */
  mount(digest: Digest, to: Repository, from: readonly Repository[] | 'any'): Promise<boolean>;
  /** @throws Refusal 429 when there is no place for another. */
  begin(beginning: UploadBeginning): Promise<Upload>;
  /**
   * @throws Refusal `BLOB_UPLOAD_UNKNOWN` also for an upload of another repository or user: the id alone opens nothing.
   */
  find(id: string, owner: UploadOwner): Promise<Upload>;
}
