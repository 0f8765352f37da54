import type { CredentialSource } from '../credentials/credential.ts';
import { type Endpoint, type EndpointChoice, endpointText } from '../endpoints/endpoint.ts';
import { RegistryAddress } from '../names/registry-address.ts';
import { RemoteName } from '../names/remote-name.ts';
import { Repository } from '../names/repository.ts';
import { RegistryClient, type RegistryClientOptions } from '../registry/client.ts';
import { EndpointMemory, type WhyLeft } from '../registry/mirrors/endpoint-memory.ts';
import { mirrorLimits } from '../registry/mirrors/mirror-limits.ts';
import type { SourceEndpoint } from '../registry/mirrors/mirrored-source.ts';
import { RegistrySource } from '../registry/mirrors/registry-source.ts';
import type { Limits } from '../registry/request/limits.ts';
import type { TransferEvent } from './progress.ts';

/**
 * The credentials for the registry of the name at hand.
 *
 * @param name of the image at the place that is asked.
 * @param place `mirror`: the user did not name it, settings did. It gets none that are for the registry of the command.
 */
export type CredentialsFor = (name: RemoteName, place: 'named' | 'mirror') => CredentialSource;

/** What is the same for all clients of an undertaking. */
export type SharedOptions = Pick<
  RegistryClientOptions,
  'userAgent' | 'environment' | 'secrets' | 'onWire' | 'onRequest' | 'onWait' | 'rateLimit'
>;

/** What the clients of a source are made of. */
interface SourceParts {
  readonly shared: SharedOptions;
  readonly credentials: CredentialsFor;
  /** Whether the registry of the name is spoken to in plain HTTP. */
  readonly insecure: boolean;
  readonly limits: Limits;
  readonly emit: (event: TransferEvent) => void;
}

/** Opens the places where an image may be read. Costs nothing: each is contacted with its first request. */
export function openSource(name: RemoteName, { endpoints }: EndpointChoice, parts: SourceParts): RegistrySource {
  const open = (endpoint: Endpoint, index: number): SourceEndpoint<RegistryClient> => ({
    endpoint,
    client: clientFor(name, endpoint, index === endpoints.length - 1, parts),
  });
  const [first, ...more] = endpoints;
  const memory = new EndpointMemory({
    onLeft: (index, why) => {
      const text = noteOn(endpoints[index], why);
      if (text !== undefined) parts.emit({ kind: 'note', subject: name.toString(), text });
    },
  });
  return new RegistrySource(name, [open(first, 0), ...more.map((each, index) => open(each, index + 1))], memory);
}

/** A mirror need not have every image, and what is blocked is so on purpose: nothing to tell. */
function noteOn(endpoint: Endpoint | undefined, { code, reason }: WhyLeft): string | undefined {
  if (endpoint === undefined || code === 'NOT_FOUND' || code === 'REG_BLOCKED') return undefined;
  return `${endpointText(endpoint)} is not asked any more: ${reason}`;
}

function clientFor(
  name: RemoteName,
  endpoint: Endpoint,
  isLast: boolean,
  { shared, credentials, insecure, limits }: SourceParts,
): RegistryClient {
  const registry = RegistryAddress.parse(endpoint.registry);
  const { connectMs = limits.connectMs } = endpoint;
  return RegistryClient.forRepository({
    ...shared,
    registry,
    repository: Repository.parse(endpoint.repository),
    credentials: credentials(nameAt(endpoint, name), registry.equals(name.registry) ? 'named' : 'mirror'),
    // The last one stands for the registry in the name.
    insecure: insecure && isLast,
    manner: endpoint,
    limits: isLast ? { ...limits, connectMs } : mirrorLimits(limits, endpoint.connectMs),
  });
}

/** What the image is called at the endpoint. */
function nameAt({ registry, repository }: Endpoint, { reference }: RemoteName): RemoteName {
  const place = `${registry}/${repository}`;
  return RemoteName.parse(
    reference.kind === 'digest' ? `${place}@${reference.digest.toString()}` : `${place}:${reference.tag.text}`,
  );
}
