import { expect, it } from 'vitest';
import { rawExchange, startRegistry } from '../running-registry.ts';

/** What a smuggler wants to be taken for a request of its own. */
const HIDDEN = 'GET /v2/_catalog HTTP/1.1\r\nHost: localhost\r\n\r\n';

it.each([
  ['two ways to tell the length', `Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ['an unknown coding', `Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ['chunked that is not last', `Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ['two lengths', `Content-Length: 0\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`],
  ['a length with a sign', `Content-Length: +${HIDDEN.length}\r\n\r\n${HIDDEN}`],
  ['a bare carriage return', `X: a\rContent-Length: 0\r\n\r\n${HIDDEN}`],
  ['a folded line', `X: a\r\n Content-Length: 0\r\n\r\n${HIDDEN}`],
  ['a blank before the colon', `Content-Length : ${HIDDEN.length}\r\n\r\n${HIDDEN}`],
  ['a zero byte', `X: a\0b\r\n\r\n${HIDDEN}`],
  ['a chunk whose size is none', `Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n${HIDDEN}`],
])('a request with %s is refused with its connection, and hides no other (S47)', async (_, rest) => {
  const { port, send, events } = await startRegistry();
  const heard = await rawExchange(port, `POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: localhost\r\n${rest}`);
  expect([...heard.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['400']);
  expect(heard).toMatch(/connection: close/i);
  expect(events.filter(({ kind }) => kind === 'failure')).toEqual([]);
  expect((await send('GET', '/v2/')).status).toBe(200);
});

it.each([
  ['two hosts', '1.1', `Host: evil.example\r\nContent-Length: 0\r\n\r\n${HIDDEN}`, '400'],
  ['two hosts in other letters', '1.1', `hOST: localhost\r\nContent-Length: 0\r\n\r\n${HIDDEN}`, '400'],
  [
    'chunks in HTTP/1.0',
    '1.0',
    `Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    '400',
  ],
  ['a coding before chunked', '1.1', `Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${HIDDEN}`, '501'],
  [
    'codings in two lines',
    '1.1',
    `Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    '501',
  ],
  ['chunks before HTTP/1.0', '0.9', 'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n', '505'],
  ['the version of another protocol', '2.0', 'Content-Length: 0\r\n\r\n', '505'],
  ['an unknown expectation', '1.1', `Expect: the-worst\r\nContent-Length: 0\r\n\r\n${HIDDEN}`, '417'],
  // Node shows 2,000 fields and drops the others.
  ['a second host behind 2,100 fields', '1.1', `${'a:\r\n'.repeat(2_100)}Host: evil.example\r\n\r\n${HIDDEN}`, '431'],
  [
    'codings behind 2,100 fields',
    '1.1',
    `${'a:\r\n'.repeat(2_100)}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    '431',
  ],
])(
  'a request with %s, which the parser takes, is the last of its connection (S47)',
  async (_, version, rest, status) => {
    const { port, staged } = await startRegistry();
    const heard = await rawExchange(port, `POST /v2/a/blobs/uploads/ HTTP/${version}\r\nHost: localhost\r\n${rest}`);
    expect([...heard.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, each]) => each)).toEqual([status]);
    expect(heard).toMatch(/connection: close/i);
    expect(staged()).toEqual([]);
  },
);

it.each([
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['a greeting of TLS', '\u0016\u0003\u0001\u0002\0\u0001\0'],
])('%s is refused (S47)', async (_, text) => {
  const { port } = await startRegistry();
  expect(await rawExchange(port, text)).toMatch(/^HTTP\/1\.1 400 /);
});

it('headers named after parts of the language are only headers (S47)', async () => {
  const { port } = await startRegistry();
  const strange = ['__proto__: x', 'constructor: y', 'toString: z', '__proto__: again'].join('\r\n');
  const heard = await rawExchange(
    port,
    `GET /v2/ HTTP/1.1\r\nHost: localhost\r\n${strange}\r\nConnection: close\r\n\r\n`,
  );
  expect(heard).toMatch(/^HTTP\/1\.1 200 /);
});
