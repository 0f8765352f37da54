import { TartletError } from '../errors.ts';
import { hostAndPort } from './network-error.ts';
import { refused } from './refusal.ts';
import type { RepositoryContext } from './repository.ts';

/** `GET /v2/`; the promises are those of `RegistryClient.ping`. */
export async function ping(context: RepositoryContext, signal?: AbortSignal): Promise<void> {
  const url = new URL('/v2/', await context.url(''));
  const response = await context.send(
    { method: 'GET', url, headers: {}, access: { action: 'pull' }, repeat: 'always' },
    signal,
  );
  if (response.status !== 200) {
    throw await refused(response, {
      what: `${context.registry} does not answer as an OCI registry`,
      subject: context.registry,
      next: 'check the address and the port of the registry',
    });
  }
  await response.body.discard();
  if (/^text\/html/i.test(response.headers.get('content-type') ?? '')) {
    throw new TartletError('NET_PROTOCOL', `${hostAndPort(url)} answers with a web page, not as an OCI registry`, {
      subject: context.registry,
      retryable: false,
      next: 'check the address and the port of the registry',
    });
  }
}
