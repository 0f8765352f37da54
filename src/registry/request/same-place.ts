/**
 * `localhost`, 127.0.0.0/8 and `[::1]`, also as IPv4 in IPv6, as `URL` spells them: it has folded `127.1`, `0x7f.1` and
 * the like.
 */
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]|\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\])$/;

/** Whether the host of a URL is this machine for certain. `*.localhost` is not: resolvers may send it elsewhere. */
export function isLoopbackHost(hostname: string): boolean {
  return LOOPBACK.test(hostname);
}

/**
 * Whether two addresses are one server: one origin, or two names of this machine, with one port, both plain HTTP. A
 * registry here often calls itself `localhost` while we came by `127.0.0.1`. Between them nothing leaves the machine,
 * and no TLS is given up.
 */
export function isSamePlace(one: URL, other: URL): boolean {
  if (one.origin === other.origin) return true;
  return (
    one.protocol === 'http:' &&
    other.protocol === 'http:' &&
    one.port === other.port &&
    isLoopbackHost(one.hostname) &&
    isLoopbackHost(other.hostname)
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
