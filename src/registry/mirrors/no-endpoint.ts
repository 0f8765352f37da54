import { TartletError } from '../../errors.ts';
import { type Endpoint, endpointText } from '../../endpoints/endpoint.ts';
import type { Digest } from '../../names/digest.ts';
import type { WhyLeft } from './endpoint-memory.ts';

/**
 * What the last endpoint says, after what those before it said. It stands for the registry, so that its code and its
 * facts are those of the whole.
 *
 * @param subject the image, as its user calls it.
 * @param before in the order in which they were asked; none: the error says it all.
 */
export function noEndpointLeft(
  subject: string,
  before: readonly (readonly [Endpoint, WhyLeft])[],
  last: Endpoint,
  error: TartletError,
): TartletError {
  if (before.length === 0) return error;
  const reasons = [
    ...before.map(([endpoint, { reason }]) => `${endpointText(endpoint)}: ${reason}`),
    `${endpointText(last)}: ${error.message}`,
  ];
  const text = `${subject} could not be had from any of ${reasons.length} endpoints: ${reasons.join('; ')}`;
  return new TartletError(error.code, text, { ...error.facts, cause: error });
}

/** Pulling from an endpoint is forbidden on this machine. */
export function blockedEndpoint(endpoint: Endpoint, file: string): TartletError {
  const text = endpointText(endpoint);
  return new TartletError('REG_BLOCKED', `${file} forbids to pull from ${text}`, {
    subject: text,
    retryable: false,
    next: { kind: 'unblock-registry', file },
  });
}

/** An endpoint is behind, or ahead of what is meant. */
export function anotherManifest(endpoint: Endpoint, found: Digest): TartletError {
  return new TartletError('DIGEST_MISMATCH', `its tag leads to ${found.toString()}`, {
    subject: endpointText(endpoint),
    found: found.toString(),
  });
}

/** No endpoint has what a tag leads to, says one that only knows that. */
export function tagNotThere(subject: string, endpoint: Endpoint): TartletError {
  return new TartletError('NOT_FOUND', `${endpointText(endpoint)} has no such tag`, {
    subject,
    next: { kind: 'check-image-name' },
  });
}

/** The settings leave nothing that could be asked. */
export function nothingToAsk(subject: string, what: 'tags' | 'content'): TartletError {
  const cannot = what === 'tags' ? 'say what a tag leads to' : 'give manifests and blobs';
  return new TartletError('CONFIG_INVALID', `none of the endpoints of ${subject} may ${cannot}`, { subject });
}
