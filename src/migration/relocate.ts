import path from 'node:path';
import { onDisk } from '../fs/disk-error.ts';
import { moveEntry } from '../fs/entry.ts';
import { makeDirectoryTree } from '../fs/directory-tree.ts';
import { fsyncDirectory } from '../fs/fsync.ts';
import { exchangeDirectories, publishDirectory, removeDirectory } from '../fs/publish.ts';
import { exists, linkText } from '../fs/stats.ts';
import { removeLink, replaceLink } from '../home/link.ts';
import { removeIfEmpty } from './empty-host.ts';
import { kindOf } from '../fs/stats.ts';
import { whileHeld } from '../home/images/image-lock.ts';
import { carryOver } from '../home/images/image-mark.ts';
import { logKept } from './log.ts';
import { carryMark, unprotect } from '../home/images/explicit-mark.ts';
import { writeRecord } from './record.ts';
import type { LinkMove, Relocation, StepHook } from './step.ts';
import type { MigrationStore } from './store.ts';
import { quarantine } from '../home/quarantine.ts';
import { VmFile } from '../home/vm-directory.ts';
import { areSameDirectory, chooseDuplicate } from './duplicate.ts';

/** A directory that was quarantined, since no command may delete it: an image whose place another of its digest has. */
export interface Kept {
  readonly image: string;
  /** Where it is now. */
  readonly at: string;
}

/** Moves images to their places with all that leads to them, each under the lock of its digest. */
export class Relocator {
  readonly kept: Kept[] = [];
  readonly #store: MigrationStore;
  readonly #step: StepHook;

  constructor(store: MigrationStore, step: StepHook) {
    this.#store = store;
    this.#step = step;
  }

  /** Writes into an image where it belongs, before anything else could forget it. */
  async record({ image, record }: Relocation): Promise<void> {
    if (record === undefined || (await kindOf(image.path)) !== 'directory') return;
    await this.#step(`record ${image.path}`);
    await writeRecord(image, record, this.#store);
  }

  /**
   * New symlinks first, which find nothing yet; then the directory; then the old symlinks go. Until the directory moves
   * the old names work, and from then on the new.
   * @returns false when another process uses the image.
   */
  async relocate(relocation: Relocation): Promise<boolean> {
    const { image, to, links, superseded } = relocation;
    const { images, signal } = this.#store;
    const moved = await whileHeld(
      images,
      image.digest,
      { mode: 'exclusive', wait: false, signal },
      async () => kindOf(image.path),
      async (kind) => {
        if (kind !== 'directory') return 'gone'; // By another command, or by hand.
        await this.#relocateHeld(relocation);
        return 'moved';
      },
    );
    if (moved !== 'moved') return moved === 'gone';
    const left = [
      ...(to === undefined ? [] : [image.path]),
      ...[...links, ...superseded.map((link) => ({ link }))].map(({ link }) => link.path),
    ];
    for (const each of left) await this.#tidy(path.dirname(each));
    return true;
  }

  async #relocateHeld(relocation: Relocation): Promise<void> {
    const { image, to, links, superseded, isLinked } = relocation;
    const written: LinkMove[] = [];
    for (const move of links) if (await this.#writeLink(move)) written.push(move);
    if (to !== undefined && !(await areSameDirectory(image.path, to.path)))
      await this.#moveDirectory(relocation, to.path);
    for (const { link, to: place } of written) if (place !== link.path) await this.#dropLink(link, path.dirname(place));
    for (const link of superseded) await this.#dropLink(link);
    if (isLinked && written.length === links.length) {
      await this.#step(`unprotect ${image.path}`);
      await unprotect(to?.path ?? image.path);
    }
  }

  /**
   * A symlink that says something else than when we looked is newer than the plan, and so is one that came to the new
   * place and leads somewhere.
   * @returns false for those: the next look decides.
   */
  async #writeLink({ link, to, text }: LinkMove): Promise<boolean> {
    if (linkText(link.path) !== link.text) return false;
    const there = linkText(to);
    if (there === text) return true;
    const isTaken = to !== link.path && there !== undefined && (await exists(path.resolve(path.dirname(to), there)));
    if (isTaken) return false;
    await this.#step(`symlink ${to}`);
    await makeDirectoryTree(path.dirname(to));
    await replaceLink(to, text, this.#store.home);
    return true;
  }

  /** @param newDirectory where its successor lies: on a file system that ignores case it may have the very place. */
  async #dropLink(link: { path: string; text: string }, newDirectory?: string): Promise<void> {
    if (newDirectory !== undefined && (await areSameDirectory(path.dirname(link.path), newDirectory))) return;
    await this.#step(`unlink ${link.path}`);
    await removeLink(link.path, link.text, this.#store.home.stagingDirectory);
  }

  async #moveDirectory({ image }: Relocation, to: string): Promise<void> {
    const move = async (): Promise<void> => {
      const there = await kindOf(to);
      if (there === 'directory') return this.#meetDuplicate(image.path, to);
      if (there !== 'nothing') return; // Came meanwhile: the next look finds the collision.
      await this.#step(`move ${image.path}`);
      await publishDirectory(image.path, to, this.#store.home.root);
    };
    // What refers to the content store moves under the store's lock, or a collection looks past it.
    if (image.layout === 'stacked-cached') await this.#store.contents.change(this.#store.signal, move);
    else await move();
  }

  async #meetDuplicate(arriving: string, there: string): Promise<void> {
    const { home, now } = this.#store;
    const choice = await chooseDuplicate(arriving, there);
    await this.#step(`${choice} ${arriving}`);
    if (choice === 'replace') {
      await carryMark(there, arriving);
      await carryOver(there, arriving, 'pinned');
      await exchangeDirectories(arriving, there, home.root);
    } else {
      await carryMark(arriving, there);
      await carryOver(arriving, there, 'pinned');
    }
    await this.#step(`clear ${arriving}`);
    if (choice === 'drop') {
      await removeDirectory(arriving, home.stagingDirectory, VmFile.config);
      return;
    }
    const message = `it should lie at ${there}, where another directory of its digest is that may not be the same`;
    const at = await quarantine(home, { id: 'migration-duplicate', path: arriving, message }, [], now());
    this.kept.push({ image: arriving, at });
    await logKept(home, arriving, at, now());
  }

  /** Removes directories that the move left empty, up to the registry's. */
  async #tidy(directory: string): Promise<void> {
    const { imagesDirectory } = this.#store.home;
    for (let each = directory; each.startsWith(`${imagesDirectory}/`); each = path.dirname(each)) {
      await this.#step(`tidy ${each}`);
      if (!(await removeIfEmpty(each))) return;
    }
  }
}

/**
 * Renames a registry's directory whose new name differs in case only, where the file system has one directory for both.
 */
export async function recase(from: string, to: string): Promise<void> {
  if (from === to || !(await areSameDirectory(from, to))) return;
  await onDisk('rename', from, async () => moveEntry(from, to));
  await fsyncDirectory(path.dirname(to));
}
