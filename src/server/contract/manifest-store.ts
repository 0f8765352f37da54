import type { Digest } from '../../names/digest.ts';
import type { Repository } from '../../names/repository.ts';
import type { Tag } from '../../names/tag.ts';
import type { Content } from './content.ts';

/** A manifest to be sent, in the type and the bytes it was pushed with. */
export interface StoredManifest {
  /** The `Content-Type` of the answer. */
  readonly mediaType: string;
  /** Of a known size. The caller closes. */
  readonly content: Content;
}

/** A manifest that a client has sent, whole. */
export interface ArrivedManifest {
  readonly bytes: Buffer;
  /** The header that came with it. */
  readonly contentType: string | undefined;
  /** What it must hash to, where the client says so. */
  readonly expected: Digest | undefined;
  /** Moved to it, or made, when everything else is done. */
  readonly tags: readonly Tag[];
}

/** What a manifest became that was taken. */
export interface TakenManifest {
  readonly digest: Digest;
  /** The manifest it refers to, which need not be here. */
  readonly subject: Digest | undefined;
}

/** An entry in the list of what refers to a manifest. */
export interface Referrer {
  readonly digest: Digest;
  /** Bytes of memory that its descriptor takes, known before it is read. */
  readonly size: number;
  /** The descriptor, as JSON text; undefined when it has gone meanwhile. */
  read(): Promise<string | undefined>;
}

/** The manifests of repositories, by their digests; by tags, see `TagStore`. */
export interface ManifestStore {
  /**
   * @returns undefined when the repository does not have it.
   * @throws Refusal when the store cannot tell.
   */
  open(repository: Repository, digest: Digest): Promise<StoredManifest | undefined>;
  /**
   * Takes a manifest, of which everything that it links to must be in the repository: so a tag never names an
   * incomplete image (reliability I1, I11). It resolves when no crash can take the manifest or its tags away; a tag
   * names the old manifest or the new one.
   * @throws Refusal `DIGEST_INVALID`, `MANIFEST_INVALID`, `MANIFEST_BLOB_UNKNOWN`; 405 when nothing is pushed here.
   */
  put(repository: Repository, arrived: ArrivedManifest): Promise<TakenManifest>;
  /**
   * Deletes a manifest with all tags that name it.
   * @returns false when the repository did not have it.
   * @throws Refusal 409 when something needs it that stays, 405 when nothing is deleted here.
   */
  delete(repository: Repository, digest: Digest): Promise<boolean>;
  /**
   * What refers to `subject`, which need not be here: sorted by the texts of the digests, of which only those behind
   * `after`.
   */
  referrers(repository: Repository, subject: Digest, after: string): AsyncIterable<Referrer>;
}
