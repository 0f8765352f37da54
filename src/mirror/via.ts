import { randomBytes } from 'node:crypto';
import { Refusal } from '../server/contract/refusal.ts';

/** Caches that one request may have come through. */
const MOST_CACHES = 5;

/**
 * Notices a cache that is its own upstream, directly or by way of others: each names itself in the `Via` header of what
 * it asks (RFC 9110 §7.6.3), and does not answer what names it. Else the first such request would wait for itself.
 */
export class ViaLoop {
  readonly #name = `tartlet-${randomBytes(8).toString('hex')}`;

  /**
   * @param via of a request that has come.
   * @returns that of the requests that are made for it. Of other proxies nothing is passed on.
   * @throws Refusal 508
   */
  onward(via: string | undefined): string {
    const caches: readonly string[] = via?.match(/\btartlet-[0-9a-f]{16}\b/g) ?? [];
    if (caches.includes(this.#name)) throw new Refusal(508, 'UNSUPPORTED', 'this cache is its own upstream');
    if (caches.length >= MOST_CACHES) throw new Refusal(508, 'UNSUPPORTED', 'this came through too many caches');
    return [...caches, this.#name].map((name) => `1.1 ${name}`).join(', ');
  }
}
