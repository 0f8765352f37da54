import type { IncomingMessage } from 'node:http';
import { Refusal } from './refusal.ts';

/**
 * Refuses what a proxy in front of us could read differently than we do, though the parser takes it (issue 14, item 18): two `Host`
 * headers (RFC 9112 §3.2), any coding but `chunked` alone, since we decode no other (§6.1), and chunks in HTTP/1.0, which has none. The
 * connection ends with the answer, because nobody can be sure where the next request begins.
 * @throws Refusal 400, 501 for a coding.
 */
export function refuseAmbiguous(request: IncomingMessage): void {
  const headers = { Connection: 'close' };
  const names = request.rawHeaders.filter((_, at) => at % 2 === 0);
  if (names.filter((name) => name.toLowerCase() === 'host').length > 1) {
    throw new Refusal(400, 'UNSUPPORTED', 'the request has two Host headers', { headers });
  }
  const coding = request.headers['transfer-encoding'];
  if (coding === undefined) return;
  if (request.httpVersionMajor === 1 && request.httpVersionMinor === 0) {
    throw new Refusal(400, 'UNSUPPORTED', 'HTTP/1.0 has no Transfer-Encoding', { headers });
  }
  // Where chunks are not last, the parser itself is about to refuse.
  if (/,\s*chunked$/i.test(coding.trim())) {
    throw new Refusal(501, 'UNSUPPORTED', 'the only Transfer-Encoding understood is chunked', { headers });
  }
}
