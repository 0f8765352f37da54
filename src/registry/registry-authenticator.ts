import type { Credential, CredentialSource } from '../credentials/credential.ts';
import { TartletError } from '../errors.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { Authenticator, Refusal } from './authenticator.ts';
import { describeAccess } from './authorization.ts';
import type { Timing } from './backoff.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { judgeRealm, untrustedRealm } from './realm.ts';
import type { Access, Transport } from './request.ts';
import { accessKey, scopesToAsk } from './scope.ts';
import { basic, loginAdvice, requestToken } from './token.ts';

export interface RegistryAuthenticatorOptions {
  readonly registry: RegistryAddress;
  readonly credentials: CredentialSource;
  /** For token requests: retries, but follows no redirects. */
  readonly send: Transport;
  readonly timing: Timing;
}

interface HeldToken {
  readonly value: string;
  /** By the monotonic clock, so that neither sleep nor a corrected wall clock keeps a dead token alive (N55). */
  readonly expiresAt: number;
}

/**
 * Answers the challenges of one registry: Basic and Bearer (reliability Q23–Q25). Tokens live in memory, one per access, and are fetched
 * once however many requests wait for them.
 */
export class RegistryAuthenticator implements Authenticator {
  readonly #options: RegistryAuthenticatorOptions;
  readonly #tokens = new Map<string, HeldToken>();
  readonly #basics = new Map<string, string>();
  readonly #pending = new Map<string, Promise<void>>();
  /** The challenge that the last token of an access answered. */
  readonly #answered = new Map<string, Refusal>();
  readonly #found = new Map<string, Promise<Credential | undefined>>();

  constructor(options: RegistryAuthenticatorOptions) {
    this.#options = options;
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
    // Somebody else was refused before us and has got a new token meanwhile.
    if (current !== undefined && current !== refusal.sent) return;
    await untilAborted(this.#answerOnce(refusal), signal);
  }

  async identity(repository?: string): Promise<string> {
    const credential = await this.#credential(repository);
    if (credential === undefined) return 'anonymously';
    return credential.kind === 'password'
      ? `as "${credential.username}" (${credential.source})`
      : `with the identity token from ${credential.source}`;
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

  /** One token request per access at a time. Not bound to the signal of whoever came first: the others still want the token. */
  #answerOnce(refusal: Refusal): Promise<void> {
    const key = accessKey(refusal.access);
    let pending = this.#pending.get(key);
    if (pending === undefined) {
      pending = this.#answer(refusal, key).finally(() => this.#pending.delete(key));
      this.#pending.set(key, pending);
    }
    return pending;
  }

  /** Chooses the first challenge that we can answer, and answers it. */
  async #answer(refusal: Refusal, key: string): Promise<void> {
    const credential = await this.#credential(refusal.access.repository);
    const challenges = parseChallenges(refusal.challenges);
    if (refusal.round > 2) throw this.#denied(refusal, credential);
    for (const challenge of challenges) {
      if (challenge.scheme === 'basic' && credential?.kind === 'password') {
        const value = basic(credential);
        if (value === refusal.sent) throw this.#denied(refusal, credential);
        this.#basics.set(refusal.access.repository ?? '', value);
        return;
      }
      const realm = challenge.scheme === 'bearer' ? challenge.parameters.get('realm') : undefined;
      if (realm !== undefined) {
        await this.#fetchToken(challenge, realm, refusal, credential, key);
        return;
      }
    }
    throw challenges.some(({ scheme }) => scheme === 'basic' || scheme === 'bearer')
      ? this.#denied(refusal, credential)
      : this.#unanswerable(challenges);
  }

  async #fetchToken(
    challenge: Challenge,
    realmText: string,
    { access, origin, challenges }: Refusal,
    credential: Credential | undefined,
    key: string,
  ): Promise<void> {
    const { send, timing, registry } = this.#options;
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
      },
      timing,
    );
    this.#answered.set(key, { access, origin, challenges, round: 1 });
    this.#tokens.set(key, { value: `Bearer ${token.value}`, expiresAt: timing.clock.monotonic() + token.lifetimeMs });
  }

  #credential(repository: string | undefined): Promise<Credential | undefined> {
    const key = repository ?? '';
    let found = this.#found.get(key);
    if (found === undefined) {
      found = this.#options.credentials.find(this.#options.registry, repository);
      this.#found.set(key, found);
      // A helper that failed (a locked keychain) may work the next time.
      found.catch(() => this.#found.delete(key));
    }
    return found;
  }

  #denied({ access }: Refusal, credential: Credential | undefined): TartletError {
    const registry = this.#options.registry.toString();
    const facts = { subject: registry, status: 401, retryable: false };
    if (credential === undefined) {
      return new TartletError(
        'AUTH_REQUIRED',
        `${registry} wants to know who we are before it lets us ${describeAccess(access)}`,
        {
          ...facts,
          next: loginAdvice(registry),
        },
      );
    }
    const who = credential.kind === 'password' ? `"${credential.username}"` : 'the identity token';
    const asked = access.repository === undefined ? '' : ` (asked for ${accessKey(access)})`;
    return new TartletError(
      'AUTH_DENIED',
      `${registry} does not let ${who} from ${credential.source} ${describeAccess(access)}${asked}`,
      { ...facts, next: `check user, password and rights, then: tartlet login ${registry}` },
    );
  }

  #unanswerable(challenges: readonly Challenge[]): TartletError {
    const registry = this.#options.registry.toString();
    const schemes = challenges.map(({ scheme }) => scheme.replaceAll(/[^a-z0-9-]/g, '').slice(0, 20)).join(', ');
    const asks = schemes === '' ? 'without saying how to authenticate' : `and offers only ${schemes}`;
    return new TartletError('AUTH_REQUIRED', `${registry} answers 401 ${asks}`, {
      subject: registry,
      status: 401,
      retryable: false,
      next: 'check that this is the address of an OCI registry',
    });
  }
}

/** Stops waiting, not the work, when the signal is aborted. */
async function untilAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work;
  signal.throwIfAborted();
  let stop = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
