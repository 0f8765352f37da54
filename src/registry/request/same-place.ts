import { isLocalhost, isLoopbackHost } from '../../names/ip-address.ts';

/**
 * Whether a host is this machine for certain. `*.localhost` is not: a proxy or another program's resolver may send it
 * elsewhere.
 */
function isHere({ hostname }: URL): boolean {
  return hostname === 'localhost' || (isLoopbackHost(hostname) && !isLocalhost(hostname));
}

/**
 * Whether two addresses are one server: one origin, or two names of this machine, with one port, both plain HTTP. A
 * registry here often calls itself `localhost` while we came by `127.0.0.1`. Between them nothing leaves the machine,
 * and no TLS is given up.
 */
export function isSamePlace(one: URL, other: URL): boolean {
  if (one.origin === other.origin) return true;
  return (
    one.protocol === 'http:' && other.protocol === 'http:' && one.port === other.port && isHere(one) && isHere(other)
  );
}

/**
 * `target` by the name under which we speak to `known`, where both are one place: what is ours goes where it went
 * before, and nowhere else. A target with a user in it stays as it is, for the check that refuses it.
 */
export function byKnownName(target: URL, known: URL): URL {
  const hasUser = target.username !== '' || target.password !== '';
  if (hasUser || target.origin === known.origin || !isSamePlace(target, known)) return target;
  return new URL(target.pathname + target.search, known.origin);
}
