import { isTartletError, TartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import { bareMediaType, MANIFEST_TYPES } from '../oci/media-type.ts';
import { requestDocument } from './response/document.ts';
import { cannotRead, manifestRefused, mismatch, notDone, webPage } from './manifest-error.ts';
import { type ManifestReference, manifestText } from './manifest-reference.ts';
import { refused } from './response/refusal.ts';
import type { Method, RegistryRequest, ResponseStart } from './request/request.ts';
import { withoutBody } from './request/response-body.ts';
import type { RepositoryContext } from './request/repository.ts';

/**
 * A manifest byte for byte, as a registry served it or is going to store it. Parsing is done elsewhere: these are the
 * bytes to keep.
 */
export interface RawManifest {
  readonly bytes: Uint8Array;
  /** `Content-Type` without parameters, lower case; empty when the registry that served it named none. */
  readonly mediaType: string;
  /** Computed from `bytes`, never taken from a header. */
  readonly digest: Digest;
}

/** What the registry says about a manifest without serving it. */
export interface ManifestStatus {
  readonly digest: Digest;
  readonly mediaType: string;
}

const ACCEPT = MANIFEST_TYPES.join(', ');

/** Reads a manifest and verifies it; the promises are those of `RegistryClient.manifest`. */
export async function readManifest(
  context: RepositoryContext,
  reference: ManifestReference,
  signal?: AbortSignal,
): Promise<RawManifest> {
  const { timing } = context;
  const limit = timing.limits.manifestBytes;
  const request = { ...(await manifestRequest(context, 'GET', reference)), transientChunks: 'manifest' as const };
  const { response, bytes } = await requestDocument(context.send, request, { limit, timing, signal });
  if (response.status !== 200) throw await refused(response, cannotRead(context, reference));
  if (bytes === undefined) {
    throw new TartletError(
      'MANIFEST_TOO_LARGE',
      `the manifest ${manifestText(context, reference)} is larger than ${limit} bytes`,
      {
        subject: manifestText(context, reference),
      },
    );
  }
  const mediaType = mediaTypeOf(response);
  if (mediaType === 'text/html' || looksLikeHtml(bytes)) throw webPage(response);
  const digest = Digest.of(bytes, 'digest' in reference ? reference.digest.algorithm : 'sha256');
  if ('digest' in reference && !digest.equals(reference.digest)) throw mismatch(context, reference.digest, digest);
  return { bytes, mediaType, digest };
}

/** Asks what a reference leads to; the promises are those of `RegistryClient.headManifest`. */
export async function statManifest(
  context: RepositoryContext,
  reference: ManifestReference,
  signal?: AbortSignal,
): Promise<ManifestStatus | undefined> {
  const { traits } = context;
  if (traits.head !== 'broken') {
    const response = await withoutBody(await context.send(await manifestRequest(context, 'HEAD', reference), signal));
    if (response.status === 200) {
      traits.head = 'works';
      const told =
        'digest' in reference ? reference.digest : Digest.tryParse(response.headers.get('docker-content-digest') ?? '');
      // Without a digest (Q1), or with one that is none (Q2), only the bytes can tell.
      if (told !== undefined) return { digest: told, mediaType: mediaTypeOf(response) };
    } else if (response.status === 404 && traits.head === 'works') {
      return undefined;
    } else if (response.status === 405 || response.status === 501) {
      traits.head = 'broken';
    }
  }
  try {
    const { digest, mediaType } = await readManifest(context, reference, signal);
    return { digest, mediaType };
  } catch (error) {
    if (isTartletError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

/** Stores a manifest; the promises are those of `RegistryClient.putManifest`. */
export async function writeManifest(
  context: RepositoryContext,
  reference: ManifestReference,
  bytes: Uint8Array,
  mediaType: string,
  signal?: AbortSignal,
): Promise<void> {
  const limit = context.timing.limits.pushedManifestBytes;
  if (bytes.length > limit) {
    throw new TartletError(
      'MANIFEST_TOO_LARGE',
      `a manifest of ${bytes.length} bytes is more than registries take (${limit})`,
      {
        subject: manifestText(context, reference),
        next: { kind: 'push-with-larger-chunks' },
      },
    );
  }
  const digest = Digest.of(bytes, 'digest' in reference ? reference.digest.algorithm : 'sha256');
  if ('digest' in reference && !digest.equals(reference.digest)) throw mismatch(context, reference.digest, digest);
  const request = await manifestRequest(context, 'PUT', reference);
  const answer = await context.send(
    { ...request, headers: { 'content-type': mediaType }, body: { length: bytes.length, open: () => bytes } },
    signal,
  );
  if (answer.status < 200 || answer.status > 204) throw await manifestRefused(context, reference, answer);
  const response = await withoutBody(answer);
  const stored = Digest.tryParse(response.headers.get('docker-content-digest') ?? '');
  // Only 201 says that it is stored. Portals and start pages say 200 to everything.
  if (response.status !== 201) await requireStored(context, reference, digest, { status: response.status, signal });
  // A registry that rewrites manifests would move the tag to something that was not pushed (Q17).
  if (stored !== undefined && stored.algorithm === digest.algorithm && !stored.equals(digest)) {
    throw mismatch(context, digest, stored);
  }
}

async function requireStored(
  context: RepositoryContext,
  reference: ManifestReference,
  digest: Digest,
  { status, signal }: { readonly status: number; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const found = await statManifest(context, reference, signal);
  if (found?.digest.equals(digest) === true) return;
  throw notDone(context, reference, status, 'the manifest', 'and does not have it');
}

/** Removes a manifest; the promises are those of `RegistryClient.deleteManifest`. */
export async function removeManifest(context: RepositoryContext, digest: Digest, signal?: AbortSignal): Promise<void> {
  const reference = { digest };
  const response = await context.send(await manifestRequest(context, 'DELETE', reference), signal);
  if (response.status >= 200 && response.status <= 204) {
    await response.body.discard();
    // 202 by the specification. The others are looked up, as for PUT.
    if (response.status === 202 || (await statManifest(context, reference, signal)) === undefined) return;
    throw notDone(context, reference, response.status, 'the deletion of the manifest', 'and still has it');
  }
  throw await refused(response, {
    what: `cannot delete the manifest ${manifestText(context, reference)}`,
    subject: manifestText(context, reference),
    next: response.status === 405 ? { kind: 'allow-deletion-on-registry' } : undefined,
  });
}

async function manifestRequest(
  context: RepositoryContext,
  method: Method,
  reference: ManifestReference,
): Promise<RegistryRequest> {
  const name = 'tag' in reference ? reference.tag.text : reference.digest.toString();
  const action = method === 'PUT' ? 'push' : method === 'DELETE' ? 'delete' : 'pull';
  return {
    method,
    url: await context.url(`manifests/${name}`),
    headers: action === 'pull' ? { accept: ACCEPT } : {},
    access: { repository: context.repository, action },
    idempotent: true,
  };
}

/** The media type of a response without its parameters, lower case (Q18). */
function mediaTypeOf(response: ResponseStart): string {
  return bareMediaType(response.headers.get('content-type') ?? '');
}

/** No JSON document begins with `<`. */
function looksLikeHtml(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, 64)).trimStart().startsWith('<');
}
