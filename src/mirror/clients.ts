import { anonymous, type CredentialSource } from '../credentials/credential.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { RegistryClient, type RegistryClientOptions } from '../registry/client.ts';
import { type Limits, limits } from '../registry/request/limits.ts';
import { type Identity, identityKey } from './login.ts';
import type { UpstreamRepository } from './upstreams.ts';

/** What speaks to upstreams is made from. */
export interface UpstreamClientsSettings {
  readonly userAgent: string;
  /** Proxies and certificates. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The operator's logins. */
  readonly logins: ((registry: RegistryAddress) => CredentialSource) | undefined;
  /** For keyed hashes of logins. */
  readonly secret: Buffer;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** One repository of an upstream, for one identity. */
export interface UpstreamClient {
  /** For manifests and lists: a client waits for the answer, and an old one may be better than a late one. */
  readonly documents: RegistryClient;
  /** For blobs, which are gone on with as long as there is hope. */
  readonly blobs: RegistryClient;
}

/** With each identity come connections and tokens of its own; the oldest are forgotten. */
const MOST_CLIENTS = 200;
/** Logins of the operator may change, and names may lead elsewhere: nothing is remembered longer than this. */
const MOST_AGE_MS = 10 * 60_000;

const DOCUMENT_LIMITS: Limits = {
  ...limits,
  attempts: 2,
  connectMs: 8_000,
  connectAddressMs: 3_000,
  headersMs: 20_000,
  bodyIdleMs: 20_000,
  inVainMs: 20_000,
  // Not waited for here, but told to the client.
  retryAfterMs: 0,
};
const BLOB_LIMITS: Limits = { ...limits, headersMs: 30_000, retryAfterMs: 10_000 };

interface Held extends UpstreamClient {
  readonly since: number;
}

/** Clients of upstreams, one for each identity: what one has (tokens, connections) is never used for another. */
export class UpstreamClients {
  readonly #settings: UpstreamClientsSettings;
  readonly #held = new Map<string, Held>();

  constructor(settings: UpstreamClientsSettings) {
    this.#settings = settings;
  }

  /** @param via of the request that it speaks for, and ours. */
  for({ upstream, repository }: UpstreamRepository, identity: Identity, via: string): UpstreamClient {
    const { secret, now } = this.#settings;
    const key = identityKey(secret, identity, upstream.address.toString(), via);
    let held = this.#held.get(key);
    if (held === undefined || now() - held.since > MOST_AGE_MS) {
      held = { ...this.#make({ upstream, repository }, identity, via), since: now() };
    }
    this.#held.delete(key);
    this.#held.set(key, held);
    for (const oldest of this.#held.keys()) {
      // Not closed: requests may be under way. Connections that rest are closed by themselves.
      if (this.#held.size > MOST_CLIENTS) this.#held.delete(oldest);
    }
    return { documents: held.documents.sibling(repository), blobs: held.blobs.sibling(repository) };
  }

  /** Requests under way fail with `INTERRUPTED`. */
  async close(): Promise<void> {
    const all = [...this.#held.values()];
    this.#held.clear();
    await Promise.all(all.flatMap(({ documents, blobs }) => [documents.close(), blobs.close()]));
  }

  #make({ upstream, repository }: UpstreamRepository, identity: Identity, via: string): UpstreamClient {
    const { userAgent, environment } = this.#settings;
    const options: RegistryClientOptions = {
      registry: upstream.address,
      repository,
      userAgent,
      environment,
      insecure: upstream.insecure,
      onlyPublic: upstream.onlyPublic,
      via,
      credentials: this.#credentials(upstream.address, identity),
      limits: DOCUMENT_LIMITS,
    };
    const documents = RegistryClient.forRepository(options);
    const { authenticator, secrets } = documents;
    return {
      documents,
      blobs: RegistryClient.forRepository({ ...options, authenticator, secrets, limits: BLOB_LIMITS }),
    };
  }

  #credentials(registry: RegistryAddress, identity: Identity): CredentialSource {
    switch (identity.kind) {
      case 'anonymous':
        return anonymous;
      case 'operator':
        return this.#settings.logins?.(registry) ?? anonymous;
      case 'client': {
        const { name: username, password } = identity;
        const source = 'the client of the cache';
        return { find: async () => ({ kind: 'password', registry, username, password, source }) };
      }
    }
  }
}
