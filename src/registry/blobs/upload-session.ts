import type { TartletError } from '../../errors.ts';
import { refused } from '../response/refusal.ts';
import type { RegistryRequest, RegistryResponse } from '../request/request.ts';
import { withoutBody } from '../request/response-body.ts';
import type { RepositoryContext } from '../request/repository.ts';
import { uploadLocation } from './upload-location.ts';

/** A registry that asks for larger parts than this is not obeyed. */
const MAX_PART_BYTES = 512 * 1024 * 1024;

/** The OCI error code for bytes that do not hash to their digest. */
export const DAMAGED = 'DIGEST_INVALID';

/** A session for one upload: where its next request goes. */
export interface UploadSession {
  readonly location: URL;
  /** Smallest part that the registry takes, in bytes; 0 when it did not say. */
  readonly minimumPart: number;
}

/** `POST …/blobs/uploads/`. An empty query is never sent: Google's registry refuses it. */
export async function startSession(
  context: RepositoryContext,
  signal: AbortSignal | undefined,
): Promise<UploadSession> {
  const url = await context.url('blobs/uploads/');
  const answer = await context.send(startRequest(context, url), signal);
  if (answer.status !== 202) throw await uploadRefused(context, answer, 'start an upload');
  const response = await withoutBody(answer);
  const told = Number(response.headers.get('oci-chunk-min-length') ?? 0);
  const minimumPart = Number.isInteger(told) && told > 0 && told <= MAX_PART_BYTES ? told : 0;
  return { location: uploadLocation(response, url), minimumPart };
}

/** A session that is never used costs the registry little, so a lost answer is simply asked for again (N58). */
export function startRequest({ repository }: RepositoryContext, url: URL, mountFrom?: string): RegistryRequest {
  return {
    method: 'POST',
    url,
    headers: {},
    body: { length: 0, open: () => new Uint8Array(0) },
    access: { repository, action: 'push', mountFrom },
    idempotent: true,
  };
}

/** The error for an upload that was refused at its start, or while it was under way. Reads the body of the answer. */
export async function uploadRefused(
  context: RepositoryContext,
  response: RegistryResponse,
  what: string,
): Promise<TartletError> {
  const name = `${context.registry}/${context.repository}`;
  const { status } = response;
  const gone = status === 404 && !response.url.pathname.endsWith('/uploads/');
  return refused(response, {
    what: `cannot ${what} to ${name}`,
    subject: name,
    action: 'push',
    code: status >= 500 || status === 429 ? undefined : gone ? 'UPLOAD_LOST' : 'UPLOAD_REJECTED',
    // A session that vanished (Q14) and bytes that were damaged on the way (Q15) deserve another try.
    retryable: (code, complaint) => gone || code !== 'UPLOAD_REJECTED' || complaint === DAMAGED,
  });
}
