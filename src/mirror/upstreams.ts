import { TartletError } from '../errors.ts';
import { classOfAddress, isLoopbackHost, parseIpAddress } from '../names/ip-address.ts';
import { RegistryAddress } from '../names/registry-address.ts';
import type { Repository } from '../names/repository.ts';
import { Refusal } from '../server/contract/refusal.ts';
import { parsePlace, type UpstreamPlace } from './upstream-name.ts';

/** A registry that the cache may fetch from. */
export interface Upstream {
  readonly address: RegistryAddress;
  /** Spoken to by plain HTTP, because the operator says so. */
  readonly insecure: boolean;
  /** No operator has named it: it has to be at a public address. */
  readonly onlyPublic: boolean;
}

/** Where a request leads to. */
export interface UpstreamRepository {
  readonly upstream: Upstream;
  readonly repository: Repository;
}

/** Which upstreams a cache fetches from. */
export type UpstreamChoice =
  /** The mirror of one registry: `/v2/org/image` is its `org/image`. */
  | { readonly mirrorOf: string }
  /**
   * Several registries, which the address names: `/v2/ghcr.io/org/image`, or `/v2/org/image?ns=ghcr.io`. Each is a
   * host or `host:port`, with `http://` before it where it speaks plain HTTP; `*` stands for all at public addresses.
   */
  | { readonly allowed: readonly string[] };

/**
 * Which upstream a request means, and whether it may: the only place that decides where the cache connects to because
 * a client says so. What an operator names may be anywhere; all else has to be public, by its text here, and by every
 * address that its name leads to when it is connected to (reliability S9).
 */
export class Upstreams {
  /** As the operator wrote them. */
  readonly texts: readonly string[];
  readonly #named = new Map<string, Upstream>();
  readonly #root: Upstream | undefined;
  readonly #anyPublic: boolean;

  /** @throws TartletError `CONFIG_INVALID` for what is no registry, and for none. */
  constructor(choice: UpstreamChoice) {
    this.texts = 'mirrorOf' in choice ? [choice.mirrorOf] : choice.allowed;
    this.#anyPublic = 'allowed' in choice && choice.allowed.includes('*');
    for (const text of this.texts) {
      if (text === '*' && this.#anyPublic) continue;
      const upstream = parseUpstream(text);
      this.#named.set(upstream.address.toString(), upstream);
    }
    this.#root = 'mirrorOf' in choice ? [...this.#named.values()][0] : undefined;
    if (this.texts.length === 0) {
      throw new TartletError('CONFIG_INVALID', 'a site cache needs the name of a registry that it fetches from');
    }
  }

  /** The one registry that this is the mirror of. */
  get root(): Upstream | undefined {
    return this.#root;
  }

  /** The upstream of a registry's address. @throws Refusal 403 for one that is not allowed. */
  allowed(address: RegistryAddress): Upstream {
    const named = this.#named.get(address.toString());
    if (named !== undefined) return named;
    if (this.#anyPublic && mayBePublic(address)) return { address, insecure: false, onlyPublic: true };
    throw new Refusal(403, 'DENIED', `this cache does not fetch from ${address.toString()}`);
  }

  /**
   * @param name of the repository, as it stands in the address. @param query with `ns`, where a client has one
   * (containerd).
   * @throws Refusal 400 for what is no upstream, 403 for one that is not allowed, 404 for a name without one.
   */
  find(name: Repository, query: URLSearchParams): UpstreamRepository {
    const named = query.getAll('ns');
    if (named.length > 1) throw new Refusal(400, 'NAME_INVALID', 'ns is there more than once');
    const place = this.#placeOf(name, named[0]);
    if (place === undefined) {
      const why = 'the name begins with no registry, as ghcr.io/org/image does';
      throw new Refusal(404, 'NAME_UNKNOWN', why, { detail: { name: name.text } });
    }
    return { upstream: this.allowed(place.upstream), repository: place.repository };
  }

  #placeOf(name: Repository, ns: string | undefined): UpstreamPlace | undefined {
    if (ns === undefined) {
      return this.#root === undefined ? parsePlace(name) : { upstream: this.#root.address, repository: name };
    }
    const upstream = RegistryAddress.tryParse(ns);
    if (upstream === undefined) throw new Refusal(400, 'NAME_INVALID', 'ns is not the address of a registry');
    return { upstream, repository: name };
  }
}

function parseUpstream(text: string): Upstream {
  const insecure = text.startsWith('http://');
  const address = RegistryAddress.tryParse(text.replace(/^https?:\/\//, '').replace(/\/$/, ''));
  if (address === undefined) {
    throw new TartletError('CONFIG_INVALID', `"${text}" is not the address of a registry`, { subject: text });
  }
  return { address, insecure, onlyPublic: false };
}

/** Whether its text does not say already that it is not public. What it leads to is looked at when it is dialled. */
function mayBePublic({ host }: RegistryAddress): boolean {
  if (isLoopbackHost(host)) return false;
  const bare = host.replace(/^\[|\]$/g, '');
  if (parseIpAddress(bare) !== undefined) return classOfAddress(bare) === 'public';
  // A name without a dot is completed by the resolver of this network, and one of digits may be an address to it.
  return host.includes('.') && !/(?:^|\.)(?:0x[0-9a-f]*|[0-9]+)$/i.test(host);
}
