import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CredentialSource } from '../credentials/credential.ts';
import { TartletError } from '../errors.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { CacheFacts } from '../server/contract/cache-facts.ts';
import { type ListeningAddress, RegistryServer } from '../server/registry-server.ts';
import { type AuthOptions, type RegistryOptions, resolveOptions } from '../server/settings/options.ts';
import { type LoginRule, upstreamLogins } from './login.ts';
import { SiteContent } from './site-content.ts';
import { readCacheName } from './upstream-name.ts';
import { type UpstreamChoice, Upstreams } from './upstreams.ts';

export type { UpstreamChoice } from './upstreams.ts';

/** What a site cache is made from. */
export interface SiteCacheOptions extends Omit<RegistryOptions, 'deletes' | 'limits'> {
  /** Which registries it fetches from, and how addresses name them. */
  readonly upstreams: UpstreamChoice;
  /** How long a tag is believed before its registry is asked again, in milliseconds. Default: one minute. */
  readonly tagTtlMs?: number | undefined;
  /**
   * How old an answer may be, in milliseconds, when its registry does not answer; it has a `Warning` then. Default: one
   * day.
   */
  readonly maxStaleMs?: number | undefined;
  /** What blobs may take of the disk, in bytes; what was not used for the longest time makes room. Default: 200 GiB. */
  readonly budgetBytes?: number | undefined;
  /** What stays free on the file system, in bytes. Default: 1 GiB. */
  readonly freeBytes?: number | undefined;
  /**
   * Logins that registries are asked with for the users of `auth`, and for no others. Default: none. Without users in
   * `auth` clients use their own logins.
   */
  readonly logins?: ((registry: RegistryAddress) => CredentialSource) | undefined;
  /** Variables for proxies and certificates. Default: none. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** What registries see in their logs. Default: `Tartlet`. */
  readonly userAgent?: string | undefined;
}

/** A pull-through cache of registries, in this process. */
export interface SiteCache extends AsyncDisposable {
  /** As `Registry.listen`. */
  listen(): Promise<ListeningAddress>;
  /** As `Registry.handle`. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** As `Registry.reconfigure`. */
  reconfigure(changes: Pick<RegistryOptions, 'auth' | 'tls'>): Promise<void>;
  /** What it has done since it was opened. */
  facts(): CacheFacts;
  /** As `Registry.close`; what has arrived of blobs stays. */
  close(): Promise<void>;
}

const GIB = 1024 ** 3;
const DEFAULT_TTL_MS = 60_000;
const DEFAULT_MAX_STALE_MS = 24 * 3_600_000;
const DEFAULT_BUDGET = 200 * GIB;
const DEFAULT_FREE = GIB;

/**
 * Makes a pull-through cache: what clients ask for comes from the registries once, however many ask at a time, and from
 * the disk after that. It gives nothing that its registry would not give to the same client (docs/guide/site-cache.md).
 * @throws TartletError `CONFIG_INVALID` as `createRegistry`, for what is no registry, and for logins without users.
 */
export function createSiteCache(options: SiteCacheOptions): SiteCache {
  return new EmbeddedSiteCache(options);
}

class EmbeddedSiteCache implements SiteCache {
  readonly #content: SiteContent;
  readonly #server: RegistryServer;
  /** Whether logins are for the cache or for upstreams: they must never be taken for the others. */
  readonly #authKind: AuthOptions['kind'];

  constructor(options: SiteCacheOptions) {
    const upstreams = new Upstreams(options.upstreams);
    this.#authKind = options.auth?.kind ?? 'none';
    const { root } = upstreams;
    const { now, log } = resolveOptions(options);
    this.#content = new SiteContent({
      dataDirectory: options.dataDirectory,
      upstreams,
      loginRule: ruleOf(options, root),
      ttlMs: options.tagTtlMs ?? DEFAULT_TTL_MS,
      maxStaleMs: options.maxStaleMs ?? DEFAULT_MAX_STALE_MS,
      budgetBytes: options.budgetBytes ?? DEFAULT_BUDGET,
      freeBytes: options.freeBytes ?? DEFAULT_FREE,
      logins: options.logins,
      environment: options.environment ?? {},
      userAgent: options.userAgent ?? 'Tartlet',
      now,
      log,
    });
    this.#server = new RegistryServer({
      options,
      content: this.#content,
      withoutUsers: upstreamLogins({ asksForLogin: root === undefined }),
      readName: readCacheName,
    });
  }

  async listen(): Promise<ListeningAddress> {
    return this.#server.listen();
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.#server.handle(request, response);
  }

  async reconfigure(changes: Pick<RegistryOptions, 'auth' | 'tls'>): Promise<void> {
    if ((changes.auth?.kind ?? this.#authKind) !== this.#authKind) {
      throw new TartletError('CONFIG_INVALID', 'a site cache cannot begin or cease to have users while it runs');
    }
    await this.#server.reconfigure(changes);
  }

  facts(): CacheFacts {
    return this.#content.facts();
  }

  async close(): Promise<void> {
    await this.#server.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function ruleOf({ auth = { kind: 'none' }, logins }: SiteCacheOptions, root: Upstreams['root']): LoginRule {
  switch (auth.kind) {
    case 'none':
      if (logins === undefined) return { kind: 'upstream', root };
      throw new TartletError(
        'CONFIG_INVALID',
        'logins of the operator need users of the cache: everybody could use them',
      );
    case 'basic':
      return { kind: 'own-users', withOperatorLogins: logins !== undefined };
    case 'token':
      throw new TartletError('CONFIG_INVALID', 'a site cache knows users by passwords, not by tokens');
  }
}
