import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Credential } from '../../credentials/credential.ts';
import type { RegistryRequest, Transport } from './request.ts';

/** Rounds of decoding that a text is looked at in: what is spelled twice is found, and nothing is decoded for ever. */
const ROUNDS = 3;
/** Looked at in each round; a line that may be shown has a hundredth of it. */
const MOST_SPELLINGS = 10_000;
/** Shorter secrets are looked for as words of their own: they are a part of too many others. */
const SHORTEST_ANYWHERE = 5;
/** Most of a secret is one, too: it may have been cut off, by a server or by a limit of ours. In letters and digits. */
const PART = { share: 0.75, shortest: 8, longest: 20 } as const;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/**
 * The secrets that we have for registries and proxies, to recognize them where they come back: a registry that puts our
 * own request into its error would write our password into a log (reliability S34). Patterns of what secrets look like
 * cannot find one that is spelled otherwise; a server that knows the secret can. A registry may repeat to one thread
 * what another one has sent, so that threads tell each other ({@link SentSecrets.link}).
 */
export class SentSecrets {
  /** Letters and digits alone, lower case. */
  readonly #secrets = new Set<string>();
  /** To the threads that know what this one knows. */
  readonly #ports = new Set<MessagePort>();

  /**
   * From now on this thread and the one behind a port, which calls this for the other end, know the same secrets. The
   * port does not keep the process alive. Returns what ends that and closes the port.
   */
  link(port: MessagePort): () => void {
    this.#ports.add(port);
    for (const secret of this.#secrets) port.postMessage(secret);
    port.on('message', (secret: string) => this.#keep(secret));
    port.on('close', () => this.#ports.delete(port));
    port.unref();
    return () => port.close();
  }

  /** Remembers a login that was found: it is told to the registry, or to its token service. */
  noteCredential(credential: Credential): void {
    if (credential.kind === 'password') this.#notePair(`${credential.username}:${credential.password}`);
    else this.#add(credential.token);
  }

  /** Remembers what a request is about to tell the other side. */
  note({ headers, body }: RegistryRequest): void {
    this.noteAuthorization(headers['authorization'] ?? '');
    if (headers['content-type'] !== 'application/x-www-form-urlencoded' || body === undefined) return;
    const form = body.open();
    if (form instanceof Uint8Array)
      this.#add(new URLSearchParams(Buffer.from(form).toString()).get('refresh_token') ?? '');
  }

  /** Remembers what settings want sent to a registry: only who wrote them knows what of it is secret. */
  noteHeaders(headers: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(headers)) {
      if (name === 'authorization') this.noteAuthorization(value);
      else this.#add(value);
    }
  }

  /** @param text the value of an `Authorization` or `Proxy-Authorization` header. */
  noteAuthorization(text: string): void {
    const [, scheme = '', value = ''] = /^(\w+) (\S+)$/.exec(text) ?? [];
    if (scheme === 'Basic') this.#notePair(Buffer.from(value, 'base64').toString());
    else if (value !== '') this.#add(value);
  }

  /**
   * Whether a text repeats one of them, or most of one, in whatever spelling: split, percent-encoded, in base64, base32
   * or hex, in the escapes of JSON, HTML, shells or mail, as the numbers of its characters, backwards, in other letter
   * case, or several of these at once.
   */
  isIn(text: string): boolean {
    this.#hear();
    if (this.#secrets.size === 0) return false;
    let spellings = new Set([text]);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const each of spellings) if (this.#isSaidIn(each)) return true;
      spellings = new Set([...spellings].flatMap(decodings).slice(0, MOST_SPELLINGS));
    }
    return [...spellings].some((each) => this.#isSaidIn(each));
  }

  /** A password that is in the name of its user is no secret: the name may be shown. */
  #notePair(pair: string): void {
    const colon = pair.indexOf(':');
    const password = pair.slice(colon + 1);
    if (!pair.slice(0, colon).includes(password)) this.#add(password);
  }

  #add(secret: string): void {
    const bare = bareOf(secret);
    if (bare !== '') this.#keep(bare);
  }

  #keep(bare: string): void {
    if (this.#secrets.has(bare)) return;
    this.#secrets.add(bare);
    for (const port of this.#ports) port.postMessage(bare);
  }

  /** What other threads have told, but whose event has not come yet: the answer that repeats it may be here before. */
  #hear(): void {
    for (const port of this.#ports) {
      for (let told = receiveMessageOnPort(port); told !== undefined; told = receiveMessageOnPort(port)) {
        this.#keep(told.message as string);
      }
    }
  }

  #isSaidIn(text: string): boolean {
    const bare = bareOf(text);
    const words = new Set(text.toLowerCase().split(/[^\p{L}\p{N}]+/u));
    const backwards = Array.from(bare).reverse().join('');
    return [...this.#secrets].some((secret) =>
      secret.length < SHORTEST_ANYWHERE
        ? words.has(secret)
        : partsOf(secret).some((part) => bare.includes(part) || backwards.includes(part)),
    );
  }
}

