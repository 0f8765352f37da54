import type { Credential, CredentialSource } from '../../credentials/credential.ts';
import { isTartletError, TartletError } from '../../errors.ts';
import type { RegistryAddress } from '../../names/registry-address.ts';
import type { Authenticator, Refusal } from './authenticator.ts';
import type { Timing } from '../request/backoff.ts';
import { parseChallenges } from './challenge.ts';
import { type Way, waysToAnswer } from './challenge-way.ts';
import { type Identity, LoginLookup } from './login-lookup.ts';
import { alsoUnusable, loginRefused, loginRequired } from './login-refusal.ts';
import { judgeRealm, untrustedRealm } from './realm.ts';
import type { Access, Transport } from '../request/request.ts';
import { accessKey, scopesToAsk } from './scope.ts';
import type { SentSecrets } from '../request/sent-secrets.ts';
import { requestToken } from './token.ts';
import { untilAborted } from './until-aborted.ts';

export interface RegistryAuthenticatorOptions {
  readonly registry: RegistryAddress;
  readonly credentials: CredentialSource;
  /** For token requests: retries, but follows no redirects. */
  readonly send: Transport;
  readonly timing: Timing;
  /** Told of each login that is found and each token that comes, before either is sent. */
  readonly secrets: SentSecrets;
}

interface HeldToken {
  readonly value: string;
  /** By the monotonic clock, so that neither sleep nor a corrected wall clock keeps a dead token alive (N55). */
  readonly expiresAt: number;
}

/** How many tokens are remembered to tell where they came from: more than one client holds at a time. */
const REMEMBERED_TOKENS = 100;
/** Fresh tokens of one service that one request is refused with before that service is given up (reliability N34). */
const TOKENS_PER_SERVICE = 2;

/**
 * Answers the challenges of one registry: Basic and Bearer (reliability Q23–Q25, Q29). Tokens live in memory, one per
 * access, and are fetched once however many requests wait for them. What a request was refused with is not sent by it
 * again: the next way that was offered is.
 */
export class RegistryAuthenticator implements Authenticator {
  readonly #options: RegistryAuthenticatorOptions;
  readonly #tokens = new Map<string, HeldToken>();
  /** Which way each of the latest tokens came from. */
  readonly #origins = new Map<string, string>();
  readonly #basics = new Map<string, string>();
  readonly #pending = new Map<string, Promise<void>>();
  /** The challenge that the last token of an access answered. */
  readonly #answered = new Map<string, Refusal>();
  /** By access and way: why no token came, when asking again would change nothing. Forgotten with the next request. */
  readonly #failures = new Map<string, Map<string, TartletError>>();
  readonly #logins: LoginLookup;

  constructor(options: RegistryAuthenticatorOptions) {
    this.#options = options;
    this.#logins = new LoginLookup(options.registry, options.credentials);
  }

  async authorization(access: Access): Promise<string | undefined> {
    const current = this.#current(access);
    const answered = this.#answered.get(accessKey(access));
    if (current !== undefined || answered === undefined) return current;
    // The token expired, and what the registry will say is known: do not send it a whole blob only to hear it again.
    await this.#answerOnce(answered);
    return this.#current(access);
  }

