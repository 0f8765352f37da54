import { TartletError } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import { BlobsUnknownError } from './blobs-unknown.ts';
import { type ManifestReference, manifestText } from './manifest-reference.ts';
import { hostAndPort } from './request/network-error.ts';
import { readComplaint, refusal, type RefusalContext } from './response/refusal.ts';
import type { RegistryResponse } from './request/request.ts';
import type { RepositoryContext } from './request/repository.ts';

/** What is said when a manifest cannot be read. */
export function cannotRead(context: RepositoryContext, reference: ManifestReference): RefusalContext {
  const name = manifestText(context, reference);
  return {
    what: `cannot read the manifest ${name}`,
    subject: name,
    next: { kind: 'check-image-name' },
  };
}

/** A registry said yes in a status of its own, and did not do it. */
export function notDone(
  context: RepositoryContext,
  reference: ManifestReference,
  status: number,
  ...[what, found]: readonly [string, string]
): TartletError {
  const name = manifestText(context, reference);
  return new TartletError('REG_REJECTED', `${context.registry} answered ${status} to ${what} ${name}, ${found}`, {
    subject: name,
    status,
    retryable: false,
    next: { kind: 'check-is-registry-and-way' },
  });
}

/**
 * A manifest that the registry did not take; a {@link BlobsUnknownError} when it misses blobs of it. Reads the body of
 * the answer.
 */
export async function manifestRefused(
  context: RepositoryContext,
  reference: ManifestReference,
  response: RegistryResponse,
): Promise<TartletError> {
  const complaint = await readComplaint(response);
  const error = refusal(response, complaint, {
    what: `cannot store the manifest ${manifestText(context, reference)}`,
    subject: manifestText(context, reference),
    action: 'push',
    code: response.status === 404 ? 'REG_REJECTED' : undefined,
  });
  return complaint.codes.includes('MANIFEST_BLOB_UNKNOWN') ? new BlobsUnknownError(error, complaint.digests) : error;
}

/** A page for people in place of a manifest. */
export function webPage(response: RegistryResponse): TartletError {
  const host = hostAndPort(response.url);
  return new TartletError(
    'NET_PROTOCOL',
    `${host} sent an HTML page instead of a manifest: a proxy or a portal may be in the way`,
    {
      subject: host,
      retryable: false,
      next: { kind: 'open-in-browser', host },
    },
  );
}

/** Another manifest than the one that was asked for, or that was sent. */
export function mismatch(context: RepositoryContext, expected: Digest, found: Digest): TartletError {
  return new TartletError(
    'DIGEST_MISMATCH',
    `asked ${context.registry} for manifest ${expected.toString()}, got ${found.toString()}`,
    {
      subject: `${context.registry}/${context.repository}`,
      expected: expected.toString(),
      found: found.toString(),
      retryable: false,
    },
  );
}
