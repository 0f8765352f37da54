import { createPublicKey, type KeyObject } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { TartletError } from '../../errors.ts';
import { isJsonObject } from '../../json/foreign.ts';
import {
  type Access,
  type Action,
  anonymousAccess,
  type Authentication,
  type Authenticator,
  type RequiredAccess,
} from './access.ts';
import type { AuthOptions } from '../settings/options.ts';

type TokenOptions = Extract<AuthOptions, { kind: 'token' }>;

interface TrustedKey {
  readonly key: KeyObject;
  readonly algorithm: 'RS256' | 'ES256';
}

interface Grant {
  readonly type: string;
  readonly name: string;
  readonly actions: ReadonlySet<string>;
}

/** Clocks of token services are allowed to be wrong by this much. */
const TOLERANCE_SECONDS = 30;

/**
 * Bearer tokens of a token service (distribution token specification): signed JWTs that name repositories and actions.
 * Signatures are checked with configured keys and two algorithms only; `jwk`, `x5c` and `kid` of a token are never
 * looked at (CVE-2025-24976, reliability S41).
 */
export class TokenAuth implements Authenticator {
  readonly #options: TokenOptions;
  readonly #keys: readonly TrustedKey[];
  readonly #now: () => number;

  /** @throws TartletError `CONFIG_INVALID` for keys that cannot be used, or none. */
  constructor(options: TokenOptions, now: () => number) {
    this.#options = options;
    this.#keys = options.trustedKeys.map(readKey);
    this.#now = now;
    if (this.#keys.length === 0) throw new TartletError('CONFIG_INVALID', 'token authentication has no trusted key');
    for (const value of [options.realm, options.service]) {
      if (!/^[ !#-[\]-~]+$/.test(value)) {
        throw new TartletError(
          'CONFIG_INVALID',
          'realm and service of token authentication must be plain text without quotes',
        );
      }
    }
  }

  challenge(needs: readonly RequiredAccess[], error?: 'invalid_token' | 'insufficient_scope'): string {
    const scopes = needs.flatMap((need) => scopeOf(need) ?? []).join(' ');
    const scope = scopes === '' ? '' : `,scope="${scopes}"`;
    const reason = error === undefined ? '' : `,error="${error}"`;
    return `Bearer realm="${this.#options.realm}",service="${this.#options.service}"${scope}${reason}`;
  }

  async authenticate(request: IncomingMessage): Promise<Authentication> {
    const header = request.headers.authorization;
    if (header === undefined) {
      if (this.#options.anonymousRead === true) return { kind: 'granted', access: anonymousAccess };
      return { kind: 'refused', reason: 'authentication is required' };
    }
    const token = /^bearer +([A-Za-z0-9_.-]+) *$/i.exec(header)?.[1];
    if (token === undefined) return { kind: 'refused', reason: 'the Authorization header has no bearer token' };
    const { jwtVerify, errors } = await import('jose');
    let reason = 'no trusted key has signed the token';
    for (const { key, algorithm } of this.#keys) {
      try {
        const { payload } = await jwtVerify(token, key, {
          algorithms: [algorithm],
          issuer: this.#options.issuer,
          audience: this.#options.service,
          requiredClaims: ['exp'],
          clockTolerance: TOLERANCE_SECONDS,
          currentDate: new Date(this.#now()),
        });
        return { kind: 'granted', access: accessOf(payload.sub, payload['access']) };
      } catch (error) {
        if (!(error instanceof errors.JOSEError)) throw error;
        // A signature that fits decides: then the claims are what is wrong.
        if (error instanceof errors.JWTExpired) reason = 'the token has expired';
        else if (error instanceof errors.JWTClaimValidationFailed)
          reason = `the claim "${error.claim}" of the token does not fit`;
      }
    }
    return { kind: 'refused', reason, error: 'invalid_token' };
  }
}

function readKey(pem: string): TrustedKey {
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw new TartletError('CONFIG_INVALID', 'a trusted key is neither a public key nor a certificate in PEM', {
      cause,
    });
  }
  const modulus = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key.asymmetricKeyType === 'rsa' && modulus >= 2048) return { key, algorithm: 'RS256' };
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') {
    return { key, algorithm: 'ES256' };
  }
  throw new TartletError(
    'CONFIG_INVALID',
    'a trusted key must be an RSA key of at least 2048 bits or an EC key on P-256',
    {
      found: key.asymmetricKeyType ?? 'unknown',
    },
  );
}

function accessOf(subject: string | undefined, claim: unknown): Access {
  const grants = parseGrants(claim);
  const allowed = (type: string, name: string, action: string): boolean =>
    grants.some(
      (grant) => grant.type === type && grant.name === name && (grant.actions.has(action) || grant.actions.has('*')),
    );
  return {
    user: subject === '' ? undefined : subject,
    allows: (need) => {
      if (need.kind === 'login') return true;
      if (need.kind === 'catalog') return allowed('registry', 'catalog', '*');
      return need.actions.every((action: Action) => allowed('repository', need.repository, action));
    },
    otherwise: 'challenge',
    readable: grants.map((grant) => grant.name).filter((name) => allowed('repository', name, 'pull')),
  };
}

/** Entries that are not of the claim's shape grant nothing. */
function parseGrants(claim: unknown): Grant[] {
  if (!Array.isArray(claim)) return [];
  return claim.flatMap((entry: unknown) => {
    if (!isJsonObject(entry)) return [];
    const { type, name, actions } = entry;
    if (typeof type !== 'string' || typeof name !== 'string' || !Array.isArray(actions)) return [];
    return { type, name, actions: new Set(actions.filter((action): action is string => typeof action === 'string')) };
  });
}

function scopeOf(need: RequiredAccess): string | undefined {
  if (need.kind === 'login') return undefined;
  if (need.kind === 'catalog') return 'registry:catalog:*';
  return `repository:${need.repository}:${need.actions.join(',')}`;
}
