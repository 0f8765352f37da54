import { createCredentialSource } from '../../credentials/chain.ts';
import { TartletError } from '../../errors.ts';
import type { SiteCacheOptions } from '../../mirror/site-cache.ts';
import { userAgent } from '../session/session.ts';
import { credentialSettings } from '../session/credential-settings.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** What `serve` was told about being a site cache. */
export interface ProxyingOptions {
  readonly proxy?: readonly string[];
  readonly proxyFor?: string;
  /** Milliseconds. */
  readonly proxyTtl?: number;
  /** Milliseconds. */
  readonly proxyMaxStale?: number;
  /** Bytes. */
  readonly proxyBudget?: number;
  readonly proxyLogins?: true;
}

type Proxying = Pick<
  SiteCacheOptions,
  'upstreams' | 'tagTtlMs' | 'maxStaleMs' | 'budgetBytes' | 'logins' | 'environment' | 'userAgent'
>;

/** Options of a registry that a cache has not, by their names on the command line. */
interface NotOfCaches {
  readonly tokenRealm?: string;
  readonly allowBreakingDeletes?: true;
}

/**
 * The same for the cache; undefined for a registry.
 * @throws TartletError `USAGE` for options that contradict each other.
 */
export function proxying(terminal: Terminal, options: ProxyingOptions & NotOfCaches): Proxying | undefined {
  const { proxy, proxyFor, proxyTtl, proxyMaxStale, proxyBudget, proxyLogins } = options;
  if (proxy === undefined && proxyFor === undefined) {
    const lonely = [proxyTtl, proxyMaxStale, proxyBudget, proxyLogins].some((option) => option !== undefined);
    if (!lonely) return undefined;
    throw usage('the --proxy options need --proxy or --proxy-for', 'name a registry with --proxy');
  }
  if (proxy !== undefined && proxyFor !== undefined) {
    throw usage('--proxy and --proxy-for exclude each other', 'use --proxy for several registries');
  }
  if (options.tokenRealm !== undefined) throw usage('a site cache knows no tokens', 'use --htpasswd for its users');
  if (options.allowBreakingDeletes !== undefined) {
    throw usage('nothing can be deleted from a site cache', 'leave out --allow-breaking-deletes');
  }
  const settings = credentialSettings(terminal);
  return {
    upstreams: proxyFor === undefined ? { allowed: proxy ?? [] } : { mirrorOf: proxyFor },
    tagTtlMs: proxyTtl,
    maxStaleMs: proxyMaxStale,
    budgetBytes: proxyBudget,
    // Made anew each time it is asked for, so that a new login counts.
    logins: proxyLogins === true ? () => createCredentialSource(settings) : undefined,
    environment: terminal.environment,
    userAgent: userAgent(terminal),
  };
}

function usage(what: string, words: string): TartletError {
  return new TartletError('USAGE', what, { next: { kind: 'in-words', words } });
}
