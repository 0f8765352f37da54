import { isTartletError } from '../../errors.ts';
import { blobExists } from './blob-lookup.ts';
import type { BlobIdentity } from '../../oci/descriptor.ts';
import { appendQuery } from '../request/query.ts';
import type { RegistryResponse, ResponseStart } from '../request/request.ts';
import { withoutBody } from '../request/response-body.ts';
import type { RepositoryContext } from '../request/repository.ts';
import { startRequest } from './upload-session.ts';
import { cancelUpload } from './upload-cancel.ts';
import { uploadLocation } from './upload-location.ts';

/**
 * Asks for a blob of another repository; the promises are those of `RegistryClient.mountBlob`. Whatever is not a
 * confirmed yes is a no: 202 (which opened an upload, cancelled here), 403 for a repository that we may not read, 404
 * and 405 where mounts are unknown (reliability Q8).
 */
export async function mountBlob(
  context: RepositoryContext,
  blob: BlobIdentity,
  from: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const start = await context.url('blobs/uploads/');
  const query = [
    ['mount', blob.digest.toString()],
    ['from', from],
  ] as const;
  const asked = await askToMount(context, new URL(appendQuery(start.href, query)), from, signal);
  if (asked === undefined) return false;
  const response = await withoutBody(asked);
  if (response.status === 202) await cancelOpened(context, response, start);
  signal?.throwIfAborted();
  // Some registries say 201 without having looked.
  return response.status === 201 && blobExists(context, blob, { action: 'push', signal });
}

async function cancelOpened(context: RepositoryContext, response: ResponseStart, asked: URL): Promise<void> {
  let location: URL;
  try {
    location = uploadLocation(response, asked);
  } catch {
    return; // What has no address that we would use is nothing to cancel, and no reason not to upload.
  }
  await cancelUpload(context, location);
}

async function askToMount(
  context: RepositoryContext,
  url: URL,
  from: string,
  signal: AbortSignal | undefined,
): Promise<RegistryResponse | undefined> {
  try {
    return await context.send(startRequest(context, url, from), signal);
  } catch (error) {
    // Without the right to read `from` there is nothing to mount; whether we may push is seen by the upload that
    // follows.
    if (isTartletError(error, 'AUTH_DENIED', 'AUTH_REQUIRED')) return undefined;
    throw error;
  }
}
