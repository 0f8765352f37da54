import { TartletError } from '../../errors.ts';
import { cleanText } from '../request/redact.ts';
import { byKnownName } from '../request/same-place.ts';

/** Token services that live under a name of their own and are known to belong to their registry. */
const KNOWN_PAIRS: ReadonlyMap<string, string> = new Map([['registry-1.docker.io', 'auth.docker.io']]);

/** Domains under which registries are rented out by name, as far as the Public Suffix List does not have them. */
const RENTED_OUT: ReadonlySet<string> = new Set([
  'azurecr.io',
  'azurecr.cn',
  'azurecr.us',
  'amazonaws.com',
  'amazonaws.com.cn',
  'on.aws',
  'jfrog.io',
  'aliyuncs.com',
  'tencentcloudcr.com',
  'myhuaweicloud.com',
]);

export interface Realm {
  readonly url: URL;
  /**
   * Whether it belongs to the registry, so that it may get a password. Others are asked for anonymous tokens only.
   */
  readonly trusted: boolean;
}

/**
 * Judges where a registry sends us for a token (reliability S5–S7). Trusted are: the registry's own host on any port,
 * another name of this machine on the registry's own port ({@link byKnownName}), the Docker Hub pair, and over https
 * hosts of the same registrable domain by the Public Suffix List: `registry.gitlab.com` and `gitlab.com`, but not two
 * customers of `azurecr.io`. An anonymous request goes anywhere that has TLS.
 * @throws TartletError `AUTH_REALM` for a realm that must not get a password: no http(s), a user in it, plain HTTP
 * although the registry has TLS.
 */
export async function judgeRealm(realm: string, origin: string): Promise<Realm> {
  const registry = new URL(origin);
  if (realm.trim() === '' || !URL.canParse(realm, origin))
    throw refused(registry, cleanText(realm, 100), 'it is not a URL');
  const url = byKnownName(new URL(realm, origin), registry);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw refused(registry, url.protocol, 'only http and https are spoken');
  if (url.username !== '' || url.password !== '') throw refused(registry, url.host, 'there is a user in it');
  const sameHost = url.hostname === registry.hostname;
  if (url.protocol === 'http:' && (registry.protocol === 'https:' || !sameHost)) {
    throw refused(registry, url.host, 'it has no TLS');
  }
  const trusted =
    sameHost ||
    KNOWN_PAIRS.get(registry.hostname) === url.hostname ||
    (await shareOwner(registry.hostname, url.hostname));
  return { url, trusted };
}

/** The error for a realm that wants a password which it may not have. */
export function untrustedRealm(realm: Realm, origin: string): TartletError {
  const registry = new URL(origin);
  return new TartletError('AUTH_REALM', `${registry.host} wants your password sent to ${realm.url.host}: not sent`, {
    subject: realm.url.host,
    retryable: false,
    next: { kind: 'serve-tokens-under-own-name' },
  });
}

/** The list is loaded when two names have to be compared, which most registries never ask for. */
async function shareOwner(a: string, b: string): Promise<boolean> {
  const { getDomain } = await import('tldts');
  // The private part of the list has those who give names to others, such as github.io.
  const [first, second] = [a, b].map((host) => getDomain(host, { allowPrivateDomains: true }));
  return typeof first === 'string' && first === second && !RENTED_OUT.has(first);
}

function refused(registry: URL, shown: string, why: string): TartletError {
  return new TartletError('AUTH_REALM', `${registry.host} sends us to "${shown}" for a token: ${why}`, {
    subject: shown,
    retryable: false,
    next: { kind: 'check-registry-authentication' },
  });
}
