import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Endpoint, plainEndpoint } from '../../../src/endpoints/endpoint.ts';
import { Tag } from '../../../src/names/tag.ts';
import type { RegistryClient } from '../../../src/registry/client.ts';
import type { ScriptedRegistry } from '../../support/scripted-registry.ts';
import { TestCa } from '../certificates.ts';
import { blobOf, clientFor, collect, scripted } from '../world.ts';

const OK = { 'GET /v2/a/b/manifests/latest': { body: '{"schemaVersion":2}' } };
const TAG = { tag: Tag.parse('latest') };
const NAMES = 'IP:127.0.0.1,IP:127.0.0.2,DNS:localhost';
let ca: TestCa;

beforeAll(() => {
  ca = new TestCa();
});

afterAll(() => ca.remove());

/** A client that finds out by itself where the registry is, and trusts nothing but what the endpoint says. */
function clientAt(registry: ScriptedRegistry, manner: Partial<Endpoint>): RegistryClient {
  return clientFor(registry.address, {
    manner: { ...plainEndpoint(registry.authority, 'a/b'), ...manner },
    change: { probeMs: 500, attempts: 1 },
  }).client;
}

function trusting(tls: Partial<Endpoint['tls']>): Partial<Endpoint> {
  return { scheme: 'https', tls: { isVerified: true, ca: [], certificates: [], ...tls } };
}

it('a CA of an endpoint is trusted there, and not on the host that it redirects to', async () => {
  const blob = blobOf(1000);
  const elsewhere = await scripted(
    { 'GET /blob': { body: blob.bytes } },
    { tls: ca.issue(NAMES), listen: '127.0.0.2' },
  );
  const registry = await scripted(
    {
      ...OK,
      [`GET /v2/a/b/blobs/${blob.digest.toString()}`]: {
        status: 307,
        headers: { location: `${elsewhere.origin}/blob` },
      },
    },
    { tls: ca.issue(NAMES) },
  );
  await expect(clientAt(registry, trusting({})).manifest(TAG)).rejects.toMatchObject({ code: 'NET_TLS' });
  const client = clientAt(registry, trusting({ ca: [ca.file] }));
  await expect(client.manifest(TAG)).resolves.toBeDefined();
  await expect(collect(client.blob(blob))).rejects.toMatchObject({ code: 'NET_TLS' });
  expect(elsewhere.requests).toEqual([]);
});

it('an endpoint that need not prove itself is believed, and not the host that it redirects to', async () => {
  const blob = blobOf(1000);
  const elsewhere = await scripted({}, { tls: ca.selfSigned(NAMES), listen: '127.0.0.2' });
  const registry = await scripted(
    {
      ...OK,
      [`GET /v2/a/b/blobs/${blob.digest.toString()}`]: {
        status: 307,
        headers: { location: `${elsewhere.origin}/blob` },
      },
    },
    { tls: ca.selfSigned(NAMES) },
  );
  const client = clientAt(registry, { ...trusting({ isVerified: false }), scheme: 'either' });
  await expect(client.manifest(TAG)).resolves.toBeDefined();
  await expect(collect(client.blob(blob))).rejects.toMatchObject({ code: 'NET_TLS' });
});

it('an endpoint that may be either is spoken to in plain HTTP where it has no TLS', async () => {
  const registry = await scripted(OK);
  await expect(clientAt(registry, { scheme: 'either' }).manifest(TAG)).resolves.toBeDefined();
});

it('an endpoint with an address in https is not spoken to without TLS, though it is on this machine', async () => {
  const registry = await scripted(OK);
  await expect(clientAt(registry, { scheme: 'https' }).manifest(TAG)).rejects.toMatchObject({ code: 'NET_TLS' });
  expect(registry.requests).toEqual([]);
});

it('a client certificate is shown to the endpoint that it is for, from one file or from two', async () => {
  const tls = { ...ca.issue(NAMES), requestCert: true, rejectUnauthorized: true, ca: readFileSync(ca.file) };
  const registry = await scripted(OK, { tls });
  const { cert, key } = ca.issue(NAMES);
  const at = (name: string): string => `${ca.directory}/${name}`;
  writeFileSync(at('client.pem'), cert);
  writeFileSync(at('client.key'), key);
  writeFileSync(at('both.pem'), `${cert}${key}`);
  for (const certificate of [
    { certificate: at('client.pem'), key: at('client.key') },
    { certificate: at('both.pem'), key: undefined },
  ]) {
    const client = clientAt(registry, trusting({ ca: [ca.file], certificates: [certificate] }));
    await expect(client.manifest(TAG)).resolves.toBeDefined();
  }
  await expect(clientAt(registry, trusting({ ca: [ca.file] })).manifest(TAG)).rejects.toMatchObject({
    code: 'NET_TLS',
  });
});

it('a CA that is not there is an error of the settings, which names the file', async () => {
  const registry = await scripted({}, { tls: ca.issue(NAMES) });
  await expect(clientAt(registry, trusting({ ca: ['/missing.pem'] })).manifest(TAG)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('/missing.pem') as string,
  });
});

it('the API may begin elsewhere, and each request says which registry is meant, pages of tags included', async () => {
  const registry = await scripted({
    'GET /cache/v2/a/b/manifests/latest': { body: '{"schemaVersion":2}' },
    'GET /cache/v2/a/b/tags/list': { body: '{"tags":["1"]}' },
  });
  const client = clientAt(registry, { apiPath: '/cache/v2', namespace: 'ghcr.io' });
  await client.manifest(TAG);
  const tags: string[] = [];
  for await (const tag of client.tags()) tags.push(tag);
  expect(tags).toEqual(['1']);
  expect(registry.log[0]).toBe('GET /cache/v2/a/b/manifests/latest?ns=ghcr.io');
  expect(registry.log[1]).toMatch(/^GET \/cache\/v2\/a\/b\/tags\/list\?.*ns=ghcr\.io$/);
});
