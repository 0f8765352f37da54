import { isDeepStrictEqual } from 'node:util';
import { type Endpoint, endpointText, plainEndpoint } from '../../endpoints/endpoint.ts';
import type { RegistryAddress } from '../../names/registry-address.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import type { Repository } from '../../names/repository.ts';
import type { RegistryClient } from '../client.ts';
import type { RepositoryPlace, SharedClient } from '../contract.ts';
import { EndpointMemory } from './endpoint-memory.ts';
import { MirroredSource, type SourceEndpoints } from './mirrored-source.ts';

/** What the sources of one undertaking share, each in a thread of its own. */
export interface SharedSource {
  /** The image, as its user calls it. */
  readonly subject: string;
  readonly endpoints: readonly { readonly endpoint: Endpoint; readonly client: SharedClient }[];
  readonly memory: EndpointMemory;
}

/** One registry, in the place of several: what writes has no other. */
export function onlySource(client: SharedClient): SharedSource {
  const { registry, repository } = client;
  const endpoint = plainEndpoint(registry.toString(), repository.text);
  return { subject: endpointText(endpoint), endpoints: [{ endpoint, client }], memory: new EndpointMemory() };
}

/** A {@link MirroredSource} of registries. Its place is the name that the user knows, wherever the bytes come from. */
export class RegistrySource extends MirroredSource implements SharedSource, RepositoryPlace {
  readonly subject: string;
  readonly registry: RegistryAddress;
  readonly repository: Repository;
  readonly endpoints: SourceEndpoints<RegistryClient>;
  readonly memory: EndpointMemory;

  /** The caller closes it, and with it the clients. */
  constructor(name: RemoteName, endpoints: SourceEndpoints<RegistryClient>, memory: EndpointMemory) {
    super(name.toString(), endpoints, memory);
    this.subject = name.toString();
    this.registry = name.registry;
    this.repository = name.repository;
    this.endpoints = endpoints;
    this.memory = memory;
  }

  /** The places that gave something, as people name them, in the order in which they are asked. */
  get servedBy(): readonly string[] {
    return this.endpoints.flatMap(({ endpoint }, index) =>
      this.memory.served.has(index) ? [endpointText(endpoint)] : [],
    );
  }

  /** The first of those that gave something, for what one place is asked and no other; undefined before. */
  get answering(): RegistryClient | undefined {
    return this.endpoints.find((_, index) => this.memory.served.has(index))?.client;
  }

  /** The client for the repository of the name, spoken to as any other; undefined where settings say otherwise. */
  get named(): RegistryClient | undefined {
    const { endpoint, client } = this.endpoints.at(-1) ?? this.endpoints[0];
    const plain = plainEndpoint(this.registry.toString(), this.repository.text);
    return isDeepStrictEqual(endpoint, plain) ? client : undefined;
  }

  /** Closes the connections. Requests under way and later ones fail with `INTERRUPTED`. */
  async close(): Promise<void> {
    await Promise.all(this.endpoints.map(async ({ client }) => client.close()));
  }
}
