import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type Authentication, type Authenticator, fullAccess } from './access.ts';
import { FailureLimit } from './failure-limit.ts';
import type { Htpasswd } from './htpasswd.ts';

/** Of a random password that nobody kept. */
const NOBODY = '$2b$10$ycZUjUjpPHyPNtg7us.bhOWoiubdIA1qdjeYpBWGrPFWqrRC060fq';
const MAX_REMEMBERED = 1_000;

/** Passwords in an htpasswd file; whoever has one may do everything. */
export class BasicAuth implements Authenticator {
  readonly #htpasswd: Htpasswd;
  readonly #limit: FailureLimit;
  /** Keyed hashes of passwords that bcrypt has accepted, by name: bcrypt takes 80 ms, a push makes hundreds of requests. */
  readonly #verified = new Map<string, Buffer>();
  readonly #key = randomBytes(32);

  constructor(htpasswd: Htpasswd, now: () => number) {
    this.#htpasswd = htpasswd;
    this.#limit = new FailureLimit(now);
  }

  challenge(): string {
    return 'Basic realm="tartlet"';
  }

  async authenticate(request: IncomingMessage): Promise<Authentication> {
    const header = request.headers.authorization;
    if (header === undefined) return { kind: 'refused', reason: 'authentication is required' };
    const login = parseBasic(header);
    if (login === undefined) return { kind: 'refused', reason: 'the Authorization header is not of the Basic scheme' };
    const mark = createHmac('sha256', this.#key).update(login.password).digest();
    const known = this.#verified.get(login.name);
    if (known !== undefined && timingSafeEqual(known, mark)) return { kind: 'granted', access: fullAccess(login.name) };
    const address = request.socket.remoteAddress ?? '';
    const retryAfterMs = this.#limit.waitFor(address);
    if (retryAfterMs > 0) return { kind: 'throttled', retryAfterMs };
    if (!(await this.#matches(login.name, login.password))) {
      this.#limit.failed(address);
      return { kind: 'refused', reason: 'the user name or the password is wrong' };
    }
    this.#remember(login.name, mark);
    return { kind: 'granted', access: fullAccess(login.name) };
  }

  async #matches(name: string, password: string): Promise<boolean> {
    const { compare } = await import('bcryptjs');
    const hash = this.#htpasswd.get(name);
    // An unknown name costs what a known one costs, or the time would tell which names exist (reliability S41).
    const decoy = this.#htpasswd.values().next().value ?? NOBODY;
    const equal = await compare(password, hash ?? decoy);
    return equal && hash !== undefined;
  }

  #remember(name: string, mark: Buffer): void {
    this.#verified.set(name, mark);
    const oldest = this.#verified.keys().next();
    if (this.#verified.size > MAX_REMEMBERED && oldest.done !== true) this.#verified.delete(oldest.value);
  }
}

/** RFC 7617: the name ends at the first colon, the password may have more. */
function parseBasic(header: string): { readonly name: string; readonly password: string } | undefined {
  const match = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header);
  if (match === null) return undefined;
  const text = Buffer.from(match[1] ?? '', 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}
