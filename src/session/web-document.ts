import { type ErrorCode, TartletError } from '../errors.ts';
import { hostAndPort } from '../registry/request/network-error.ts';
import { redactUrl } from '../registry/request/redact.ts';
import type { RegistryRequest } from '../registry/request/request.ts';
import { requestDocument } from '../registry/response/document.ts';
import type { Session } from './session.ts';

/** What is asked of a web server. */
export interface WebQuestion {
  readonly url: URL;
  /** What the answer is, for messages: `the list of images`. */
  readonly what: string;
  /** Lower-case names. Those that are secret stay with the origin of the URL. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent by POST. Default: nothing, by GET. */
  readonly body?: Uint8Array;
  /** Most bytes of the answer. */
  readonly maxBytes: number;
}

const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [401, 'AUTH_REQUIRED'],
  [403, 'AUTH_DENIED'],
  [404, 'NOT_FOUND'],
  [410, 'NOT_FOUND'],
]);

/**
 * A small document of a web server, as a whole. What the server says of a failure is not told: it may repeat our login.
 *
 * @throws TartletError `NET_*`, `AUTH_*`, `NOT_FOUND`, `REG_UNAVAILABLE`, `REG_REJECTED`, `SIZE_MISMATCH`
 */
export async function webDocument(session: Session, question: WebQuestion): Promise<Uint8Array> {
  const { url, what, maxBytes } = question;
  const connection = await session.web(url, redactUrl(url));
  try {
    const { timing } = connection;
    const { response, bytes } = await requestDocument(connection.send, requestFor(question), {
      limit: maxBytes,
      timing,
      signal: session.signal,
    });
    const { status } = response;
    if (bytes !== undefined) return bytes;
    response.body.destroy();
    const host = hostAndPort(url);
    if (status === 200) {
      throw new TartletError('SIZE_MISMATCH', `${what} from ${host} has more than ${maxBytes} bytes`, {
        subject: host,
      });
    }
    const code = CODES.get(status) ?? (status >= 500 ? 'REG_UNAVAILABLE' : 'REG_REJECTED');
    throw new TartletError(code, `cannot get ${what}: ${host} answered ${status}`, {
      subject: redactUrl(url),
      status,
      retryable: status >= 500,
    });
  } finally {
    await connection.close();
  }
}

function requestFor({ url, headers = {}, body }: WebQuestion): RegistryRequest {
  if (body === undefined) return { method: 'GET', url, headers, access: { action: 'pull' }, idempotent: true };
  return {
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json', ...headers },
    body: { length: body.length, open: () => body },
    access: { action: 'push' },
    // Asked for by what says the same each time.
    idempotent: true,
  };
}
