import { characterAt, malformed } from './malformed.ts';
import { refuseScheme } from './scheme.ts';

/** Letters and digits with single dashes between them: Tart's host label (tart-cli §3.2). */
const LABEL = /^[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*$/;
/** An internationalised label. Its double dash is not Tart's grammar, but without it no IDN registry could be named. */
const PUNYCODE_LABEL = /^xn--[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*$/i;

/**
 * Where a registry is: a host and, when it was written, a port. The canonical form has a lower-case host, a compressed
 * `[IPv6]` and a decimal port without leading zeros; **a written port is always kept and a missing one never guessed**,
 * because `h` and `h:443` are two different directories to Tart's cache (tart-formats §2.8) and this is the mistake
 * Tartlet exists to prevent.
 */
export class RegistryAddress {
  /** Lower-case domain or IPv4, or an IPv6 literal in brackets. */
  readonly host: string;
  /** 1–65535, or undefined when none was written. */
  readonly port: number | undefined;

  private constructor(host: string, port: number | undefined) {
    this.host = host;
    this.port = port;
  }

  /**
   * Reads `host`, `host:port`, `[v6]` or `[v6]:port` in linear time.
   * @param whole what the user typed, when the address is only its beginning: errors show that.
   * @throws TartletError `NAME_MALFORMED` with the position.
   */
  static parse(text: string, whole = text): RegistryAddress {
    refuseScheme(whole, (bare) => bare.split('/', 1)[0] ?? bare);
    const user = text.indexOf('@');
    if (user >= 0) throw malformed(whole, user, 'a name holds no user or password', { kind: 'leave-out-user' });
    if (text.startsWith('[')) return RegistryAddress.#parseBracketed(text, whole);
    const colon = text.indexOf(':');
    const host = colon < 0 ? text : text.slice(0, colon);
    checkHost(host, whole);
    return new RegistryAddress(host.toLowerCase(), colon < 0 ? undefined : parsePort(text, colon + 1, whole));
  }

  static #parseBracketed(text: string, whole: string): RegistryAddress {
    const close = text.indexOf(']');
    if (close < 0) throw malformed(whole, 0, 'the IPv6 address is not closed with "]"');
    const literal = text.slice(1, close);
    // The charset check comes first: `URL` would silently drop tabs and accept zone ids.
    if (!/^[0-9A-Fa-f:.]{2,45}$/.test(literal) || !URL.canParse(`http://[${literal}]/`)) {
      throw malformed(whole, 1, `"${literal}" is not an IPv6 address`);
    }
    const host = new URL(`http://[${literal}]/`).hostname;
    if (close === text.length - 1) return new RegistryAddress(host, undefined);
    if (text[close + 1] !== ':') throw malformed(whole, close + 1, 'after "]" only a port may follow');
    return new RegistryAddress(host, parsePort(text, close + 2, whole));
  }

  /** As {@link parse}; undefined for what is malformed. */
  static tryParse(text: string): RegistryAddress | undefined {
    try {
      return RegistryAddress.parse(text);
    } catch {
      return undefined;
    }
  }

  /**
   * The port that a connection would use: the written one, else 443 (or 80 without TLS). Credentials are compared by
   * this.
   */
  effectivePort(tls = true): number {
    return this.port ?? (tls ? 443 : 80);
  }

  /** The host alone. Not the same registry: only for finding what lost its port (tart-formats §2.5). */
  withoutPort(): RegistryAddress {
    return new RegistryAddress(this.host, undefined);
  }

  /** Whether both are the same in their canonical form. */
  equals(other: RegistryAddress): boolean {
    return this.host === other.host && this.port === other.port;
  }

  /** The canonical form: `registry.example:8221`, `[::1]:5000`, `ghcr.io`. */
  toString(): string {
    return this.port === undefined ? this.host : `${this.host}:${this.port}`;
  }

  /** The text, so that JSON shows a name as it is typed. */
  toJSON(): string {
    return this.toString();
  }
}

function checkHost(host: string, whole: string): void {
  if (host === '') throw malformed(whole, 0, 'there is no host');
  if (host.length > 253) throw malformed(whole, 253, 'a host has at most 253 characters');
  let start = 0;
  for (const label of host.split('.')) {
    if (label === '') throw malformed(whole, start, 'a host cannot have an empty part between dots');
    if (label.length > 63) throw malformed(whole, start + 63, 'a part of a host has at most 63 characters');
    if (!LABEL.test(label) && !PUNYCODE_LABEL.test(label)) {
      const bad = label.search(/[^A-Za-z0-9-]/);
      if (bad >= 0) throw malformed(whole, start + bad, `a host cannot contain "${characterAt(label, bad)}"`);
      const dash = label.search(/^-|(?<=-)-|-$/);
      throw malformed(whole, start + dash, 'a dash in a host must stand alone between letters or digits');
    }
    start += label.length + 1;
  }
  // No registry can be there: a number that is no address (127.0.0.999), Punycode that stands for nothing (xn--a).
  if (!URL.canParse(`https://${host}/`)) throw malformed(whole, 0, `"${host}" cannot be a host`);
}

function parsePort(text: string, start: number, whole: string): number {
  const digits = text.slice(start);
  if (digits === '') throw malformed(whole, start, 'there is no port after the colon');
  const bad = digits.search(/[^0-9]/);
  if (bad >= 0) throw malformed(whole, start + bad, `a port has only digits, not "${characterAt(digits, bad)}"`);
  const port = Number(digits);
  if (port < 1 || port > 65535) throw malformed(whole, start, 'a port is a number from 1 to 65535');
  return port;
}
