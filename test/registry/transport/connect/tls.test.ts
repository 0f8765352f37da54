import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TartletError } from '../../../../src/errors.ts';
import { RegistryAddress } from '../../../../src/names/registry-address.ts';
import { Tag } from '../../../../src/names/tag.ts';
import { Repository } from '../../../../src/names/repository.ts';
import type { RegistryClient } from '../../../../src/registry/client.ts';
import { limits } from '../../../../src/registry/request/limits.ts';
import { httpTransport } from '../../../../src/registry/transport/transport.ts';
import { TrustStore } from '../../../../src/registry/transport/connect/trust.ts';
import { TestCa } from '../../certificates.ts';
import { after, blobOf, clientFor, scripted } from '../../world.ts';

const GET = 'GET /v2/a/b/manifests/latest';
const OK = { [GET]: { body: '{"schemaVersion":2}' } };
const TAG = { tag: Tag.parse('latest') };
const NAMES = 'IP:127.0.0.1,IP:::1,DNS:localhost';
let ca: TestCa;

beforeAll(() => {
  ca = new TestCa();
});

afterAll(() => ca.remove());

function trusting(environment: Record<string, string> = { SSL_CERT_FILE: ca.file }) {
  return { environment };
}

describe('a certificate that cannot be trusted', () => {
  it.each([
    ['of an unknown CA', () => ca.issue(NAMES), {}, /UNABLE_TO_(?:GET_ISSUER|VERIFY_LEAF)/, 'trust-ca'],
    ['self-signed', () => ca.selfSigned(NAMES), undefined, /DEPTH_ZERO_SELF_SIGNED_CERT/, 'trust-ca'],
    [
      'expired',
      () => ca.issue(NAMES, '20200101000000Z', '20200201000000Z'),
      undefined,
      /CERT_HAS_EXPIRED/,
      'check-certificate',
    ],
    [
      'not valid yet',
      () => ca.issue(NAMES, '20900101000000Z', '20910101000000Z'),
      undefined,
      /CERT_NOT_YET_VALID/,
      'check-certificate',
    ],
    ['for another name', () => ca.issue('DNS:other.example'), undefined, /other\.example/, 'check-certificate'],
  ])('%s is final, and says why (N7, S37)', async (_title, pair, environment, reason, next) => {
    const registry = await scripted(OK, { tls: pair() });
    const { client, clock } = clientFor(registry, trusting(environment));
    await expect(client.manifest(TAG)).rejects.toMatchObject({
      code: 'NET_TLS',
      message: expect.stringMatching(reason) as string,
      facts: { next: { kind: next } },
    });
    expect(clock.slept).toEqual([]);
    expect(registry.requests).toHaveLength(0);
  });

  it('stops every kind of request (S37)', async () => {
    const registry = await scripted({}, { tls: ca.selfSigned(NAMES) });
    const { client } = clientFor(registry);
    const blob = blobOf(10);
    const calls = [
      client.ping(),
      client.headManifest(TAG),
      client.putManifest(TAG, blob.bytes, 'x/y'),
      client.fetchBlob(blob),
      client.blobExists(blob),
      client.uploadBlob({ ...blob, open: () => blob.bytes }),
      client.mountBlob(blob, Repository.parse('c/d')),
      client.deleteManifest(blob.digest),
    ];
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && (outcome.reason as TartletError).code)).toEqual(
      calls.map(() => 'NET_TLS'),
    );
    expect(registry.requests).toHaveLength(0);
  });

  it('is refused whatever NODE_TLS_REJECT_UNAUTHORIZED says (S38)', async () => {
    const registry = await scripted(OK, { tls: ca.selfSigned(NAMES) });
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    try {
      await expect(clientFor(registry).client.manifest(TAG)).rejects.toMatchObject({ code: 'NET_TLS' });
    } finally {
      delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    }
  });
});