/**
 * Notes the secrets that each request sends; a caller that shows something of its answer can ask whether it repeats
 * one.
 * @param ofProxy the headers that a proxy on the way to a URL gets from us.
 */
export function withSentSecrets(
  next: Transport,
  secrets: SentSecrets,
  ofProxy: (url: URL) => Readonly<Record<string, string>>,
): Transport {
  return async (request, signal) => {
    secrets.note(request);
    secrets.noteAuthorization(ofProxy(request.url)['proxy-authorization'] ?? '');
    return { ...(await next(request, signal)), repeatsSecret: (text) => secrets.isIn(text) };
  };
}

/** What a text could be a spelling of. */
function decodings(text: string): string[] {
  const joined = text.replaceAll(/\s+/g, '');
  return [
    text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (escaped) => fromHex(escaped.replaceAll('%', ''))),
    text
      .replaceAll(/\\[bfnrt]/g, ' ')
      .replaceAll(/\\u([0-9a-f]{4})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))),
    text
      .replaceAll(/\\x([0-9a-f]{2})/gi, (_, digits: string) => fromHex(digits))
      .replaceAll(/&#x([0-9a-f]{1,6});?/gi, (_, digits: string) => fromCode(Number.parseInt(digits, 16)))
      .replaceAll(/&#(\d{1,7});?/g, (_, digits: string) => fromCode(Number(digits))),
    ...(joined.match(/(?:(?:0x|[=$])?[0-9a-f]{2}[:,;-]?){4,}/gi) ?? []).map((run) =>
      fromHex(run.replaceAll(/0x|[^0-9a-f]/gi, '')),
    ),
    // As a program lists the bytes of a buffer, and as a shell escapes them.
    ...(text.match(/(?:\b\d{2,3}\b[\s,;]*){4,}/g) ?? []).map((run) => fromNumbers(run.match(/\d+/g) ?? [], 10)),
    ...(text.match(/(?:\\+[0-7]{2,3}){4,}/g) ?? []).map((run) => fromNumbers(run.match(/[0-7]+/g) ?? [], 8)),
    ...(joined.match(/(?:[01]{8}){4,}/g) ?? []).map((run) => fromNumbers(run.match(/[01]{8}/g) ?? [], 2)),
    ...(text.match(/[A-Z2-7]{8,}/g) ?? []).map(fromBase32),
    Array.from(text).reverse().join(''),
    // Whatever stands before it may be of the same letters: one of four beginnings is the right one.
    ...(joined.match(/[a-z0-9+/_-]{6,}/gi) ?? []).flatMap((run) =>
      [0, 1, 2, 3].map((from) => Buffer.from(run.slice(from), 'base64').toString('utf8')),
    ),
  ].filter((decoded) => decoded !== text);
}

function fromHex(digits: string): string {
  return Buffer.from(digits, 'hex').toString('utf8');
}

function fromNumbers(numbers: readonly string[], radix: 2 | 8 | 10): string {
  return Buffer.from(numbers.map((number) => Number.parseInt(number, radix))).toString('utf8');
}

/** RFC 4648 §6. */
function fromBase32(text: string): string {
  const bits = Array.from(text, (letter) => BASE32.indexOf(letter).toString(2).padStart(5, '0')).join('');
  return fromNumbers(bits.match(/[01]{8}/g) ?? [], 2);
}

function fromCode(code: number): string {
  return code <= 0x10_ffff ? String.fromCodePoint(code) : '';
}

/** What is looked for of a secret: its beginning or its end, or all of a short one. */
function partsOf(secret: string): readonly string[] {
  const length = Math.min(PART.longest, Math.ceil(secret.length * PART.share));
  return length < PART.shortest ? [secret] : [secret.slice(0, length), secret.slice(-length)];
}

/** Without what a text can be split by, and without other shapes of the same letters. */
function bareOf(text: string): string {
  return text
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '');
}
