import { MessageChannel, type Worker } from 'node:worker_threads';
import { serveAuthenticator } from '../registry/auth/authenticator-port.ts';
import type { ToWorker } from './chunk-job.ts';
import type { PoolRegistry } from './pool-options.ts';

/**
 * Tells a thread which registry its jobs are about. @returns ends the service of credentials for it, and of what it
 * must not show.
 */
export function introduce(worker: Worker, { client, settings }: PoolRegistry): () => void {
  if (client === undefined) return () => undefined;
  const [questions, secrets] = [new MessageChannel(), new MessageChannel()];
  const message: ToWorker = {
    kind: 'registry',
    settings: {
      ...settings,
      registry: client.registry.toString(),
      repository: client.repository.text,
      tellsWire: client.onWire !== undefined,
      partBytes: client.partBytes,
      authenticatorPort: questions.port2,
      secretsPort: secrets.port2,
    },
  };
  worker.postMessage(message, [questions.port2, secrets.port2]);
  const ends = [serveAuthenticator(client.authenticator, questions.port1), client.secrets.link(secrets.port1)];
  return () => {
    for (const end of ends) end();
  };
}
