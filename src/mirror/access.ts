import { describeError, isTartletError, TartletError } from '../errors.ts';
import { FailureLimit } from '../server/access/failure-limit.ts';
import { Refusal } from '../server/contract/refusal.ts';
import type { RegistryEvent } from '../server/settings/event.ts';
import type { UpstreamClient } from './clients.ts';
import type { Identity } from './login.ts';
import type { RepositoryRecords } from './repository-records.ts';
import { isDenial, isPassing, refusalOf } from './upstream-failure.ts';
import type { UpstreamRepository } from './upstreams.ts';
import type { RepositoryUsage } from './usage.ts';

/** One repository of an upstream, as one client asks for it. */
export interface Asked {
  readonly place: UpstreamRepository;
  /** The upstream's address as text. */
  readonly upstream: string;
  readonly identity: Identity;
  /** The same for the same identity and place, and for no others. */
  readonly key: string;
  readonly client: UpstreamClient;
  readonly records: RepositoryRecords;
  readonly usage: RepositoryUsage;
  /** Who is asking, as limits count it. */
  readonly asker: string;
  /** What helps where the upstream wants a login, in words; undefined where no login of the client's does. */
  readonly loginAdvice: string | undefined;
}

/** How long an upstream may take, in milliseconds, when there is nothing here that could be given instead. */
const PATIENCE_MS = 60_000;
/** The same when there is. */
const SHORT_PATIENCE_MS = 10_000;
/** How long the upstream's yes to one identity is good for one repository. */
const ALLOWED_MS = 60_000;
/** How long its no is: a client that tries again at once costs the upstream nothing. */
const DENIED_MS = 10_000;
/** How long an upstream that did not answer is not asked again by those who have something else. */
const AWAY_MS = 10_000;
/** The word that everybody may read is written down again after this. */
const WORD_MS = 60_000;
const MOST_VERDICTS = 10_000;

/** What deciding about access needs. */
export interface AccessSettings {
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** How old an answer may be when an upstream does not answer, in milliseconds. */
  readonly maxStaleMs: number;
  readonly log: (event: RegistryEvent) => void;
}

type Verdict =
  | { readonly kind: 'allowed'; readonly until: number }
  /** It did not answer a moment ago. Who has something else does not wait again. */
  | { readonly kind: 'away'; readonly until: number; readonly error: unknown }
  | { readonly kind: 'denied'; readonly until: number; readonly refusal: Refusal };

/** What is asked of an upstream, and what its answer means. */
interface Question<T> {
  readonly question: (signal: AbortSignal) => Promise<T>;
  readonly onAllowed: () => Promise<void>;
  readonly onDenied: (refusal: Refusal) => Promise<void>;
}

/**
 * Who may read what, by the upstream's word alone: nothing is given before it has said yes to the very login that asks,
 * for the repository. It is asked by what is wanted anyway, and its answer is remembered for a minute under a keyed
 * hash of login and place.
 */
export class UpstreamAccess {
  readonly #now: () => number;
  readonly #maxStaleMs: number;
  readonly #limit: FailureLimit;
  readonly #log: (event: RegistryEvent) => void;
  readonly #verdicts = new Map<string, Verdict>();

  constructor({ now, maxStaleMs, log }: AccessSettings) {
    this.#now = now;
    this.#log = log;
    this.#maxStaleMs = maxStaleMs;
    this.#limit = new FailureLimit(now);
  }

  /** Whether the upstream has just said so. */
  isAllowed({ key }: Asked): boolean {
    return this.#verdict(key)?.kind === 'allowed';
  }

  /**
   * Whether what is here may be given while the upstream does not answer: what everybody may read, as long as the word
   * for that is not too old. What takes a login is not given.
   */
  async isAllowedWithoutUpstream(asked: Asked): Promise<boolean> {
    return this.isAllowed(asked) || this.isYoung(await asked.records.publicAt());
  }

