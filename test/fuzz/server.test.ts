import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fc } from '@fast-check/vitest';
import { afterAll, beforeAll, expect } from 'vitest';
import type { RegistryEvent } from '../../src/server/settings/event.ts';
import { createRegistry, type Registry } from '../../src/server/server.ts';
import { fuzz, nearly } from './fuzzing.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'tartlet-fuzz-'));
const events: RegistryEvent[] = [];
let registry: Registry;
let port = 0;

beforeAll(async () => {
  registry = createRegistry({ dataDirectory: path.join(directory, 'data'), log: (event) => events.push(event) });
  ({ port } = await registry.listen());
});
afterAll(async () => {
  await registry.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Says these bytes, ends, and gives all that comes back. */
async function say(bytes: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.end(bytes));
    let heard = '';
    socket.on('data', (piece: Buffer) => {
      heard += piece.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(heard));
  });
}

const DIGEST = `sha256:${'a'.repeat(64)}`;
const target = fc.constantFrom(
  '/v2/',
  '/v2/_catalog?n=1000000000000',
  '/v2/a/tags/list?last=%00&n=-1',
  '/v2/a/b/manifests/latest',
  `/v2/a/manifests/${DIGEST}`,
  `/v2/a/blobs/${DIGEST}`,
  '/v2/a/blobs/uploads/',
  `/v2/a/blobs/uploads/?mount=${DIGEST}&from=b`,
  `/v2/a/blobs/uploads/?digest=${DIGEST}`,
  `/v2/a/blobs/uploads/${'0'.repeat(32)}?digest=${DIGEST}`,
  `/v2/a/referrers/${DIGEST}?artifactType=x`,
  '/v2/../../../etc/passwd',
  'http://evil.example/v2/',
);
const header = nearly(
  fc.constantFrom(
    'Host: localhost',
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
    'Range: bytes=0-5',
    'Content-Range: 0-4',
    'Content-Type: application/vnd.oci.image.manifest.v1+json',
    'Authorization: Basic Og==',
    'Expect: 100-continue',
    'Origin: http://localhost',
    '__proto__: x',
  ),
);
const request = fc
  .tuple(
    fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'BREW'),
    nearly(target),
    fc.array(header, { maxLength: 4 }),
    fc.constantFrom('', 'hello', '5\r\nhello\r\n0\r\n\r\n', '{"schemaVersion":2}'),
  )
  .map(([method, where, headers, body]) =>
    [`${method} ${where} HTTP/1.1`, 'Host: localhost', ...headers, 'Connection: close', '', body].join('\r\n'),
  );

fuzz(
  'whatever is said to the server, it answers without a fault of its own, stays in its directory and goes on (S42, S43, S47, S50)',
  [fc.array(nearly(request), { minLength: 1, maxLength: 2 })],
  async (requests) => {
    const heard = await say(Buffer.from(requests.join(''), 'latin1'));
    // Nothing at all is an answer to half a request.
    for (const [, status] of heard.matchAll(/^HTTP\/1\.1 (\d+)/gm)) expect(Number(status)).toBeLessThan(500);
    if (heard !== '') expect(heard).toMatch(/^HTTP\/1\.1 \d{3} /);
    expect(events.filter(({ kind }) => kind === 'failure')).toEqual([]);
    events.length = 0;
    expect(readdirSync(directory)).toEqual(['data']);
    expect(await say(Buffer.from('GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'))).toMatch(
      /^HTTP\/1\.1 200 /,
    );
  },
  300,
);
