import { RegistryAddress } from '../names/registry-address.ts';
import { Repository } from '../names/repository.ts';
import { remoteAuthenticator } from '../registry/auth/authenticator-port.ts';
import { RegistryClient, type RegistryClientOptions } from '../registry/client.ts';
import { EndpointMemory } from '../registry/mirrors/endpoint-memory.ts';
import { MirroredSource, type SourceEndpoint } from '../registry/mirrors/mirrored-source.ts';
import { RateLimit } from '../registry/request/rate-limit.ts';
import { SentSecrets } from '../registry/request/sent-secrets.ts';
import type { EndpointLeft, EndpointSettings, FromWorker, Hold, PartLimit, RegistrySettings } from './chunk-job.ts';

/** The clients of a thread: for each endpoint that it may read from, or for the registry that it writes to. */
export class RegistryClients {
  /** Where jobs read. */
  readonly source: MirroredSource;
  /** Where jobs write; mirrors are never written to. */
  readonly target: RegistryClient;
  readonly #clients: readonly RegistryClient[];
  readonly #memory: EndpointMemory;

  constructor(settings: RegistrySettings, say: (message: FromWorker) => void) {
    const secrets = new SentSecrets();
    secrets.link(settings.secretsPort);
    const rateLimit = settings.rateLimit === undefined ? undefined : RateLimit.join(settings.rateLimit);
    const open = (each: EndpointSettings): SourceEndpoint<RegistryClient> => ({
      endpoint: each.endpoint,
      client: clientFor(each, settings, { secrets, rateLimit }, say),
    });
    const [first, ...more] = settings.endpoints;
    const endpoints = [open(first), ...more.map(open)] as const;
    this.#clients = endpoints.map(({ client }) => client);
    this.target = endpoints.at(-1)?.client ?? endpoints[0].client;
    this.#memory = new EndpointMemory({
      onLeft: (index, why) => say({ kind: 'endpoint-left', index, why }),
      onServed: (index) => say({ kind: 'endpoint-served', index }),
    });
    for (const [index, { left }] of settings.endpoints.entries()) {
      if (left !== undefined) this.#memory.hearLeft(index, left);
    }
    this.source = new MirroredSource(settings.subject, endpoints, this.#memory);
  }

  /** Another thread learned that a host wants to be spared. */
  spare({ origin, milliseconds }: Hold): void {
    for (const client of this.#clients) client.spare(origin, milliseconds);
  }

  /** Another thread learned that parts of uploads are too large. */
  limitParts({ bytes }: PartLimit): void {
    this.target.limitParts(bytes);
  }

  /** What failed is tried again, and may be had by now. */
  askAllAgain(): void {
    this.source.askAllAgain();
  }

  /** Another thread learned that an endpoint is not worth asking. */
  leave({ index, why }: EndpointLeft): void {
    this.#memory.hearLeft(index, why);
  }
}

function clientFor(
  each: EndpointSettings,
  { userAgent, environment, tellsWire }: RegistrySettings,
  shared: Pick<RegistryClientOptions, 'secrets' | 'rateLimit'>,
  say: (message: FromWorker) => void,
): RegistryClient {
  const { endpoint, insecure, base, isReached, networks, limits, partBytes, authenticatorPort } = each;
  return RegistryClient.forRepository({
    registry: RegistryAddress.parse(endpoint.registry),
    repository: Repository.parse(endpoint.repository),
    userAgent,
    environment,
    insecure,
    manner: endpoint,
    ...(base === undefined ? {} : { endpoint: base }),
    isReached,
    networks,
    limits,
    ...shared,
    authenticator: remoteAuthenticator(authenticatorPort),
    partBytes,
    onPartLimit: (bytes) => say({ kind: 'part-limit', bytes }),
    onHold: (origin, milliseconds) => say({ kind: 'hold', origin, milliseconds }),
    onWait: ({ reason, milliseconds }) => say({ kind: 'wait', reason, milliseconds }),
    ...(tellsWire ? { onWire: (event) => say({ kind: 'wire', event }) } : {}),
  });
}

/** The settings for clients that are made after an endpoint was left. */
export function withLeft(settings: RegistrySettings, { index, why }: EndpointLeft): RegistrySettings {
  return changed(settings, (each, at) => (at === index ? { ...each, left: why } : each));
}

/** The settings for clients that are made after all endpoints were given another chance. */
export function withNoneLeft(settings: RegistrySettings): RegistrySettings {
  return changed(settings, (each) => ({ ...each, left: undefined }));
}

/** The settings for clients that are made after parts turned out too large. */
export function withPartLimit(settings: RegistrySettings, { bytes }: PartLimit): RegistrySettings {
  return changed(settings, (each) => ({ ...each, partBytes: bytes }));
}

function changed(
  settings: RegistrySettings,
  change: (each: EndpointSettings, index: number) => EndpointSettings,
): RegistrySettings {
  const [first, ...more] = settings.endpoints;
  return { ...settings, endpoints: [change(first, 0), ...more.map((each, index) => change(each, index + 1))] };
}
