import { readFileSync } from 'node:fs';
import https from 'node:https';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createRegistry } from '../../../src/server/server.ts';
import { type Pair, TestCa } from '../../registry/certificates.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { noise, rawExchange, sha256, startRegistry } from '../running-registry.ts';

let ca: TestCa;
let tls: Pair;

beforeAll(() => {
  ca = new TestCa();
  tls = ca.issue('IP:127.0.0.1');
});
afterAll(() => ca.remove());

async function ask(port: number, method: string, target: string, body?: Buffer): Promise<[number, Buffer]> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path: target, ca: readFileSync(ca.file), agent: false } as const;
    const request = https.request(options, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.once('end', () => resolve([response.statusCode ?? 0, Buffer.concat(pieces)]));
    });
    request.once('error', reject);
    request.end(body);
  });
}

it('with a certificate, blobs travel by TLS and only by TLS', async () => {
  const { port } = await startRegistry({ tls });
  const content = noise(3_000_000);
  const digest = sha256(content);
  expect((await ask(port, 'POST', `/v2/a/blobs/uploads/?digest=${digest}`, content))[0]).toBe(201);
  // Plain HTTP gets nothing, and does no harm.
  expect(await rawExchange(port, 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n')).not.toContain('200');
  const [status, body] = await ask(port, 'GET', `/v2/a/blobs/${digest}`);
  expect([status, body.equals(content)]).toEqual([200, true]);
});

it('the URL of a registry with a certificate says https', async () => {
  const registry = createRegistry({ dataDirectory: temporaryDirectory(), tls });
  try {
    const { url, port } = await registry.listen();
    expect(url).toBe(`https://127.0.0.1:${port}`);
  } finally {
    await registry.close();
  }
});

it('a certificate that is none is an error of the configuration', async () => {
  const registry = createRegistry({ dataDirectory: temporaryDirectory(), tls: { cert: 'x', key: tls.key } });
  await expect(registry.listen()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});
