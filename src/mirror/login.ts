import { createHmac } from 'node:crypto';
import type { Access, Authentication, Authenticator } from '../server/access/access.ts';
import { parseBasic } from '../server/access/basic-auth.ts';
import type { Asker } from '../server/contract/served-content.ts';
import type { Upstream } from './upstreams.ts';
import { upstreamText } from './upstream-name.ts';

/** As whom an upstream is asked for a client. */
export type Identity =
  | { readonly kind: 'anonymous' }
  /** The client's own login, which it meant for this upstream. */
  | { readonly kind: 'client'; readonly name: string; readonly password: string }
  /** The login of the operator, for a user of the cache's own list. */
  | { readonly kind: 'operator' };

/** What a user name may be who wants to say that there is no login: some clients cannot go without one. */
const NO_LOGIN = 'anonymous';

export const CHALLENGE = 'Basic realm="site cache"';

/** How the logins of clients are used. */
export type LoginRule =
  /** They are for the upstream: in the mirror of one registry as they are, else those that name it, `me@ghcr.io`. */
  | { readonly kind: 'upstream'; readonly root: Upstream | undefined }
  /** They are for the cache, whose users are asked for with the operator's logins, or without any. */
  | { readonly kind: 'own-users'; readonly withOperatorLogins: boolean };

/**
 * As whom `upstream` is asked. A login is sent to no upstream but the one that its user name names: a client has one
 * login for the cache, whichever registries it reaches through it, and none of them may see what is for another. A
 * login for another upstream, and one that names none, is as none.
 */
export function identityFor(upstream: Upstream, { user, authorization }: Asker, rule: LoginRule): Identity {
  if (rule.kind === 'own-users') {
    // A client without a login gets what needs none: the operator's login must not open anything to all.
    return { kind: user !== undefined && rule.withOperatorLogins ? 'operator' : 'anonymous' };
  }
  const login = authorization === undefined ? undefined : parseBasic(authorization);
  if (login === undefined || login.name === '') return { kind: 'anonymous' };
  const suffix = `@${upstreamText(upstream.address)}`;
  if (login.name.endsWith(suffix) && login.name.length > suffix.length) {
    return { kind: 'client', name: login.name.slice(0, -suffix.length), password: login.password };
  }
  if (rule.root === undefined || login.name === NO_LOGIN) return { kind: 'anonymous' };
  return { kind: 'client', name: login.name, password: login.password };
}

/** The upstream that a login is for: what follows the last `@` of its user name. */
export function upstreamOfLogin({ authorization }: Asker): string | undefined {
  const name = authorization === undefined ? undefined : parseBasic(authorization)?.name;
  const at = name?.lastIndexOf('@') ?? -1;
  return name === undefined || at < 1 ? undefined : name.slice(at + 1);
}

/** Whether a client has a login at all, and not the empty one that skopeo sends without one. */
export function hasLogin({ authorization }: Asker): boolean {
  const name = authorization === undefined ? '' : (parseBasic(authorization)?.name ?? '');
  return name !== '' && name !== NO_LOGIN;
}

/** The same text for the same identity at the same place, and nothing that tells the password. */
export function identityKey(secret: Buffer, identity: Identity, ...place: readonly string[]): string {
  const parts = identity.kind === 'client' ? [identity.kind, identity.name, identity.password] : [identity.kind];
  return createHmac('sha256', secret)
    .update(JSON.stringify([...parts, ...place]))
    .digest('hex');
}

/**
 * Lets every client in, whatever login it has: the upstream decides what may be read. `GET /v2/` asks for a login, or
 * else clients that ask there first would never send theirs (skopeo); not in the mirror of one registry, because
 * Docker, which uses no other form, could not do without one then.
 */
export function upstreamLogins(rule: { readonly asksForLogin: boolean }): Authenticator {
  // Not known by name: nothing has checked the login yet, and what is typed for a name may be a token.
  const granted = (hasOne: boolean): Authentication => {
    const allows: Access['allows'] = (need) => hasOne || !rule.asksForLogin || need.kind !== 'login';
    return { kind: 'granted', access: { user: undefined, allows, readable: [], otherwise: 'challenge' } };
  };
  return {
    authenticate: async (request) => {
      const { authorization } = request.headers;
      if (authorization === undefined) return granted(false);
      const login = parseBasic(authorization);
      if (login === undefined) {
        return { kind: 'refused', reason: 'the Authorization header is not of the Basic scheme' };
      }
      return granted(login.name !== '' || login.password !== '');
    },
    challenge: () => CHALLENGE,
  };
}
