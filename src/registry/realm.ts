import { isIP } from 'node:net';
import { TartletError } from '../errors.ts';
import { cleanText } from './redact.ts';

/** Token services that live under a name of their own and are known to belong to their registry. */
const KNOWN_PAIRS: ReadonlyMap<string, string> = new Map([['registry-1.docker.io', 'auth.docker.io']]);

export interface Realm {
  readonly url: URL;
  /** Whether it belongs to the registry, so that it may learn who we are. Others are asked for anonymous tokens only. */
  readonly trusted: boolean;
}

/**
 * Judges where a registry sends us for a token (reliability S5–S7). Trusted are: the registry's own host on any port, the Docker Hub pair, and over https
 * hosts that share the registry's last two labels (three below a short public suffix such as `co.uk`): `registry.gitlab.com` and
 * `gitlab.com`. This is a guess at ownership, not a proof; it only ever concerns the password for this very registry.
 * @throws TartletError `AUTH_REALM` for a realm that nobody should be sent to: no http(s), a user in it, plain HTTP although the registry has TLS.
 */
export function judgeRealm(realm: string, origin: string): Realm {
  const registry = new URL(origin);
  if (realm.trim() === '' || !URL.canParse(realm, origin))
    throw refused(registry, cleanText(realm, 100), 'it is not a URL');
  const url = new URL(realm, origin);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw refused(registry, url.protocol, 'only http and https are spoken');
  if (url.username !== '' || url.password !== '') throw refused(registry, url.host, 'there is a user in it');
  const sameHost = url.hostname === registry.hostname;
  if (url.protocol === 'http:' && (registry.protocol === 'https:' || !sameHost)) {
    throw refused(registry, url.host, 'it has no TLS');
  }
  const trusted =
    sameHost || KNOWN_PAIRS.get(registry.hostname) === url.hostname || shareOwner(registry.hostname, url.hostname);
  return { url, trusted };
}

/** The error for a realm that wants a password which it may not have. */
export function untrustedRealm(realm: Realm, origin: string): TartletError {
  const registry = new URL(origin);
  return new TartletError('AUTH_REALM', `${registry.host} wants your password sent to ${realm.url.host}: not sent`, {
    subject: realm.url.host,
    retryable: false,
    next: 'if both belong together, ask whoever runs the registry to serve tokens under its own name',
  });
}

function shareOwner(a: string, b: string): boolean {
  const owner = ownerOf(a);
  return owner !== undefined && owner === ownerOf(b);
}

function ownerOf(host: string): string | undefined {
  const labels = host.replace(/\.$/, '').split('.');
  if (isIP(host) !== 0 || host.startsWith('[')) return undefined;
  const second = labels.at(-2) ?? '';
  const needed = second.length <= 3 && (labels.at(-1) ?? '').length === 2 ? 3 : 2;
  return labels.length < needed ? undefined : labels.slice(-needed).join('.');
}

function refused(registry: URL, shown: string, why: string): TartletError {
  return new TartletError('AUTH_REALM', `${registry.host} sends us to "${shown}" for a token: ${why}`, {
    subject: shown,
    retryable: false,
    next: 'check the authentication settings of the registry',
  });
}
