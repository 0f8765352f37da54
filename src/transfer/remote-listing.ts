import type { RegistryAddress } from '../names/registry-address.ts';
import { RemoteName } from '../names/remote-name.ts';
import { Repository } from '../names/repository.ts';
import { Tag } from '../names/tag.ts';
import type { Session } from '../session/session.ts';

/** No registry is asked for larger pages than its own: some refuse, and most have at most 1000. */
const MAX_PAGE = 1_000;

/** How a list of a registry is read. */
export interface RemoteListOptions {
  readonly insecure?: boolean | undefined;
  /** So many names are enough. Default: all. */
  readonly limit?: number | undefined;
}

/** Names in the registry's own order, each once. */
export interface RemoteListing {
  readonly names: readonly string[];
  /** Whether there are others behind them. */
  readonly more: boolean;
  /** How many of what the registry sent can be no such names, and were left out. */
  readonly passedOver: number;
}

/**
 * The tags of a repository. @throws TartletError `NOT_FOUND`, `NET_PROTOCOL` or `NET_TIMEOUT` for a list that does not
 * end, and what the registry client throws.
 */
export async function listRemoteTags(
  session: Session,
  name: RemoteName,
  options: RemoteListOptions = {},
): Promise<RemoteListing> {
  const client = await session.client(name, options.insecure ?? false, name.repositoryName);
  try {
    const { signal } = session;
    const tags = client.tags({ signal, pageSize: pageSize(options) });
    return await gather(tags, (text) => Tag.tryParse(text) !== undefined, options);
  } finally {
    await client.close();
  }
}

/**
 * The repositories of a registry. Many registries do not list them: ghcr.io, Docker Hub.
 * @throws TartletError `NOT_FOUND`, `REG_REJECTED`, `AUTH_REQUIRED` or `AUTH_DENIED` where there is no such list, and
 * as {@link listRemoteTags}.
 */
export async function listRemoteRepositories(
  session: Session,
  registry: RegistryAddress,
  options: RemoteListOptions = {},
): Promise<RemoteListing> {
  // Whose login is taken is decided by the registry; a client is of some repository.
  const some = RemoteName.parse(`${registry.toString()}/catalog`);
  const client = await session.client(some, options.insecure ?? false, registry.toString());
  try {
    const { signal } = session;
    const repositories = client.catalog({ signal, pageSize: pageSize(options) });
    return await gather(repositories, (text) => Repository.tryParseBySpec(text) !== undefined, options);
  } finally {
    await client.close();
  }
}

/** One more than is wanted, to see whether there are more. */
function pageSize({ limit }: RemoteListOptions): number | undefined {
  return limit === undefined || limit >= MAX_PAGE ? undefined : limit + 1;
}

async function gather(
  names: AsyncIterable<string>,
  isLegal: (text: string) => boolean,
  { limit = Number.POSITIVE_INFINITY }: RemoteListOptions,
): Promise<RemoteListing> {
  const found = new Set<string>();
  let passedOver = 0;
  for await (const name of names) {
    if (!isLegal(name)) passedOver += 1;
    else if (found.size < limit) found.add(name);
    else if (!found.has(name)) return { names: [...found], more: true, passedOver };
  }
  return { names: [...found], more: false, passedOver };
}
