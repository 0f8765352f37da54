import type { Digest } from '../../names/digest.ts';

/** No entry, in the arrays below. */
const NONE = -1;
const FIRST_CAPACITY = 1024;

/**
 * Which manifests may link to a digest, by 32 bits of it: a manifest of a large image has thousands of links, and their
 * texts would take ten times the memory. So what it tells are candidates, of which the bytes of the manifest decide;
 * it leaves none out. 16 to 32 bytes per link.
 */
export class LinkTable {
  /** The newest entry of each bucket, by the lowest bits of the key. */
  #heads = new Int32Array(FIRST_CAPACITY).fill(NONE);
  #keys = new Uint32Array(FIRST_CAPACITY);
  #owners = new Uint32Array(FIRST_CAPACITY);
  /** The entry of the same bucket that came before. */
  #before = new Int32Array(FIRST_CAPACITY);
  #size = 0;

  /** How many links it holds. */
  get size(): number {
    return this.#size;
  }

  /**
   * @param owner number of the manifest, from 0.
   * @param links digests as texts, each once.
   */
  add(owner: number, links: Iterable<string>): void {
    for (const link of links) {
      if (this.#size === this.#keys.length) this.#grow();
      this.#keys[this.#size] = keyOf(link);
      this.#owners[this.#size] = owner;
      this.#enter(this.#size);
      this.#size += 1;
    }
  }

  /** The numbers of the manifests that may link to it, the newest first. */
  *candidates(digest: Digest): Generator<number> {
    const key = keyOf(digest.toString());
    for (let at = this.#heads[this.#bucket(key)] ?? NONE; at !== NONE; at = this.#before[at] ?? NONE) {
      if (this.#keys[at] === key) yield this.#owners[at] ?? 0;
    }
  }

  #bucket(key: number): number {
    return key & (this.#heads.length - 1);
  }

  #enter(at: number): void {
    const bucket = this.#bucket(this.#keys[at] ?? 0);
    this.#before[at] = this.#heads[bucket] ?? NONE;
    this.#heads[bucket] = at;
  }

  #grow(): void {
    const capacity = 2 * this.#keys.length;
    const { keys, owners } = { keys: new Uint32Array(capacity), owners: new Uint32Array(capacity) };
    keys.set(this.#keys);
    owners.set(this.#owners);
    this.#keys = keys;
    this.#owners = owners;
    this.#before = new Int32Array(capacity);
    this.#heads = new Int32Array(capacity).fill(NONE);
    for (let at = 0; at < this.#size; at += 1) this.#enter(at);
  }
}

/** Digits of a hash are evenly spread. What is no digest gets a key like any other: nothing asks for it. */
function keyOf(digest: string): number {
  return Number.parseInt(digest.slice(digest.indexOf(':') + 1, digest.indexOf(':') + 9), 16) >>> 0;
}
