import { type FileHandle, open, readFile, unlink } from 'node:fs/promises';
import path from 'node:path';
import { Digest } from '../../names/digest.ts';
import { statIfThere } from '../../fs/stats.ts';
import { ignoreMissing } from '../../fs/disk-error.ts';
import { listNames } from '../../fs/entry-names.ts';
import type { Content } from '../contract/content.ts';
import type { DataDirectory } from './data-directory.ts';

/**
 * Content by digest, stored once however many repositories link to it. It knows nothing of access: which client may see
 * a blob is decided by the link in a repository alone (reliability S44).
 */
export class ContentStore {
  readonly #directory: DataDirectory;

  constructor(directory: DataDirectory) {
    this.#directory = directory;
  }

  /** Bytes of the content, or undefined when it is not here. */
  async size(digest: Digest): Promise<number | undefined> {
    const found = await statIfThere(this.#directory.blob(digest));
    return found?.isFile() === true ? found.size : undefined;
  }

  /**
   * An open file: reading goes on from it even when the content is deleted meanwhile (reliability S52). The caller
   * closes it.
   */
  async open(digest: Digest): Promise<Content | undefined> {
    return openFile(this.#directory.blob(digest));
  }

  /** The whole content; for manifests, whose size was limited when they came. */
  async read(digest: Digest): Promise<Buffer | undefined> {
    return readFile(this.#directory.blob(digest)).catch(ignoreMissing);
  }

  /**
   * Publishes a staged file whose bytes were fsynced and **have been verified** to hash to `digest`. It replaces the
   * same content that may be here already: that repairs a file damaged by the disk, and makes the blob young for
   * garbage collection.
   */
  async adopt(staged: string, digest: Digest): Promise<void> {
    await this.#directory.publish(staged, this.#directory.blob(digest));
  }

  /** Publishes a small document that the caller has hashed. */
  async write(digest: Digest, bytes: Uint8Array): Promise<void> {
    await this.#directory.write(this.#directory.blob(digest), bytes);
  }

  /**
   * Everything stored, in no particular order, with its size in bytes and the time of its last (re-)push in epoch
   * milliseconds.
   */
  async *entries(): AsyncGenerator<{ digest: Digest; size: number; pushedAt: number }> {
    for (const algorithm of await listNames(this.#directory.blobs)) {
      for (const prefix of await listNames(path.join(this.#directory.blobs, algorithm))) {
        for (const hex of await listNames(path.join(this.#directory.blobs, algorithm, prefix))) {
          const digest = Digest.tryParse(`${algorithm}:${hex}`);
          if (digest === undefined) continue;
          const found = await statIfThere(this.#directory.blob(digest));
          if (found?.isFile() === true) yield { digest, size: found.size, pushedAt: found.mtimeMs };
        }
      }
    }
  }

  /** Forgets content that nothing links to. */
  async remove(digest: Digest): Promise<void> {
    await unlink(this.#directory.blob(digest)).catch(ignoreMissing);
  }
}

/** A file as it is, also when it is deleted meanwhile; undefined for none. The caller closes. */
export async function openFile(name: string): Promise<Content | undefined> {
  const file = await open(name, 'r').catch(ignoreMissing);
  return file === undefined ? undefined : contentOf(file);
}

/** Its length is that of the open file, whatever happens to the name (reliability S51, S52). */
async function contentOf(file: FileHandle): Promise<Content> {
  try {
    const { size } = await file.stat();
    return {
      size,
      read: async (buffer, position) => (await file.read(buffer, 0, buffer.length, position)).bytesRead,
      close: async () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}