  async challenged(refusal: Refusal, signal?: AbortSignal): Promise<void> {
    const current = this.#current(refusal.access);
    // Another request was refused before this one, and has got something new meanwhile.
    if (current !== undefined && !refusal.refused.includes(current)) return;
    await untilAborted(this.#answerOnce(refusal), signal);
  }

  /** See {@link Authenticator}. */
  async forget(access: Access): Promise<void> {
    const key = accessKey(access);
    for (const held of [this.#tokens, this.#answered, this.#failures]) held.delete(key);
    this.#basics.delete(access.repository ?? '');
    this.#logins.forget(access.repository);
  }

  identity(repository?: string): Promise<string> {
    return this.#logins.words(repository);
  }

  #current(access: Access): string | undefined {
    const key = accessKey(access);
    const token = this.#tokens.get(key);
    if (token !== undefined) {
      if (token.expiresAt > this.#options.timing.clock.monotonic()) return token.value;
      this.#tokens.delete(key);
    }
    return this.#basics.get(access.repository ?? '');
  }

  /**
   * One token request per access at a time. Not bound to the signal of the first caller: the others still want the
   * token.
   */
  #answerOnce(refusal: Refusal): Promise<void> {
    const key = accessKey(refusal.access);
    let pending = this.#pending.get(key);
    if (pending === undefined) {
      pending = this.#answer(refusal, key).finally(() => this.#pending.delete(key));
      this.#pending.set(key, pending);
    }
    return pending;
  }

  /**
   * Answers the strongest challenge that this request has not tried yet; one whose answer cannot be had makes way for
   * the next.
   */
  async #answer(refusal: Refusal, key: string): Promise<void> {
    const schemes = parseChallenges(refusal.challenges).map(({ scheme }) => scheme);
    if (!schemes.some((scheme) => scheme === 'basic' || scheme === 'bearer')) {
      throw unanswerable(this.#options.registry.toString(), schemes);
    }
    const identity = await this.#logins.identify(refusal.access);
    if (identity.kind === 'login') this.#options.secrets.noteCredential(identity.credential);
    if (refusal.round === 1) this.#failures.delete(key);
    const failures = this.#failures.get(key) ?? new Map<string, TartletError>();
    this.#failures.set(key, failures);
    const offered = waysToAnswer(refusal.challenges, credentialOf(identity));
    const untried = this.#untried(offered, refusal).filter((way) => !failures.has(way.key));
    for (const [index, way] of untried.entries()) {
      try {
        await this.#take(way, refusal, key, { identity, isLast: index === untried.length - 1 });
        if (identity.kind === 'unusable') this.#logins.passOver(identity.fault);
        return;
      } catch (error) {
        if (!isTartletError(error) || error.code === 'INTERRUPTED') throw error;
        // One that may pass is asked again with more patience, should nothing else work.
        if (error.facts.retryable !== true || index === untried.length - 1) failures.set(way.key, error);
      }
    }
    // Should it be asked for once more, another login may be there.
    this.#logins.forget(refusal.access.repository);
    const error = this.#exhausted(refusal, credentialOf(identity), [...failures.values()][0]);
    // Whatever else kept us out may have nothing to do with the credential.
    throw identity.kind === 'unusable' && isTartletError(error, 'AUTH_REQUIRED')
      ? alsoUnusable(error, identity.fault)
      : error;
  }

  /** What of the offers this request may still try, in the order in which to do so. */
  #untried(offered: readonly Way[], { refused, round }: Refusal): Way[] {
    const tries = (way: Way): number => refused.filter((value) => this.#wayOf(value) === way.key).length;
    // What was held before this request began may have worked until now: a new token of the same service comes first
    // then.
    const isStale = (way: Way): boolean => round === 1 && tries(way) > 0;
    const left = offered.filter((way) => tries(way) < (way.kind === 'basic' ? 1 : TOKENS_PER_SERVICE));
    const rank = (way: Way): number => (isStale(way) ? -1 : tries(way));
    return left.toSorted((one, other) => rank(one) - rank(other));
  }

  #wayOf(value: string): string | undefined {
    return value.startsWith('Basic ') ? 'basic' : this.#origins.get(value);
  }

  /** Gets what a way wants to have, and holds it in place of what this request was refused with. */
  async #take(
    way: Way,
    refusal: Refusal,
    key: string,
    { identity, isLast }: { readonly identity: Identity; readonly isLast: boolean },
  ): Promise<void> {
    const repository = refusal.access.repository ?? '';
    if (way.kind === 'basic') {
      this.#tokens.delete(key);
      this.#answered.delete(key);
      this.#basics.set(repository, way.value);
      return;
    }
    const token = await this.#fetchToken(way, refusal, credentialOf(identity), isLast);
    this.#options.secrets.noteAuthorization(token.value);
    if (refusal.refused.includes(this.#basics.get(repository) ?? '')) this.#basics.delete(repository);
    const { access, origin, challenges } = refusal;
    this.#answered.set(key, { access, origin, challenges, refused: [], round: 1 });
    this.#tokens.set(key, token);
    this.#origins.set(token.value, way.key);
    for (const old of this.#origins.keys()) {
      if (this.#origins.size > REMEMBERED_TOKENS) this.#origins.delete(old);
    }
  }

  /** @param isLast whether no other way is left; else a token service that does not answer is not asked twice. */
  async #fetchToken(
    { realm: realmText, challenge }: Extract<Way, { kind: 'bearer' }>,
    { access, origin }: Refusal,
    credential: Credential | undefined,
    isLast: boolean,
  ): Promise<HeldToken> {
    const { send, registry } = this.#options;
    const usual = this.#options.timing;
    const timing = isLast ? usual : { ...usual, limits: { ...usual.limits, attempts: 1 } };
    const realm = await judgeRealm(realmText, origin);
    if (credential !== undefined && !realm.trusted) throw untrustedRealm(realm, origin);
    const token = await requestToken(
      send,
      {
        realm: realm.url,
        service: challenge.parameters.get('service'),
        scopes: scopesToAsk(challenge.parameters.get('scope'), access),
        credential,
        registry: registry.toString(),
        access,
      },
      timing,
    );
    return { value: `Bearer ${token.value}`, expiresAt: usual.clock.monotonic() + token.lifetimeMs };
  }

  /** Nothing is left to try: what the registry refused, and what kept us from trying more. */
  #exhausted(refusal: Refusal, credential: Credential | undefined, failure: TartletError | undefined): TartletError {
    if (failure !== undefined && (refusal.refused.length === 0 || failure.code === 'AUTH_DENIED')) return failure;
    const denied = this.#denied(refusal, credential);
    if (failure === undefined) return denied;
    return new TartletError(failure.code, `${denied.message}; and ${failure.message}`, failure.facts);
  }

  #denied({ access, refused, round }: Refusal, credential: Credential | undefined): TartletError {
    const registry = this.#options.registry.toString();
    if (credential === undefined) return loginRequired(registry, access);
    const password = refused.find((value) => this.#wayOf(value) === 'basic');
    if (password === undefined) return loginRefused(registry, access, credential, 'token');
    const repository = access.repository ?? '';
    if (this.#basics.get(repository) === password) this.#basics.delete(repository);
    // One that was held before this request began has been accepted for others: it is not the password that is wrong.
    return loginRefused(registry, access, credential, round === 1 ? 'token' : 'password');
  }
}

function credentialOf(identity: Identity): Credential | undefined {
  return identity.kind === 'login' ? identity.credential : undefined;
}

function unanswerable(registry: string, challenged: readonly string[]): TartletError {
  const schemes = challenged.map((scheme) => scheme.replaceAll(/[^a-z0-9-]/g, '').slice(0, 20)).join(', ');
  const asks = schemes === '' ? 'without saying how to authenticate' : `and offers only ${schemes}`;
  return new TartletError('AUTH_REQUIRED', `${registry} answers 401 ${asks}`, {
    subject: registry,
    status: 401,
    retryable: false,
    next: { kind: 'check-is-registry' },
  });
}
