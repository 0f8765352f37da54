import { MessageChannel, type Worker } from 'node:worker_threads';
import { serveAuthenticator } from '../registry/auth/authenticator-port.ts';
import type { WhyLeft } from '../registry/mirrors/endpoint-memory.ts';
import type { SharedSource } from '../registry/mirrors/registry-source.ts';
import type { EndpointSettings, ToWorker } from './chunk-job.ts';
import type { PoolRegistry } from './pool-options.ts';

/**
 * Tells a thread where its jobs read, or which registry they write to. @returns ends the service of credentials for it,
 * and of what it must not show.
 */
export function introduce(worker: Worker, { source, settings }: PoolRegistry): () => void {
  if (source === undefined) return () => undefined;
  const { subject, endpoints, memory } = source;
  const [first, ...more] = endpoints.map((each, index) => serveEndpoint(each, memory.left.get(index)));
  if (first === undefined) return () => undefined;
  const all = [first, ...more] as const;
  const secrets = new MessageChannel();
  const message: ToWorker = {
    kind: 'registry',
    settings: {
      ...settings,
      subject,
      endpoints: [first.settings, ...more.map((each) => each.settings)],
      tellsWire: endpoints[0]?.client.onWire !== undefined,
      secretsPort: secrets.port2,
    },
  };
  worker.postMessage(message, [...all.map(({ settings: { authenticatorPort } }) => authenticatorPort), secrets.port2]);
  // All of one undertaking know the same secrets.
  const ends = [...all.map(({ end }) => end), endpoints[0]?.client.secrets.link(secrets.port1)];
  return () => {
    for (const end of ends) end?.();
  };
}

/** What a thread is told of an endpoint, and what ends the service for it. */
interface ServedEndpoint {
  readonly settings: EndpointSettings;
  readonly end: () => void;
}

function serveEndpoint(
  { endpoint, client }: SharedSource['endpoints'][number],
  left: WhyLeft | undefined,
): ServedEndpoint {
  const questions = new MessageChannel();
  return {
    settings: {
      endpoint,
      insecure: client.isInsecure,
      ...client.known,
      networks: client.networks,
      limits: client.limits,
      partBytes: client.partBytes,
      authenticatorPort: questions.port2,
      left,
    },
    end: serveAuthenticator(client.authenticator, questions.port1),
  };
}
