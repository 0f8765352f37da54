import type { PeerRegister } from '../server/contract/peer-register.ts';

/** A host says it again each minute; one that has not for so long, in milliseconds, is gone. */
const GONE_MS = 3 * 60_000;

/** Ports of one client: several users of a host may each have a peer. */
const PER_CLIENT = 4;

/** Hosts that are kept; those that were heard of first make room. */
const MOST = 1_000;

/** As many as a pull asks. */
const LISTED = 32;

/** The hosts that said lately that they answer peers, in memory. */
export class KnownPeers implements PeerRegister {
  readonly #now: () => number;
  readonly #random: () => number;
  /** By address and port, the one that was heard of last at the end. */
  readonly #known = new Map<string, { readonly client: string; readonly at: number }>();

  /** @param random uniform in [0, 1): each pull is told of others, so that no host is asked by all. */
  constructor(now: () => number, random: () => number) {
    this.#now = now;
    this.#random = random;
  }

  announce(client: string, address: string, port: number): void {
    this.#forget();
    const key = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
    this.#known.delete(key);
    const own = [...this.#known].filter(([, peer]) => peer.client === client);
    for (const [oldest] of own.slice(0, Math.max(0, own.length - PER_CLIENT + 1))) this.#known.delete(oldest);
    this.#known.set(key, { client, at: this.#now() });
    const [first] = this.#known.keys();
    if (this.#known.size > MOST && first !== undefined) this.#known.delete(first);
  }

  list(): readonly string[] {
    this.#forget();
    const drawn = [...this.#known.keys()].map((key) => [this.#random(), key] as const);
    return drawn
      .sort(([one], [other]) => one - other)
      .slice(0, LISTED)
      .map(([, key]) => key);
  }

  #forget(): void {
    const earliest = this.#now() - GONE_MS;
    for (const [key, { at }] of this.#known) if (at < earliest) this.#known.delete(key);
  }
}