describe('a CA is trusted', () => {
  it.each(['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'])('when %s names its file', async (variable) => {
    const registry = await scripted(OK, { tls: ca.issue(NAMES) });
    await expect(clientFor(registry, trusting({ [variable]: ca.file })).client.manifest(TAG)).resolves.toBeDefined();
  });

  it('when it lies in SSL_CERT_DIR, among other files', async () => {
    const registry = await scripted(OK, { tls: ca.issue(NAMES) });
    await expect(
      clientFor(registry, trusting({ SSL_CERT_DIR: ca.directory })).client.manifest(TAG),
    ).resolves.toBeDefined();
  });

  it('when it lies in certs.d, for this registry only, with a client certificate', async () => {
    const pair = ca.issue(NAMES);
    const tls = { ...pair, requestCert: true, ca: [ca.issue('DNS:x').cert] };
    const registry = await scripted(OK, { tls: { ...tls, rejectUnauthorized: false } });
    const other = await scripted(OK, { tls: pair });
    const home = mkdtempSync(join(tmpdir(), 'tartlet-certs-'));
    after(() => Promise.resolve(rmSync(home, { recursive: true })));
    const directory = join(home, '.config/containers/certs.d', registry.authority);
    mkdirSync(directory, { recursive: true });
    const client = ca.issue('DNS:client');
    copyFileSync(ca.file, join(directory, 'ca.crt'));
    writeFileSync(join(directory, 'client.cert'), client.cert);
    writeFileSync(join(directory, 'client.key'), client.key);
    await expect(clientFor(registry, trusting({ HOME: home })).client.manifest(TAG)).resolves.toBeDefined();
    await expect(clientFor(other, trusting({ HOME: home })).client.manifest(TAG)).rejects.toMatchObject({
      code: 'NET_TLS',
    });
  });

  it.each(['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'])(
    'never silently: a file that %s names and that is not there is an error',
    async (variable) => {
      const registry = await scripted({}, { tls: ca.issue(NAMES) });
      await expect(
        clientFor(registry, trusting({ [variable]: '/nowhere/ca.pem' })).client.manifest(TAG),
      ).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(variable) as string,
      });
    },
  );

  it.each([
    ['in DER', () => ca.der, 'is a certificate in DER, not in PEM', 'convert-certificate'],
    ['a key', () => ca.issue(NAMES).key, 'holds no certificate in PEM', 'put-certificate-in-pem'],
    ['empty', () => '', 'holds no certificate in PEM', 'put-certificate-in-pem'],
    [
      'damaged',
      () => '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      'holds a damaged certificate',
      'put-certificate-in-pem',
    ],
  ])('never silently: a file that is %s is named, with what to do', async (_title, content, what, next) => {
    const home = mkdtempSync(join(tmpdir(), 'tartlet-certs-'));
    after(() => Promise.resolve(rmSync(home, { recursive: true })));
    const registry = await scripted({}, { tls: ca.issue(NAMES) });
    const directory = join(home, '.docker/certs.d', registry.authority);
    mkdirSync(directory, { recursive: true });
    const asked = join(home, 'asked.pem');
    writeFileSync(asked, content());
    for (const variable of ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS']) {
      await expect(clientFor(registry, trusting({ [variable]: asked })).client.manifest(TAG)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: `${asked}, named by ${variable}, ${what}`,
        facts: { subject: asked, next: { kind: next } },
      });
    }
    const file = join(directory, 'ca.crt');
    writeFileSync(file, content());
    await expect(clientFor(registry, trusting({ HOME: home })).client.manifest(TAG)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: `${file}, named by a certs.d directory, ${what}`,
    });
  });

  it('by Node itself when nothing else is found', async () => {
    const trust = new TrustStore({ environment: {}, bundles: [], directories: [] });
    expect(await trust.contextFor('registry.example:443')).toBeUndefined();
  });
});

/** A port that does with a connection what it is told. */
async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => new Promise((resolve) => server.close(resolve)));
  return (server.address() as AddressInfo).port;
}

/** What nginx sends with a 400, and what a page of Go's net/http says. */
const nginxPage = (title: string) =>
  `<html>\r\n<head><title>400 ${title}</title></head>\r\n<body>\r\n</body></html>\r\n`;
const GO_PAGE = 'Client sent an HTTP request to an HTTPS server.\n';

describe('a registry that wants a client certificate', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'by %s is understood, with the directory to put it into (N8)',
    async (version) => {
      const tls = { ...ca.issue(NAMES), requestCert: true, rejectUnauthorized: true, maxVersion: version } as const;
      const registry = await scripted(OK, { tls });
      const { client, clock } = clientFor(registry, trusting());
      await expect(client.manifest(TAG)).rejects.toMatchObject({
        code: 'NET_TLS',
        message: `${registry.authority} refused the TLS handshake: it may want a client certificate`,
        facts: {
          next: { kind: 'give-client-certificate', registry: registry.authority },
        },
      });
      expect(clock.slept).toEqual([]);
    },
  );

  it('by an answer, as nginx does, is understood (N8)', async () => {
    const page = nginxPage('No required SSL certificate was sent');
    const headers = { 'content-type': 'text/html' };
    const registry = await scripted({ '*': { status: 400, headers, body: page } }, { tls: ca.issue(NAMES) });
    const { client } = clientFor(registry, trusting());
    const blob = blobOf(10);
    const calls = [
      async () => client.ping(),
      async () => client.manifest(TAG),
      async () => client.fetchBlob(blob),
      async () => client.blobExists(blob),
      async () => client.uploadBlob({ ...blob, open: () => blob.bytes }),
    ];
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject({
        code: 'NET_TLS',
        message: expect.stringMatching(/wants a client certificate .*No required SSL certificate was sent/) as string,
        facts: { next: { kind: 'give-client-certificate', registry: registry.authority } },
      });
    }
  });
});

