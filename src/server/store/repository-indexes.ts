import type { ContentStore } from './content-store.ts';
import { ManifestIndex } from './manifest-index.ts';
import type { RepositoryChange, RepositoryChanges, RepositoryDirectory } from './repository-directory.ts';
import { TagIndex } from './tag-index.ts';

/** Memory for the indexes of all repositories together, in bytes; the one in use may be larger. */
const MEMORY = 128 * 1024 * 1024;

/** What is known of one repository. */
interface RepositoryIndex {
  tags?: TagIndex | undefined;
  manifests?: ManifestIndex | undefined;
}

/**
 * What the directories of repositories say, in memory, so that a page of tags and a deletion take no longer for many
 * tags than for few. All of it is derived and none of it believed blindly: an index is made of what is on the disk when
 * it is first asked for, and again after a restart; each change tells it when the disk has it; a change that fails
 * drops it; it is read anew when the time of a directory is not the one that our last change left, because something
 * else wrote there; and whatever it names is looked at on the disk before anything is refused or deleted for it.
 */
export class RepositoryIndexes implements RepositoryChanges {
  readonly #blobs: ContentStore;
  readonly #memory: number;
  /** By the name of the repository, the one that rested longest first. */
  readonly #known = new Map<string, RepositoryIndex>();

  constructor(blobs: ContentStore, memory = MEMORY) {
    this.#blobs = blobs;
    this.#memory = memory;
  }

  async changed(repository: RepositoryDirectory, change: RepositoryChange): Promise<void> {
    const index = this.#known.get(repository.name.text);
    if (index === undefined) return;
    apply(change, index);
    if (index.tags !== undefined) index.tags.stamp = await repository.stamp('_tags');
    if (index.manifests !== undefined) index.manifests.stamp = await repository.stamp('_manifests');
  }

  failed({ name }: RepositoryDirectory): void {
    this.#known.delete(name.text);
  }

  /** The tags, when they are known and the directory is as it was left: they need no lock. */
  async currentTags(directory: RepositoryDirectory): Promise<TagIndex | undefined> {
    const tags = this.#known.get(directory.name.text)?.tags;
    return tags !== undefined && tags.stamp === (await directory.stamp('_tags')) ? tags : undefined;
  }

  /** The tags, read if they must be. Only while no change is at work. */
  async tags(directory: RepositoryDirectory): Promise<TagIndex> {
    const index = this.#used(directory);
    index.tags = (await this.currentTags(directory)) ?? (await TagIndex.read(directory));
    this.#makeRoom();
    return index.tags;
  }

  /** The manifests, read if they must be. Only while no change is at work. */
  async manifests(directory: RepositoryDirectory): Promise<ManifestIndex> {
    const index = this.#used(directory);
    const known = index.manifests;
    const fits = known?.isWorn === false && known.stamp === (await directory.stamp('_manifests'));
    const manifests = fits ? known : await ManifestIndex.read(directory, this.#blobs);
    index.manifests = manifests;
    this.#makeRoom();
    return manifests;
  }

  #used({ name }: RepositoryDirectory): RepositoryIndex {
    const index = this.#known.get(name.text) ?? {};
    this.#known.delete(name.text);
    this.#known.set(name.text, index);
    return index;
  }

  #makeRoom(): void {
    let taken = 0;
    for (const { tags, manifests } of this.#known.values())
      taken += 1_000 + (tags?.bytes ?? 0) + (manifests?.bytes ?? 0);
    for (const [repository, { tags, manifests }] of this.#known) {
      if (taken <= this.#memory || this.#known.size === 1) return;
      this.#known.delete(repository);
      taken -= 1_000 + (tags?.bytes ?? 0) + (manifests?.bytes ?? 0);
    }
  }
}

function apply(change: RepositoryChange, { tags, manifests }: RepositoryIndex): void {
  switch (change.kind) {
    case 'tag-set':
      tags?.set(change.tag.text, change.digest.toString());
      return;
    case 'tags-removed':
      tags?.remove(change.tags.map(String));
      return;
    case 'manifest-linked':
      manifests?.add(change.digest, change.link, change.links);
      return;
    case 'manifest-unlinked':
      manifests?.remove(change.digest);
      return;
  }
}
