import { statfs } from 'node:fs/promises';
import { storageFull } from '../contract/refusal.ts';
import type { Limits } from '../settings/options.ts';

/** After so many bytes the free space is looked at again. */
const CHECK_EVERY = 64 * 1024 * 1024;

/** Bounds what the unfinished uploads of all clients together may take of the disk (reliability S43). */
export class StagingBudget {
  readonly #directory: string;
  readonly #limits: Limits;
  #used = 0;
  #sinceCheck = 0;

  constructor(directory: string, limits: Limits) {
    this.#directory = directory;
    this.#limits = limits;
  }

  /** Before a body is read whose length is known: better to refuse 80 GB now than after 79. @throws Refusal 507 */
  async announce(bytes: number): Promise<void> {
    if (this.#used + bytes > this.#limits.stagingBytes) throw storageFull('too many bytes are in unfinished uploads');
    const { bavail, bsize } = await statfs(this.#directory);
    this.#sinceCheck = 0;
    if (bavail * bsize - bytes < this.#limits.freeBytes) throw storageFull('the disk of the registry is full');
  }

  /** Accounts for bytes that are about to be written. @throws Refusal 507 */
  async take(bytes: number): Promise<void> {
    if (this.#used + bytes > this.#limits.stagingBytes) throw storageFull('too many bytes are in unfinished uploads');
    this.#sinceCheck += bytes;
    if (this.#sinceCheck >= CHECK_EVERY) await this.announce(bytes);
    this.#used += bytes;
  }

  /** Accounts for an upload that was published or dropped. */
  release(bytes: number): void {
    this.#used -= bytes;
  }
}
