import type { Digest } from '../../names/digest.ts';
import type { Repository } from '../../names/repository.ts';
import type { Content } from './content.ts';

/**
 * The blobs of repositories. A blob is there only for the repositories that have it, whichever others do (reliability
 * S44). Access is decided before a store is asked.
 */
export interface BlobStore {
  /**
   * Opens a blob for one answer; what was opened is sent to its end, also when it is deleted meanwhile (reliability
   * S52).
   * @returns undefined when the repository does not have it. The caller closes.
   * @throws Refusal when the store cannot tell, with what the client is to hear.
   */
  open(repository: Repository, digest: Digest): Promise<Content | undefined>;
  /**
   * Takes a blob from a repository, at once and so that a crash does not bring it back.
   * @returns false when the repository did not have it.
   * @throws Refusal 409 when something needs it that stays, 405 when nothing is deleted here.
   */
  delete(repository: Repository, digest: Digest): Promise<boolean>;
}
