import type { Credential } from '../../credentials/credential.ts';
import { isTartletError, TartletError } from '../../errors.ts';
import { fieldOf, parseJson, textOf } from '../../json/foreign.ts';
import { authorized } from './authorization.ts';
import type { Timing } from '../request/backoff.ts';
import { requestDocument } from '../response/document.ts';
import { loginAdvice, loginAgainAdvice } from './login-refusal.ts';
import { hostAndPort } from '../request/network-error.ts';
import { appendQuery } from '../request/query.ts';
import { redactUrl } from '../request/redact.ts';
import { refused } from '../response/refusal.ts';
import type { Access, RegistryRequest, RegistryResponse, Transport } from '../request/request.ts';

export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
  /** Only ever given for a trusted realm. Undefined: ask anonymously. */
  readonly credential: Credential | undefined;
  /** Where the token will be used, for messages: `host[:port]`. */
  readonly registry: string;
  /** What it will be used for. */
  readonly access: Access;
}

export interface Token {
  readonly value: string;
  /** How long it may be used from now on, in milliseconds. */
  readonly lifetimeMs: number;
}

/**
 * Asks a token service for a token (distribution token protocol; for identity tokens its OAuth2 form). `send` must not
 * follow redirects (reliability S8). The answer is at most 128 KiB; `issued_at` is ignored: the time of receipt counts,
 * by our own clock (Q24).
 * @throws TartletError `AUTH_DENIED`, `AUTH_REQUIRED` (when anonymous), `AUTH_REALM`, `NET_*`, `REG_UNAVAILABLE`,
 * `RATE_LIMITED`.
 */
export async function requestToken(
  send: Transport,
  request: TokenRequest,
  timing: Timing,
  signal?: AbortSignal,
): Promise<Token> {
  const limit = timing.limits.tokenBytes;
  const { response, bytes } = await requestDocument(send, toHttp(request), { limit, timing, signal }).catch(
    (error: unknown) => {
      throw realmRefused(error, request);
    },
  );
  if (response.status !== 200) throw await explain(response, request);
  if (bytes === undefined) throw unreadable(request.realm, `is longer than ${limit} bytes`);
  return parseToken(bytes, request.realm, timing);
}

/** What the guard of addresses says about a realm, in the words for realms. */
function realmRefused(error: unknown, { registry }: TokenRequest): unknown {
  if (!isTartletError(error, 'REDIRECT_REFUSED')) return error;
  return new TartletError('AUTH_REALM', `no token for ${registry}: ${error.message}`, error.facts);
}

function toHttp({ realm, service, scopes, credential }: TokenRequest): RegistryRequest {
  const access = { action: 'pull' } as const;
  if (credential?.kind === 'identity-token') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      client_id: 'tartlet',
      refresh_token: credential.token,
      scope: scopes.join(' '),
      ...(service === undefined ? {} : { service }),
    });
    const bytes = new TextEncoder().encode(form.toString());
    const headers = { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' };
    return {
      method: 'POST',
      url: realm,
      headers,
      body: { length: bytes.length, open: () => bytes },
      access,
      idempotent: true,
    };
  }
  // The realm keeps the query it came with; Tart drops it (tart-formats §6.2).
  const parameters: [string, string][] = scopes.map((scope) => ['scope', scope]);
  if (service !== undefined) parameters.push(['service', service]);
  const url = new URL(appendQuery(realm.href, parameters));
  const request = { method: 'GET', url, headers: { accept: 'application/json' }, access, idempotent: true } as const;
  return authorized(request, credential === undefined ? undefined : basic(credential), realm.origin);
}

/** The value of a Basic `Authorization` header (RFC 7617, UTF-8). */
export function basic({ username, password }: Extract<Credential, { kind: 'password' }>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

async function explain(response: RegistryResponse, request: TokenRequest): Promise<TartletError> {
  const { registry, credential } = request;
  if (response.status >= 300 && response.status < 400) {
    await response.body.discard();
    const where = redactUrl(request.realm);
    return new TartletError('AUTH_REALM', `the token service ${where} redirects, which is not followed`, {
      subject: where,
      status: response.status,
      retryable: false,
    });
  }
  if (response.status === 429 || response.status >= 500) {
    return refused(response, { what: `got no token for ${registry}`, subject: registry });
  }
  if (credential === undefined) {
    return refused(response, {
      what: `${registry} gives no token to anonymous users`,
      subject: registry,
      code: 'AUTH_REQUIRED',
      next: loginAdvice(registry),
    });
  }
  const who = credential.kind === 'password' ? `"${credential.username}"` : 'the stored identity token';
  // 401 means that it does not know us by these; anything else may have other reasons (RFC 9110 §15.5.2).
  const isWrong = response.status === 401 && credential.kind === 'password';
  return refused(response, {
    what:
      `${isWrong ? 'wrong user name or password: ' : ''}${registry} does not accept ${who} from ` + credential.source,
    subject: registry,
    code: 'AUTH_DENIED',
    next: loginAgainAdvice(registry, credential, request.access),
  });
}

function parseToken(bytes: Uint8Array, realm: URL, { limits }: Timing): Token {
  const answer = parseJson(new TextDecoder().decode(bytes));
  if (answer === undefined) throw unreadable(realm, 'is not JSON');
  // Azure sends only access_token (tart-formats §6.4); where both are, the spec says they are equal.
  const value = [textOf(answer, 'token'), textOf(answer, 'access_token')].find((text) => (text ?? '') !== '') ?? '';
  // Only what fits into a header: anything else would be an injection or a mistake.
  if (!/^[\x21-\x7e]+$/.test(value)) throw unreadable(realm, 'contains no usable token');
  const expiry = fieldOf(answer, 'expires_in');
  const seconds = typeof expiry === 'number' ? expiry : 60;
  const lifetime = Math.min(Math.max(seconds * 1000, limits.tokenMinimumMs), limits.tokenMaximumMs);
  return { value, lifetimeMs: lifetime - limits.tokenEarlyMs };
}

function unreadable(realm: URL, why: string): TartletError {
  return new TartletError('NET_PROTOCOL', `the answer of the token service ${hostAndPort(realm)} ${why}`, {
    subject: redactUrl(realm),
  });
}
