import type { IncomingMessage } from 'node:http';
import { Refusal } from '../contract/refusal.ts';

/**
 * Node hands over 2,000 fields and drops the others without a word, also a second `Host` or `Transfer-Encoding`. No
 * client needs so many.
 */
const MAX_FIELDS = 500;

/**
 * Refuses what a proxy in front of us could read differently than we do, though the parser takes it (issue 14, item
 * 18): two `Host` headers (RFC 9112 §3.2), any coding but `chunked` alone, since we decode no other (RFC 9112 §6.1),
 * chunks before HTTP/1.1, which brought them, a version that is none of HTTP/1 (RFC 9112 §2.3), an expectation that is
 * not understood (RFC 9110 §10.1.1), and more fields than were looked at. The connection ends with the answer, because
 * it is not certain where the next request begins.
 * @throws Refusal 400, 417 for an expectation, 431 for fields, 501 for a coding, 505 for a version.
 */
export function refuseAmbiguous(request: IncomingMessage): void {
  const headers = { Connection: 'close' };
  const refused = (status: number, why: string): Refusal => new Refusal(status, 'UNSUPPORTED', why, { headers });
  if (!/^1\.[01]$/.test(request.httpVersion))
    throw refused(505, 'the only versions understood are HTTP/1.0 and HTTP/1.1');
  if (request.rawHeaders.length > 2 * MAX_FIELDS) throw refused(431, `a request may have ${MAX_FIELDS} header fields`);
  if (!/^(?:100-continue)?$/i.test(request.headers.expect ?? ''))
    throw refused(417, 'the only expectation understood is 100-continue');
  const names = request.rawHeaders.filter((_, at) => at % 2 === 0);
  if (names.filter((name) => name.toLowerCase() === 'host').length > 1) {
    throw refused(400, 'the request has two Host headers');
  }
  const coding = request.headers['transfer-encoding'];
  if (coding === undefined) return;
  if (request.httpVersion === '1.0') throw refused(400, 'HTTP/1.0 has no Transfer-Encoding');
  // Where chunks are not last, the parser itself is about to refuse.
  if (/,\s*chunked$/i.test(coding.trim())) {
    throw refused(501, 'the only Transfer-Encoding understood is chunked');
  }
}
