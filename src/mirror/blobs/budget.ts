import { rm } from 'node:fs/promises';
import { freeBytes } from '../../fs/space.ts';

/** A file on the disk that counts: a stored blob, or the spool of one. */
export interface HeldFile {
  readonly kind: 'blob' | 'spool';
  readonly path: string;
  /** What it has or, while it is being written, will have. */
  readonly bytes: number;
}

interface Counted {
  readonly kind: 'blob' | 'spool';
  readonly path: string;
  bytes: number;
  /** Open for so many; only what nothing has open is removed, because nothing else gives room. */
  users: number;
  /** Its name is gone, or another file has it. */
  isForgotten: boolean;
}

/** How much the cache may take of the disk, in bytes. */
export interface BudgetLimits {
  /** For blobs and spools together. One blob more may be here for a while, or else the largest could never be. */
  readonly budgetBytes: number;
  /** What stays free on the file system. */
  readonly freeBytes: number;
}

/**
 * What the cache has on the disk, in the order of its last use: what was not used for the longest time makes room. A
 * file that is open is never removed, so no stream breaks, and bytes count until the last one closes. It mirrors the
 * directory, which it was read from, and is never written anywhere.
 */
export class CacheBudget {
  readonly #root: string;
  readonly #limits: BudgetLimits;
  /** By path; the longest unused first. */
  readonly #files = new Map<string, Counted>();
  #bytes = 0;
  #blobs = 0;
  #evicted = 0;

  /** @param root a directory of the file system whose free bytes are looked at. */
  constructor(root: string, limits: BudgetLimits) {
    this.#root = root;
    this.#limits = limits;
  }

  /** Bytes of everything that counts. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many blobs are stored. */
  get blobs(): number {
    return this.#blobs;
  }

  get evicted(): number {
    return this.#evicted;
  }

  /** Counts a file as the one used last. */
  add(kind: 'blob' | 'spool', path: string, bytes: number): HeldFile {
    const file = { kind, path, bytes, users: 0, isForgotten: false };
    this.#files.set(path, file);
    this.#bytes += bytes;
    if (kind === 'blob') this.#blobs += 1;
    return file;
  }

  get(path: string): HeldFile | undefined {
    return this.#files.get(path);
  }

  /** It is open once more, and the one used last. */
  use(held: HeldFile): void {
    const file = counted(held);
    file.users += 1;
    if (file.isForgotten) return;
    this.#files.delete(file.path);
    this.#files.set(file.path, file);
  }

  /** It was closed once. */
  rest(held: HeldFile): void {
    const file = counted(held);
    file.users -= 1;
    if (file.isForgotten && file.users === 0) this.#bytes -= file.bytes;
  }

  /** Its name has gone; its bytes count until it is open no more. */
  forget(held: HeldFile): void {
    const file = counted(held);
    if (file.isForgotten) return;
    file.isForgotten = true;
    this.#files.delete(file.path);
    if (file.kind === 'blob') this.#blobs -= 1;
    if (file.users === 0) this.#bytes -= file.bytes;
  }

  /** Removes it, unless another file has its name meanwhile. @throws the system's own error, when it is forgotten. */
  async remove(held: HeldFile): Promise<void> {
    if (this.#files.get(held.path) !== held) return;
    this.forget(held);
    await rm(held.path, { force: true });
  }

  /** It has another length now. */
  resize(held: HeldFile, bytes: number): void {
    const file = counted(held);
    this.#bytes += bytes - file.bytes;
    file.bytes = bytes;
  }

  /**
   * Makes room for a file that is in use to grow to so many bytes, and counts them from now on.
   * @returns false when there is no room, because of what is open, or of the disk: nothing is removed for that then.
   */
  async reserve(file: HeldFile, bytes: number): Promise<boolean> {
    const { budgetBytes } = this.#limits;
    const before = file.bytes;
    // An upstream may say any size: one that can never be must not cost what others have here.
    if (!(await this.#canBeFree(bytes - before))) return false;
    while (this.#bytes + bytes - before > budgetBytes) {
      if (await this.#evictOne()) continue;
      // One blob may be more than there is room for, not two.
      if (this.#bytes - before < budgetBytes) break;
      return false;
    }
    this.resize(file, bytes);
    if (await this.isFree(bytes - before)) return true;
    this.resize(file, before);
    return false;
  }

  /** Whether so many bytes can be written without taking what has to stay free; makes room for them. */
  async isFree(bytes: number): Promise<boolean> {
    if (!(await this.#canBeFree(bytes))) return false;
    while ((await freeBytes(this.#root)) - bytes < this.#limits.freeBytes) {
      if (!(await this.#evictOne())) return false;
    }
    return true;
  }

  /** Makes room for what is here already: the budget may have been larger before. */
  async shrink(): Promise<void> {
    while (this.#bytes > this.#limits.budgetBytes) {
      if (!(await this.#evictOne())) return;
    }
  }

  /** Whether so many bytes could be written, if all that is not in use were gone. */
  async #canBeFree(bytes: number): Promise<boolean> {
    const unused = [...this.#files.values()].reduce((sum, file) => sum + (file.users > 0 ? 0 : file.bytes), 0);
    return (await freeBytes(this.#root)) + unused - bytes >= this.#limits.freeBytes;
  }

  /** @returns false when everything is in use. */
  async #evictOne(): Promise<boolean> {
    for (const file of this.#files.values()) {
      if (file.users > 0) continue;
      this.#evicted += 1;
      await this.remove(file);
      return true;
    }
    return false;
  }
}

/** Every {@link HeldFile} was made here. */
function counted(file: HeldFile): Counted {
  return file as Counted;
}
