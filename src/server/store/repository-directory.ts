import { open, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { parseRecord } from '../../json/record.ts';
import { exactStatIfThere, statIfThere } from '../../fs/stats.ts';
import { ignoreMissing } from '../../fs/disk-error.ts';
import { listNames } from '../../fs/entry-names.ts';
import { Digest } from '../../names/digest.ts';
import type { DataDirectory } from './data-directory.ts';
import type { Repository } from '../../names/repository.ts';
import type { Tag } from '../../names/tag.ts';
import { tagFileName, tagOfFileName } from './tag-file.ts';

const TOUCH_AFTER_MS = 10 * 60_000;

/** What a repository remembers of a manifest beside its bytes. */
export interface ManifestLink {
  /** As pushed; answers carry it as `Content-Type`. */
  readonly mediaType: string;
  /** The manifest this one refers to, so that deleting can undo that. */
  readonly subject: Digest | undefined;
}

/** A change to the tags or the manifests of a repository, which the disk has. */
export type RepositoryChange =
  | { readonly kind: 'tag-set'; readonly tag: Tag; readonly digest: Digest }
  | { readonly kind: 'tags-removed'; readonly tags: readonly Tag[] }
  | {
      readonly kind: 'manifest-linked';
      readonly digest: Digest;
      readonly link: ManifestLink;
      /** Digests as texts that the manifest links to, each once. */
      readonly links: Iterable<string>;
    }
  | { readonly kind: 'manifest-unlinked'; readonly digest: Digest };

/** What is told of each change, before another begins. */
export interface RepositoryChanges {
  changed(repository: RepositoryDirectory, change: RepositoryChange): Promise<void>;
  /** A change failed: what the disk has now is not known. */
  failed(repository: RepositoryDirectory): void;
}

/**
 * One repository: links to content that other repositories may share, tags, and who refers to whom. Membership here is
 * the only thing that lets a client see a blob (reliability S44), and unlinking takes it away at once.
 */
export class RepositoryDirectory {
  readonly name: Repository;
  readonly #directory: DataDirectory;
  readonly #changes: RepositoryChanges;
  readonly #path: string;

  constructor(directory: DataDirectory, name: Repository, changes: RepositoryChanges) {
    this.name = name;
    this.#directory = directory;
    this.#changes = changes;
    this.#path = directory.repository(name);
  }

  /** Whether anything was ever stored in it. */
  async exists(): Promise<boolean> {
    for (const part of ['_blobs', '_manifests', '_tags']) {
      if ((await statIfThere(path.join(this.#path, part))) !== undefined) return true;
    }
    return false;
  }

  async hasBlob(digest: Digest): Promise<boolean> {
    return (await statIfThere(this.#link('_blobs', digest))) !== undefined;
  }

  /** Links a blob, or makes an old link young. */
  async linkBlob(digest: Digest): Promise<void> {
    await this.#directory.write(this.#link('_blobs', digest), '');
  }

  /**
   * Makes a link young that was old at `now` (epoch milliseconds of the file system): a client that heard "I have this
   * blob" will not upload it, so garbage collection must give it time for its manifest. Young links are left alone, so
   * that reading hardly ever writes.
   *
   * @returns false when this repository does not have the blob.
   */
  async touchBlob(digest: Digest, now: number): Promise<boolean> {
    const link = this.#link('_blobs', digest);
    const found = await statIfThere(link);
    if (found === undefined) return false;
    // Also when it seems to be from the future: then a clock was changed.
    if (Math.abs(now - found.mtimeMs) > TOUCH_AFTER_MS) await touch(link);
    return true;
  }

  /** @returns whether it was linked. */
  async unlinkBlob(digest: Digest): Promise<boolean> {
    return this.#directory.remove(this.#link('_blobs', digest));
  }

  /** Linked blobs with the time each link was last needed by a push, in epoch milliseconds. */
  async blobs(): Promise<{ digest: Digest; linkedAt: number }[]> {
    const links = [];
    for (const digest of await this.#digests('_blobs')) {
      const found = await statIfThere(this.#link('_blobs', digest));
      if (found !== undefined) links.push({ digest, linkedAt: found.mtimeMs });
    }
    return links;
  }

  async manifest(digest: Digest): Promise<ManifestLink | undefined> {
    const text = await readFile(this.#link('_manifests', digest), 'utf8').catch(ignoreMissing);
    return text === undefined ? undefined : parseManifestLink(text);
  }

  /** @param links digests as texts that the manifest links to, each once. */
  async linkManifest(digest: Digest, link: ManifestLink, links: Iterable<string>): Promise<void> {
    const written = this.#directory.write(this.#link('_manifests', digest), JSON.stringify(link));
    await this.#changing(written, { kind: 'manifest-linked', digest, link, links });
  }

  /** @returns whether it was linked. */
  async unlinkManifest(digest: Digest): Promise<boolean> {
    const removed = this.#directory.remove(this.#link('_manifests', digest));
    return this.#changing(removed, { kind: 'manifest-unlinked', digest });
  }

  async manifests(): Promise<Digest[]> {
    return this.#digests('_manifests');
  }

  async resolve(tag: Tag): Promise<Digest | undefined> {
    const text = await readFile(this.#tag(tag), 'utf8').catch(ignoreMissing);
    return text === undefined ? undefined : Digest.tryParse(text.trim());
  }

  /** Moves or makes a tag, atomically: a reader sees the old digest or the new one. */
  async setTag(tag: Tag, digest: Digest): Promise<void> {
    await this.#changing(this.#directory.write(this.#tag(tag), digest.toString()), { kind: 'tag-set', tag, digest });
  }

  /** @returns how many of these tags there were. */
  async removeTags(tags: readonly Tag[]): Promise<number> {
    const removed = this.#directory.removeAll(tags.map((tag) => this.#tag(tag)));
    return this.#changing(removed, { kind: 'tags-removed', tags });
  }

  /** In the byte order of their texts, as the spec lists them. */
  async tags(): Promise<Tag[]> {
    const tags = (await listNames(path.join(this.#path, '_tags'))).flatMap((name) => tagOfFileName(name) ?? []);
    return tags.sort((one, other) => (one.text < other.text ? -1 : 1));
  }

  /**
   * Remembers that a manifest refers to `subject`, which need not be here (distribution spec § pushing manifests with
   * subject).
   */
  async addReferrer(subject: Digest, referrer: Digest, descriptor: unknown): Promise<void> {
    await this.#directory.write(this.#referrer(subject, referrer), JSON.stringify(descriptor));
  }

  async removeReferrer(subject: Digest, referrer: Digest): Promise<void> {
    await this.#directory.remove(this.#referrer(subject, referrer));
  }

  /** Names of the referrers of a subject in a stable order, to be read one by one with {@link referrer}. */
  async referrers(subject: Digest): Promise<Digest[]> {
    const names = await listNames(path.dirname(this.#referrer(subject, subject)));
    return names.flatMap((name) => Digest.tryParse(name.replace('-', ':')) ?? []);
  }

  /** How much {@link referrer} is going to read, in bytes; 0 when there is no such one. */
  async referrerSize(subject: Digest, referrer: Digest): Promise<number> {
    return (await statIfThere(this.#referrer(subject, referrer)))?.size ?? 0;
  }

  /** The descriptor, as JSON text. */
  async referrer(subject: Digest, referrer: Digest): Promise<string | undefined> {
    return readFile(this.#referrer(subject, referrer), 'utf8').catch(ignoreMissing);
  }

  /** Another text than before when names were added to what `part` holds, replaced in it or removed from it. */
  async stamp(part: '_tags' | '_manifests'): Promise<string> {
    const top = path.join(this.#path, part);
    const below = part === '_tags' ? [] : await listNames(top);
    const times = [];
    for (const directory of [top, ...below.map((name) => path.join(top, name))]) {
      const found = await exactStatIfThere(directory);
      times.push(found === undefined ? 'none' : `${found.ino}:${found.mtimeNs}`);
    }
    return times.join(' ');
  }

  async #changing<T>(changing: Promise<T>, change: RepositoryChange): Promise<T> {
    try {
      const result = await changing;
      await this.#changes.changed(this, change);
      return result;
    } catch (error) {
      this.#changes.failed(this);
      throw error;
    }
  }

  #link(kind: '_blobs' | '_manifests', digest: Digest): string {
    return path.join(this.#path, kind, digest.algorithm, digest.hex);
  }

  #tag(tag: Tag): string {
    return path.join(this.#path, '_tags', tagFileName(tag));
  }

  #referrer(subject: Digest, referrer: Digest): string {
    const name = `${referrer.algorithm}-${referrer.hex}`;
    return path.join(this.#path, '_referrers', subject.algorithm, subject.hex, name);
  }

  async #digests(kind: '_blobs' | '_manifests'): Promise<Digest[]> {
    const digests = [];
    for (const algorithm of await listNames(path.join(this.#path, kind))) {
      for (const hex of await listNames(path.join(this.#path, kind, algorithm))) {
        const digest = Digest.tryParse(`${algorithm}:${hex}`);
        if (digest !== undefined) digests.push(digest);
      }
    }
    return digests;
  }
}

/** By writing, so that the file system says when it was; a link that was deleted meanwhile stays so. */
async function touch(link: string): Promise<void> {
  const file = await open(link, 'r+').catch(ignoreMissing);
  if (file === undefined) return;
  try {
    await file.write('.');
    await file.truncate(0);
  } finally {
    await file.close();
  }
}

const manifestLink = v.object({ mediaType: v.string(), subject: v.optional(v.string()) });

function parseManifestLink(text: string): ManifestLink | undefined {
  const link = parseRecord(manifestLink, text);
  if (link === undefined) return undefined;
  return { mediaType: link.mediaType, subject: link.subject === undefined ? undefined : Digest.tryParse(link.subject) };
}
