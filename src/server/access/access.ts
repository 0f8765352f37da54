import type { IncomingMessage } from 'node:http';

/** The three rights of the token specification. Deleting is not part of pushing (reliability S45). */
export type Action = 'pull' | 'push' | 'delete';

/** What a request takes. `login`: only a login, as for `GET /v2/`. */
export type RequiredAccess =
  | { readonly kind: 'login' }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'repository'; readonly repository: string; readonly actions: readonly Action[] };

/** What the client of a request may do. */
export interface Access {
  /** For the log; undefined for anybody. */
  readonly user: string | undefined;
  allows(need: RequiredAccess): boolean;
  /** Repositories that may be read, where they can be told without asking the store: a token names them. */
  readonly readable: 'all' | readonly string[];
  /**
   * What a need that is not met leads to: `challenge`, where another login or token could help, or `forbid`, where the
   * user is known.
   */
  readonly otherwise: 'challenge' | 'forbid';
}

export type Authentication =
  | { readonly kind: 'granted'; readonly access: Access }
  /** No credentials, or credentials that are not valid. `reason` is safe to show. */
  | { readonly kind: 'refused'; readonly reason: string; readonly error?: 'invalid_token' }
  | { readonly kind: 'throttled'; readonly retryAfterMs: number };

/** Decides whose request it is. */
export interface Authenticator {
  authenticate(request: IncomingMessage): Promise<Authentication>;
  /** The `WWW-Authenticate` value for a need that was not met. */
  challenge(needs: readonly RequiredAccess[], error?: 'invalid_token' | 'insufficient_scope'): string;
}

export const fullAccess = (user: string | undefined): Access => ({
  user,
  allows: () => true,
  readable: 'all',
  otherwise: 'forbid',
});

/** A user who may read everything, and change nothing. */
export const readOnlyAccess = (user: string): Access => ({
  user,
  allows: isReading,
  readable: 'all',
  otherwise: 'forbid',
});

/**
 * Everybody, where reading needs no login. `GET /v2/` does: clients ask there whether and how to log in, and would
 * otherwise never do it (skopeo and Docker, for a push).
 */
export const anonymousAccess: Access = {
  user: undefined,
  allows: (need) => need.kind !== 'login' && isReading(need),
  readable: 'all',
  otherwise: 'challenge',
};

function isReading(need: RequiredAccess): boolean {
  return need.kind !== 'repository' || need.actions.every((action) => action === 'pull');
}

/** An authenticator that lets everybody do everything. */
export const allowAll: Authenticator = {
  authenticate: async () => ({ kind: 'granted', access: fullAccess(undefined) }),
  challenge: () => '',
};