describe('--insecure to a port that speaks TLS', () => {
  const WAY_OUT = { code: 'NET_TLS', facts: { next: { kind: 'use-tls' } } };
  /** A first request in plain HTTP, as a pull, a push and a login send it. */
  const CALLS: readonly ((client: RegistryClient) => Promise<unknown>)[] = [
    async (client) => client.manifest(TAG),
    async (client) => client.blobExists(blobOf(10)),
    async (client) => client.uploadBlob({ ...blobOf(10), open: () => blobOf(10).bytes }),
    async (client) => client.ping(),
  ];
  const insecurely = (port: number) => clientFor(RegistryAddress.parse(`127.0.0.1:${port}`), { insecure: true });

  it('that closes the connection: TLS is the cause, and nothing is tried again (N8)', async () => {
    const registry = await scripted({}, { tls: ca.issue(NAMES) });
    for (const call of CALLS) {
      const { client, clock } = insecurely(registry.port);
      await expect(call(client)).rejects.toMatchObject(WAY_OUT);
      expect(clock.slept).toEqual([]);
    }
  });

  it.each([
    ['as nginx', nginxPage('The plain HTTP request was sent to HTTPS port')],
    ['as Go', GO_PAGE],
  ])('that answers 400 %s does: the same (N8)', async (_who, body) => {
    const registry = await scripted({ '*': { status: 400, body } });
    for (const call of CALLS) await expect(call(insecurely(registry.port).client)).rejects.toMatchObject(WAY_OUT);
  });

  it('that answers 400 to HEAD: the port is greeted in TLS to find out (N8)', async () => {
    const secure = await scripted({}, { tls: ca.issue(NAMES) });
    // A server that tells the two apart by the first byte, as nginx does.
    const port = await listening(
      createServer((socket) => {
        socket
          .on('error', () => undefined)
          .once('data', (data) => {
            if (data[0] !== 0x16) return void socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
            const upstream = connect(secure.port, '127.0.0.1', () => upstream.write(data));
            upstream.on('error', () => undefined);
            upstream.pipe(socket).pipe(upstream);
          });
      }),
    );
    for (const call of CALLS) await expect(call(insecurely(port).client)).rejects.toMatchObject(WAY_OUT);
  });

  it('is not suspected where a registry without TLS refuses', async () => {
    const registry = await scripted({ '*': { status: 400, body: 'no' } });
    const { client } = clientFor(registry, { insecure: true });
    await expect(client.manifest(TAG)).rejects.toMatchObject({ code: 'REG_REJECTED', facts: { status: 400 } });
  });
});

