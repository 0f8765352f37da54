import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { anonymousAccess, type Authentication, type Authenticator, fullAccess, readOnlyAccess } from './access.ts';
import { clientOf } from './client-address.ts';
import { FailureLimit } from './failure-limit.ts';
import type { Htpasswd } from '../settings/htpasswd.ts';
import type { PasswordChecks } from './password-checks.ts';

/** The hash of a random password that was not kept. */
const DECOY_HASH = '$2b$10$ycZUjUjpPHyPNtg7us.bhOWoiubdIA1qdjeYpBWGrPFWqrRC060fq';
const MAX_REMEMBERED = 1_000;
/** When too many passwords wait to be checked. */
const BUSY: Authentication = { kind: 'throttled', retryAfterMs: 1_000 };

/** The users who may log in, and what is open without a login. No name is in both lists. */
export interface Users {
  /** They may do everything. */
  readonly writers: Htpasswd;
  /** They may read everything, and change nothing. */
  readonly readers: Htpasswd;
  /** Whether reading needs no login. */
  readonly anonymousRead: boolean;
}

/** Passwords in htpasswd files. */
export class BasicAuth implements Authenticator {
  readonly #users: Users;
  readonly #limit: FailureLimit;
  readonly #checks: PasswordChecks;
  /**
   * Keyed hashes of passwords that bcrypt has accepted, by name: bcrypt takes 80 ms, a push makes hundreds of requests.
   */
  readonly #verified = new Map<string, Buffer>();
  readonly #key = randomBytes(32);
  /** Checks under way, by password and name. */
  readonly #running = new Map<string, Promise<Authentication>>();

  constructor(users: Users, { now, checks }: { readonly now: () => number; readonly checks: PasswordChecks }) {
    this.#users = users;
    this.#limit = new FailureLimit(now);
    this.#checks = checks;
  }

  challenge(): string {
    return 'Basic realm="tartlet"';
  }

  async authenticate(request: IncomingMessage): Promise<Authentication> {
    const header = request.headers.authorization;
    if (header === undefined) return this.#withoutLogin();
    const login = parseBasic(header);
    if (login === undefined) return { kind: 'refused', reason: 'the Authorization header is not of the Basic scheme' };
    // What skopeo sends when it was challenged and knows no login.
    if (login.name === '' && login.password === '') return this.#withoutLogin();
    const mark = createHmac('sha256', this.#key).update(login.password).digest();
    const known = this.#verified.get(login.name);
    if (known !== undefined && timingSafeEqual(known, mark)) return this.#granted(login.name);
    // A client that begins with many connections at once asks the same many times, and that is one attempt.
    const key = `${mark.toString('hex')} ${login.name}`;
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const client = clientOf(request.socket.remoteAddress);
    const retryAfterMs = this.#limit.take(client);
    if (retryAfterMs > 0) return { kind: 'throttled', retryAfterMs };
    const check = this.#check(client, { ...login, mark });
    this.#running.set(key, check);
    try {
      return await check;
    } finally {
      this.#running.delete(key);
    }
  }

  /** @param client has paid for the attempt, and gets it back unless the password is wrong. */
  async #check(
    client: string,
    { name, password, mark }: { readonly name: string; readonly password: string; readonly mark: Buffer },
  ): Promise<Authentication> {
    const { writers, readers } = this.#users;
    const hash = writers.get(name) ?? readers.get(name);
    // An unknown name costs what a known one costs, or the time would tell which names exist (reliability S41).
    const decoy = writers.values().next().value ?? DECOY_HASH;
    const equal = await this.#checks.matches(client, { password, hash: hash ?? decoy });
    if (equal === false || (equal === true && hash === undefined)) {
      return { kind: 'refused', reason: 'the user name or the password is wrong' };
    }
    this.#limit.giveBack(client);
    if (equal === undefined) return BUSY;
    this.#remember(name, mark);
    return this.#granted(name);
  }

  #withoutLogin(): Authentication {
    if (this.#users.anonymousRead) return { kind: 'granted', access: anonymousAccess };
    return { kind: 'refused', reason: 'authentication is required' };
  }

  #granted(name: string): Authentication {
    const access = this.#users.writers.has(name) ? fullAccess(name) : readOnlyAccess(name);
    return { kind: 'granted', access };
  }

  #remember(name: string, mark: Buffer): void {
    this.#verified.set(name, mark);
    const oldest = this.#verified.keys().next();
    if (this.#verified.size > MAX_REMEMBERED && oldest.done !== true) this.#verified.delete(oldest.value);
  }
}

/**
 * The login of a `Basic` header; undefined for any other. The name ends at the first colon, the password may have more
 * (RFC 7617 §2).
 */
export function parseBasic(header: string): { readonly name: string; readonly password: string } | undefined {
  const match = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header);
  if (match === null) return undefined;
  const text = Buffer.from(match[1] ?? '', 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}
