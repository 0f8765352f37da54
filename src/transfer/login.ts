import { isTartletError, TartletError } from '../errors.ts';
import type { Hint } from '../hint.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { ping } from '../registry/ping.ts';
import { registryConnection, type RegistryConnectionOptions } from '../registry/registry-connection.ts';

export interface LoginCheckOptions
  extends Pick<
    RegistryConnectionOptions,
    'environment' | 'insecure' | 'limits' | 'onRequest' | 'onWait' | 'onWire' | 'userAgent'
  > {
  readonly registry: RegistryAddress;
  readonly username: string;
  readonly password: string;
  readonly signal?: AbortSignal;
}

/** What is known after a registry was asked: it took the password, or it let us in without wanting one. */
export type LoginCheck = 'accepted' | 'not-asked';

/**
 * Asks a registry whether it takes a user and a password: `GET /v2/` with exactly these, and with a token of its token
 * service when it wants one. A web page or another service that says 200 to everything is not a registry, so that
 * nothing is "logged in" there.
 *
 * @throws TartletError `AUTH_DENIED` for a wrong password, `AUTH_REALM` when the registry wants it sent to another
 * host, `NET_PROTOCOL` or `NOT_FOUND` when this is no registry, and `NET_*`, `REG_UNAVAILABLE`, `RATE_LIMITED`.
 */
export async function checkLogin(options: LoginCheckOptions): Promise<LoginCheck> {
  const { registry, username, password, signal, ...rest } = options;
  let asked = false;
  const connection = registryConnection({
    ...rest,
    registry,
    credentials: {
      find: async () => {
        asked = true;
        return { kind: 'password', registry, username, password, source: 'this login' };
      },
    },
  });
  try {
    await ping({ ...connection, registry }, signal);
    return asked ? 'accepted' : 'not-asked';
  } catch (cause) {
    if (!isTartletError(cause, 'AUTH_DENIED')) throw cause;
    // The usual advice is to log in.
    const next: Hint = { kind: 'check-login-or-use-token' };
    throw new TartletError(cause.code, cause.message, { ...cause.facts, next, cause });
  } finally {
    await connection.http.close();
  }
}
