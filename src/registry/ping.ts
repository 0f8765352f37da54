import { TartletError } from '../errors.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { RegistryConnection } from './registry-connection.ts';
import { requestDocument } from './response/document.ts';
import { hostAndPort } from './request/network-error.ts';
import { refused } from './response/refusal.ts';
import type { ResponseHeaders } from './request/request.ts';

/** Real registries answer with a few bytes; in bytes. */
const MAX_BYTES = 64 * 1024;

/** A registry as a whole, without a repository of it. */
export type RegistryContext = Pick<RegistryConnection, 'send' | 'timing' | 'base'> & {
  readonly registry: RegistryAddress;
};

/** `GET /v2/`; the promises are those of `RegistryClient.ping`. */
export async function ping(context: RegistryContext, signal?: AbortSignal): Promise<void> {
  const url = new URL('/v2/', await context.base.find());
  const { response, bytes } = await requestDocument(
    context.send,
    { method: 'GET', url, headers: {}, access: { action: 'pull' }, idempotent: true },
    { limit: MAX_BYTES, timing: context.timing, signal },
  );
  const subject = context.registry.toString();
  if (response.status !== 200) {
    throw await refused(response, {
      what: `${subject} does not answer as an OCI registry`,
      subject,
      next: { kind: 'check-registry-address' },
    });
  }
  const found =
    bytes === undefined ? 'with something long' : impostor(response.headers, new TextDecoder().decode(bytes));
  if (found !== undefined) {
    throw new TartletError('NET_PROTOCOL', `${hostAndPort(url)} answers ${found}, not as an OCI registry`, {
      subject,
      retryable: false,
      next: { kind: 'check-registry-address' },
    });
  }
}

/**
 * What answered 200 in place of a registry, in words; undefined for a registry. The OCI specification asks for the
 * status alone, but web servers, portals and start pages say 200 to everything. Registries send Docker's header, or
 * nothing but `{}` or an empty body.
 */
function impostor(headers: ResponseHeaders, body: string): string | undefined {
  if (/^text\/html/i.test(headers.get('content-type') ?? '') || /^\s*</.test(body)) return 'with a web page';
  if (/^registry\/2/i.test(headers.get('docker-distribution-api-version') ?? '')) return undefined;
  return /^\s*(?:\{\s*\})?\s*$/.test(body) ? undefined : 'with a text of its own';
}
