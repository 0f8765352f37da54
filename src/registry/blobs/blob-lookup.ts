import type { Digest } from '../../names/digest.ts';
import type { BlobIdentity } from '../../oci/descriptor.ts';
import type { RepositoryContext } from '../request/repository.ts';
import type { Method, RegistryResponse, ResponseStart } from '../request/request.ts';
import { withoutBody } from '../request/response-body.ts';
import { NOTHING_SAID, refusal, refused } from '../response/refusal.ts';
import { parseContentRange } from './content-range.ts';

/** How to ask whether a blob is there. */
export interface BlobQuestion {
  /**
   * What the answer is for, and so the right to ask with: `push` where a blob that is missing will be sent. One token
   * then lasts for both, and a login that is missing is missing for a push. Default: `pull`.
   */
  readonly action?: 'pull' | 'push';
  readonly signal?: AbortSignal | undefined;
}

/** What the registry says about a blob without serving it. */
export interface BlobStatus {
  /** In bytes; undefined when the registry does not tell. */
  readonly size: number | undefined;
}

/** Whether the repository has a blob; the promises are those of `RegistryClient.blobExists`. */
export async function blobExists(
  context: RepositoryContext,
  blob: BlobIdentity,
  question: BlobQuestion = {},
): Promise<boolean> {
  const head = await byHead(context, blob.digest, question);
  // Some servers tell no length, or 0, in answer to HEAD (Q5).
  if (head !== 'unknown') return head !== undefined && (head.size === undefined || head.size === blob.size);
  return (await byGet(context, blob.digest, { ...question, isEmpty: blob.size === 0 })) !== undefined;
}

/** What the registry says about a blob; the promises are those of `RegistryClient.statBlob`. */
export async function statBlob(
  context: RepositoryContext,
  digest: Digest,
  question: BlobQuestion = {},
): Promise<BlobStatus | undefined> {
  const head = await byHead(context, digest, question);
  if (head === undefined || (head !== 'unknown' && head.size !== undefined)) return head;
  return byGet(context, digest, { ...question, isEmpty: false });
}

/** @returns undefined when it is not there, `unknown` when HEAD does not tell. */
async function byHead(
  context: RepositoryContext,
  digest: Digest,
  question: BlobQuestion,
): Promise<BlobStatus | 'unknown' | undefined> {
  const { traits } = context;
  if (traits.head === 'broken') return 'unknown';
  const response = await withoutBody(await askFor(context, 'HEAD', digest, question));
  if (response.status === 200) {
    traits.head = 'works';
    return { size: lengthOf(response) };
  }
  if (response.status === 404 && !response.crossOrigin) return undefined;
  // A storage that signed its URL for GET only refuses HEAD (Q4).
  if (response.status === 405 || response.status === 501) traits.head = 'broken';
  // 400 is a misunderstanding (TLS, a client certificate): the body that says which comes with GET only.
  else if (!response.crossOrigin && response.status !== 400)
    throw refusal(response, NOTHING_SAID, {
      what: `cannot look for blob ${nameOf(context, digest)}`,
      subject: nameOf(context, digest),
    });
  return 'unknown';
}

async function byGet(
  context: RepositoryContext,
  digest: Digest,
  question: BlobQuestion & { readonly isEmpty: boolean },
): Promise<BlobStatus | undefined> {
  const response = await askFor(context, 'GET', digest, question);
  if (response.status === 404) {
    await response.body.discard();
    return undefined;
  }
  // Of nothing there is no first byte.
  if (response.status === 416) {
    await response.body.discard();
    return { size: 0 };
  }
  if (response.status !== 200 && response.status !== 206) {
    throw await refused(response, {
      what: `cannot look for blob ${nameOf(context, digest)}`,
      subject: nameOf(context, digest),
    });
  }
  response.body.destroy();
  if (response.status === 200) return { size: lengthOf(response) };
  return { size: parseContentRange(response.headers.get('content-range') ?? '')?.total };
}

function lengthOf({ headers }: ResponseStart): number | undefined {
  const length = Number(headers.get('content-length') ?? 0);
  return length > 0 ? length : undefined;
}

async function askFor(
  context: RepositoryContext,
  method: Method,
  digest: Digest,
  { action = 'pull', signal, isEmpty = true }: BlobQuestion & { readonly isEmpty?: boolean },
): Promise<RegistryResponse> {
  return context.send(
    {
      method,
      url: await context.url(`blobs/${digest.toString()}`),
      headers: method === 'GET' && !isEmpty ? { range: 'bytes=0-0' } : {},
      access: { repository: context.repository, action },
      idempotent: true,
    },
    signal,
  );
}

function nameOf(context: RepositoryContext, digest: Digest): string {
  return `${context.registry}/${context.repository}@${digest.toString()}`;
}
