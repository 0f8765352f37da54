import { TartletError } from '../errors.ts';
import { fieldOf, isJsonObject, type JsonObject, parseJson, textOf } from '../json/foreign.ts';
import type { Digest } from '../names/digest.ts';
import { MediaType } from '../oci/media-type.ts';
import { requestDocument } from './response/document.ts';
import { refused } from './response/refusal.ts';
import type { RepositoryContext } from './request/repository.ts';
import { nextPage } from './tag.ts';

/** More pages than this are a list without an end (reliability Q20). */
const MOST_PAGES = 100;
/** Descriptors of one list. */
const MOST_REFERRERS = 10_000;

/** What of a list is wanted. */
export interface ReferrerQuestion {
  /** Only what is of this type. Default: everything. */
  readonly artifactType?: string | undefined;
  /** `first`: of a list in several pages only what is on the first. Default: `all`. */
  readonly pages?: 'all' | 'first' | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What refers to a manifest (distribution spec § listing referrers), each as the registry describes it; the promises
 * are those of `RegistryClient.referrers`.
 */
export async function listReferrers(
  context: RepositoryContext,
  subject: Digest,
  { artifactType, pages: wanted = 'all', signal }: ReferrerQuestion = {},
): Promise<readonly JsonObject[]> {
  const what = `${context.registry}/${context.repository}@${subject.toString()}`;
  const { timing } = context;
  const found: JsonObject[] = [];
  let url: URL | undefined = await context.url(`referrers/${subject.toString()}`);
  if (artifactType !== undefined) url.searchParams.set('artifactType', artifactType);
  for (let pages = 0; url !== undefined; pages += 1) {
    if (pages >= MOST_PAGES || found.length > MOST_REFERRERS) throw endless(what);
    const page: URL = url;
    const request = {
      method: 'GET',
      url: page,
      headers: { accept: MediaType.ociIndex },
      access: { repository: context.repository, action: 'pull' },
      idempotent: true,
    } as const;
    const limit = timing.limits.tagPageBytes;
    const { response, bytes } = await requestDocument(context.send, request, { limit, timing, signal });
    if (response.status !== 200)
      throw await refused(response, { what: `cannot list what refers to ${what}`, subject: what });
    const manifests = fieldOf(parseJson(bytes ?? ''), 'manifests');
    if (!Array.isArray(manifests)) {
      throw new TartletError('NET_PROTOCOL', `the registry sent no list of what refers to ${what}`, { subject: what });
    }
    // A registry need not filter.
    const isWanted = (each: JsonObject): boolean =>
      artifactType === undefined || textOf(each, 'artifactType') === artifactType;
    found.push(...manifests.filter(isJsonObject).filter(isWanted));
    url = wanted === 'all' ? nextPage(response, page) : undefined;
  }
  return found;
}

function endless(what: string): TartletError {
  return new TartletError('NET_PROTOCOL', `the list of what refers to ${what} does not end`, { subject: what });
}