describe('plain HTTP', () => {
  it('on the TLS port of a registry is explained, not spoken (N8, S36)', async () => {
    const registry = await scripted({});
    const { client } = clientFor(registry, { endpoint: `https://${registry.authority}` });
    await expect(client.manifest(TAG)).rejects.toMatchObject({
      code: 'NET_TLS',
      message: `${registry.authority} answered without TLS`,
      facts: { next: { kind: 'allow-plain-http' } },
    });
  });

  it.each(['127.0.0.1', '[::1]', 'localhost'])('is found out on %s (N5, reliability §3.2)', async (host) => {
    const registry = await scripted(OK, { listen: host === '[::1]' ? '::1' : '127.0.0.1' });
    const { client } = clientFor(RegistryAddress.parse(`${host}:${registry.port}`));
    await client.manifest(TAG);
    expect(await client.endpoint()).toBe(`http://${host}:${registry.port}`);
    expect(registry.requests[0]?.headers['host']).toBe(`${host}:${registry.port}`);
  });

  it.each(['127.0.0.1', '[::1]', 'localhost'])('is not used where %s has TLS (reliability §3.2)', async (host) => {
    const registry = await scripted(OK, { tls: ca.issue(NAMES), listen: host === '[::1]' ? '::1' : '127.0.0.1' });
    const { client } = clientFor(RegistryAddress.parse(`${host}:${registry.port}`), trusting());
    await client.manifest(TAG);
    expect(await client.endpoint()).toBe(`https://${host}:${registry.port}`);
  });

  it('is not used where TLS wants a certificate of us, or has one we do not trust (S36)', async () => {
    const registry = await scripted(OK, {
      tls: { ...ca.selfSigned(NAMES), requestCert: true, rejectUnauthorized: true },
    });
    const { client } = clientFor(registry.address);
    await expect(client.manifest(TAG)).rejects.toMatchObject({ code: 'NET_TLS' });
    expect(await client.endpoint()).toBe(`https://127.0.0.1:${registry.port}`);
  });

  it('is assumed when a loopback port says nothing in time', async () => {
    const port = await listening(createServer((socket) => after(() => Promise.resolve(socket.destroy()))));
    const { client } = clientFor(RegistryAddress.parse(`127.0.0.1:${port}`), { change: { probeMs: 20 } });
    expect(await client.endpoint()).toBe(`http://127.0.0.1:${port}`);
  });

  it.each([
    ['registry.example', false, 'https://registry.example'],
    ['registry.example:5000', false, 'https://registry.example:5000'],
    ['10.0.0.1:5000', false, 'https://10.0.0.1:5000'],
    ['localhost', false, 'https://localhost'],
    ['registry.example:8221', true, 'http://registry.example:8221'],
    ['registry.example', true, 'http://registry.example'],
    ['docker.io', false, 'https://registry-1.docker.io'],
    ['index.docker.io', false, 'https://registry-1.docker.io'],
  ])('for %s, insecure %s: %s', async (address, insecure, expected) => {
    expect(await clientFor(RegistryAddress.parse(address), { insecure }).client.endpoint()).toBe(expected);
  });
});

describe('addresses of a host', () => {
  const access = { action: 'pull' } as const;

  it('are tried one after the other (N4)', async () => {
    const registry = await scripted({ 'GET /': { body: 'x' } });
    const http = httpTransport({
      userAgent: 'x',
      environment: {},
      limits,
      lookup: (_hostname, _options, callback) =>
        callback(null, [
          { address: '::1', family: 6 },
          { address: '127.0.0.1', family: 4 },
        ]),
    });
    after(() => http.close());
    const url = new URL(`http://registry.example:${registry.port}/`);
    const response = await http.send({ method: 'GET', url, headers: {}, access, idempotent: true });
    await response.body.discard();
    expect(response.status).toBe(200);
  });

  it('are all named when none answers (N2, N4)', async () => {
    const registry = await scripted();
    const { port } = registry;
    await registry.close();
    const { client } = clientFor(RegistryAddress.parse(`localhost:${port}`));
    await expect(client.manifest(TAG)).rejects.toMatchObject({
      code: 'NET_CONNECT',
      message: expect.stringMatching(new RegExp(`127\\.0\\.0\\.1:${port}; .*::1:${port}`)) as string,
    });
  });

  it('are not asked from a name server for *.localhost (reliability §3.2)', async () => {
    const registry = await scripted(OK);
    const { client } = clientFor(RegistryAddress.parse(`registry.localhost:${registry.port}`));
    await expect(client.manifest(TAG)).resolves.toBeDefined();
  });

  it.each([
    ['ENOTFOUND', 2, 'cannot resolve "registry.example"'],
    ['EAI_AGAIN', 6, 'cannot resolve "registry.example": the name server is busy'],
  ])('cannot be found: %s is tried %i times (N1)', async (code, attempts, message) => {
    const { withRetry } = await import('../../../../src/registry/retry/retry.ts');
    const { FakeClock } = await import('../../world.ts');
    let asked = 0;
    const http = httpTransport({
      userAgent: 'x',
      environment: {},
      limits,
      lookup: (_hostname, _options, callback) => {
        asked += 1;
        callback(Object.assign(new Error(`getaddrinfo ${code} registry.example`), { code }), []);
      },
    });
    after(() => http.close());
    const send = withRetry(http.send, { clock: new FakeClock(), limits });
    const url = new URL('https://registry.example/v2/');
    await expect(send({ method: 'GET', url, headers: {}, access, idempotent: true })).rejects.toMatchObject({
      code: 'NET_DNS',
      message,
    });
    expect(asked).toBe(attempts);
  });
});