  /** Whether something that an upstream said at `time` may still be given when it cannot be asked. */
  isYoung(time: number): boolean {
    return time > 0 && Math.abs(this.#now() - time) <= this.#maxStaleMs;
  }

  /**
   * Asks the upstream for content, and remembers whether it lets this identity read here: yes, when `question` gives
   * anything but undefined.
   * @param hasOther whether something else can be given when the answer takes long.
   * @throws Refusal for a no, and when this client has got too many; what the question throws otherwise.
   */
  async ask<T>(asked: Asked, hasOther: boolean, question: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const before = this.#verdict(asked.key);
    if (before?.kind === 'denied') throw before.refusal;
    if (before?.kind === 'away' && hasOther) throw before.error;
    return this.#ask(asked, hasOther, {
      question,
      onAllowed: async () => this.#allowed(asked),
      onDenied: async (refusal) => this.#denied(asked, refusal),
    });
  }

  /**
   * The same for a list. Its answer says nothing of content, neither yes nor no: registries have rights of their own
   * for lists (`ecr:ListImages`), and who has one of the two must not get, or lose, the other.
   */
  async askForList<T>(asked: Asked, question: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#ask(asked, false, { question, onAllowed: async () => undefined, onDenied: async () => undefined });
  }

  async #ask<T>(asked: Asked, hasOther: boolean, { question, onAllowed, onDenied }: Question<T>): Promise<T> {
    const isNew = !this.isAllowed(asked) && asked.identity.kind === 'client';
    if (isNew) this.takeAttempt(asked.asker);
    let isDenied = false;
    try {
      const answer = await withDeadline(hasOther ? SHORT_PATIENCE_MS : PATIENCE_MS, asked.upstream, question);
      if (answer !== undefined) await onAllowed();
      return answer;
    } catch (error) {
      isDenied = isDenial(error);
      if (!isDenied) {
        this.#onFailure(asked, error);
        throw error;
      }
      const refusal = refusalOf(error, asked.upstream, asked.loginAdvice);
      await onDenied(refusal);
      throw refusal;
    } finally {
      if (isNew && !isDenied) this.#limit.giveBack(asked.asker);
    }
  }

  /** Counts the attempt of a client to use a login; it gets it back unless that is refused. @throws Refusal 429 */
  takeAttempt(asker: string): void {
    const wait = this.#limit.take(asker);
    if (wait === 0) return;
    throw new Refusal(429, 'TOOMANYREQUESTS', 'too many logins were refused, wait a while', {
      headers: { 'Retry-After': String(Math.ceil(wait / 1000)) },
    });
  }

  /** See {@link takeAttempt}. */
  giveBackAttempt(asker: string): void {
    this.#limit.giveBack(asker);
  }

  #onFailure({ usage, upstream, place, key }: Asked, error: unknown): void {
    if (isTartletError(error, 'NOT_FOUND')) return;
    usage.count('failures');
    // A yes that is still good is worth more.
    if (isPassing(error) && this.#verdict(key) === undefined) {
      this.#remember(key, { kind: 'away', until: this.#now() + AWAY_MS, error });
    }
    const what = place.repository.text;
    this.#log({ kind: 'upstream-failed', upstream, what, message: describeError(error) });
  }

  #verdict(key: string): Verdict | undefined {
    const verdict = this.#verdicts.get(key);
    if (verdict !== undefined && verdict.until > this.#now()) return verdict;
    this.#verdicts.delete(key);
    return undefined;
  }

  async #allowed(asked: Asked): Promise<void> {
    const now = this.#now();
    this.#remember(asked.key, { kind: 'allowed', until: now + ALLOWED_MS });
    if (asked.identity.kind !== 'anonymous') return;
    asked.usage.isPublic(true);
    if (Math.abs(now - (await asked.records.publicAt())) > WORD_MS) await asked.records.setPublic(now);
  }

  async #denied(asked: Asked, refusal: Refusal): Promise<void> {
    this.#remember(asked.key, { kind: 'denied', until: this.#now() + DENIED_MS, refusal });
    if (asked.identity.kind === 'anonymous') {
      asked.usage.isPublic(false);
      await asked.records.setPublic(undefined);
    }
  }

  #remember(key: string, verdict: Verdict): void {
    this.#verdicts.delete(key);
    this.#verdicts.set(key, verdict);
    for (const oldest of this.#verdicts.keys()) {
      if (this.#verdicts.size > MOST_VERDICTS) this.#verdicts.delete(oldest);
    }
  }
}

/** @throws TartletError `NET_TIMEOUT` */
export async function withDeadline<T>(
  milliseconds: number,
  upstream: string,
  question: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    const text = `${upstream} did not answer within ${milliseconds / 1000} s`;
    controller.abort(new TartletError('NET_TIMEOUT', text, { subject: upstream, retryable: true }));
  }, milliseconds);
  try {
    return await question(controller.signal);
  } finally {
    clearTimeout(timer);
  }
}
