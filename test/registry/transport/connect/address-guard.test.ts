import type { LookupFunction } from 'node:net';
import { describe, expect, it } from 'vitest';
import { RegistryAddress } from '../../../../src/names/registry-address.ts';
import { Tag } from '../../../../src/names/tag.ts';
import type { AddressClass } from '../../../../src/names/ip-address.ts';
import { AddressGuard } from '../../../../src/registry/transport/connect/address-guard.ts';
import { limits } from '../../../../src/registry/request/limits.ts';
import { httpTransport } from '../../../../src/registry/transport/transport.ts';
import { after, blobOf, clientFor, collect, password, scripted, tokenService } from '../../world.ts';

/** A name server that knows two addresses of everything, and a guard of a registry that was reached at `reached`. */
function resolving(addresses: readonly string[], reached: readonly string[], environment = {}) {
  const guard = new AddressGuard({ registry: () => Promise.resolve(new URL('https://r.example')), environment });
  for (const address of reached) guard.reached(address);
  const names: LookupFunction = (_name, _options, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  return (all: boolean) =>
    new Promise<unknown>((resolve, reject) => {
      const target = new URL('https://cdn.example:9000/x?sig=secret');
      guard.lookup(target, names)('cdn.example', { all }, (error, found) =>
        error === null ? resolve(found) : reject(error),
      );
    });
}

describe('a name that a registry gave us (S9)', () => {
  it.each([
    ['a public registry', ['198.51.100.1'], ['93.184.216.34'], ['93.184.216.34']],
    ['a public registry', ['198.51.100.1'], ['93.184.216.34', '10.0.0.1', '127.0.0.1'], ['93.184.216.34']],
    ['a private registry', ['10.1.1.1'], ['192.168.0.9', '8.8.8.8', '127.0.0.1'], ['192.168.0.9', '8.8.8.8']],
    ['a registry of this machine', ['127.0.0.1'], ['::1', '10.0.0.1'], ['::1']],
    ['a registry behind a proxy', [], ['10.0.0.1', '8.8.8.8'], ['8.8.8.8']],
  ])('%s at %j may lead to some of %j', async (_title, reached, offered, good) => {
    const found = (await resolving(offered, reached)(true)) as { address: string }[];
    expect(found.map(({ address }) => address)).toEqual(good);
    expect(await resolving(offered, reached)(false)).toBe(good[0]);
  });

  it.each([
    [['8.8.8.8'], '127.0.0.1', 'which is on this machine: not connected'],
    [['8.8.8.8'], '10.0.0.1', 'which is inside a private network: not connected'],
    [['10.0.0.1'], '::ffff:169.254.169.254', "which is a cloud's own service: not connected"],
    [['10.0.0.1'], 'fd00:ec2::254', "which is a cloud's own service: not connected"],
    [['127.0.0.1'], '0.0.0.0', 'which is no machine: not connected'],
    [['127.0.0.1'], '10.0.0.1', 'which is inside a private network: not connected'],
  ])('registry at %j, name at %s: refused', async (reached, address, why) => {
    await expect(resolving([address], reached)(true)).rejects.toMatchObject({
      code: 'REDIRECT_REFUSED',
      message: `the registry leads to cdn.example:9000 (${address}), ${why}`,
      facts: { next: { kind: 'allow-host', host: 'cdn.example:9000' } },
    });
  });

  it.each(['cdn.example', 'other, cdn.example:9000', 'CDN.example'])('is allowed by the user: %s', async (hosts) => {
    const ask = resolving(['10.0.0.1'], ['8.8.8.8'], { TARTLET_INTERNAL_HOSTS: hosts });
    expect(await ask(false)).toBe('10.0.0.1');
  });

  it.each(['cdn.example:9001', 'dn.example', '*.example', ''])('is not allowed by %j', async (hosts) => {
    const ask = resolving(['10.0.0.1'], ['8.8.8.8'], { TARTLET_INTERNAL_HOSTS: hosts });
    await expect(ask(false)).rejects.toMatchObject({ code: 'REDIRECT_REFUSED' });
  });
});

const BLOB = blobOf(64);
const GET = `GET /v2/a/b/blobs/${BLOB.digest.toString()}`;
const START = 'POST /v2/a/b/blobs/uploads/';
const METADATA = ['http://169.254.169.254/latest/meta-data/', 'http://[::ffff:169.254.169.254]/', 'http://0.0.0.0/x'];

describe('over the wire (S9)', () => {
  it.each([...METADATA, 'http://2852039166/', 'http://0xa9.0xfe.0xa9.0xfe/', 'https://10.0.0.1/x'])(
    'a redirect to %s is not followed',
    async (location) => {
      const registry = await scripted({ [GET]: { status: 307, headers: { location } } });
      const { client, clock } = clientFor(registry);
      await expect(collect(client.blob(BLOB))).rejects.toMatchObject({
        code: 'REDIRECT_REFUSED',
        message: expect.stringMatching(/^the registry leads to .*: not connected$/) as string,
      });
      expect(clock.slept).toEqual([]);
    },
  );

  it('a token service on an internal address is not asked', async () => {
    const registry = await scripted({
      'GET /v2/a/b/manifests/x': {
        status: 401,
        headers: { 'www-authenticate': 'Bearer realm="https://169.254.169.254/token"' },
      },
    });
    await expect(clientFor(registry).client.manifest({ tag: Tag.parse('x') })).rejects.toMatchObject({
      code: 'AUTH_REALM',
      message: `no token for ${registry.authority}: the registry leads to 169.254.169.254:443, which is a cloud's own service: not connected`,
    });
  });

  it('an upload address on an internal address gets no bytes', async () => {
    const location = 'https://169.254.169.254/bucket';
    const registry = await scripted({ [START]: { status: 202, headers: { location } } });
    const source = { ...BLOB, open: () => BLOB.bytes };
    await expect(clientFor(registry).client.uploadBlob(source)).rejects.toMatchObject({ code: 'REDIRECT_REFUSED' });
  });

  it('a registry on this machine may have its storage and its token service there', async () => {
    const storage = await scripted({ 'GET /x': { body: BLOB.bytes } }, { name: 'storage.localhost' });
    const tokens = await tokenService();
    const registry = await scripted({
      [GET]: ({ headers }) =>
        headers['authorization'] === undefined
          ? tokens.challenge()
          : { status: 307, headers: { location: `${storage.origin}/x` } },
    });
    const { client } = clientFor(registry, { credentials: password() });
    expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
  });

  it('the registry itself may be anywhere: its user named it', async () => {
    const registry = await scripted({ 'GET /v2/': { body: '{}' } });
    const { client } = clientFor(RegistryAddress.parse(registry.authority));
    await expect(client.ping()).resolves.toBeUndefined();
  });

  it('a name that was public and is internal now is looked at again for every connection (rebinding)', async () => {
    const local = await scripted({ 'GET /x': { body: 'inner' } });
    const answers = ['203.0.113.1', '127.0.0.1'];
    const http = httpTransport({
      userAgent: 'x',
      environment: {},
      // The first address leads nowhere: it costs one timeout, and a second connection is made.
      limits: { ...limits, connectMs: 50, connectAddressMs: 50 },
      guard: new AddressGuard({ registry: () => Promise.resolve(new URL('https://r.example')), environment: {} }),
      lookup: (_name, _options, callback) => callback(null, [{ address: answers.shift() ?? '', family: 4 }]),
    });
    after(() => http.close());
    const ask = () =>
      http.send({
        method: 'GET',
        url: new URL(`http://evil.example:${local.port}/x`),
        headers: {},
        access: { action: 'pull' },
        idempotent: true,
      });
    await expect(ask()).rejects.toMatchObject({ code: expect.stringMatching(/^NET_/) as string });
    await expect(ask()).rejects.toMatchObject({ code: 'REDIRECT_REFUSED' });
    expect(local.requests).toHaveLength(0);
  });
});

describe('a registry that a stranger has named (S48)', () => {
  async function asks(address: string, onlyPublic: boolean) {
    const local = await scripted({ 'GET /x': { body: 'x' } });
    const url = new URL(`http://registry.example:${local.port}/x`);
    const http = httpTransport({
      userAgent: 'test',
      environment: {},
      guard: new AddressGuard({ registry: () => Promise.resolve(url), environment: {}, onlyPublic }),
      lookup: (_name, _options, callback) => callback(null, [{ address, family: 4 }]),
    });
    after(() => http.close());
    return http.send({ method: 'GET', url, headers: {}, access: { action: 'pull' }, idempotent: true });
  }

  it.each(['127.0.0.1', '169.254.169.254', '10.0.0.1', '0.0.0.0'])(
    'is not connected to where its name leads to %s',
    async (address) => {
      await expect(asks(address, true)).rejects.toMatchObject({ code: 'REDIRECT_REFUSED' });
    },
  );

  it('is connected to anywhere when the user has named it', async () => {
    expect((await asks('127.0.0.1', false)).status).toBe(200);
  });
});

describe('a registry without TLS whose name leads elsewhere in mid-command', () => {
  /** A registry of this machine under a name, and what its name server says from one connection to the next. */
  async function named(answers: readonly string[], options: { networks?: AddressClass[]; allow?: string } = {}) {
    const answer = { body: 'x', headers: { connection: 'close' } };
    const registry = await scripted({ 'GET /x': answer });
    const other = await scripted({ 'GET /x': answer }, { listen: '127.0.0.2', port: registry.port });
    const url = new URL(`http://registry.example:${registry.port}/x`);
    const environment = options.allow === undefined ? {} : { TARTLET_INTERNAL_HOSTS: options.allow };
    const left = [...answers];
    const http = httpTransport({
      userAgent: 'x',
      environment,
      limits,
      guard: new AddressGuard({ registry: () => Promise.resolve(url), environment, networks: options.networks }),
      lookup: (_name, _options, callback) => callback(null, [{ address: left.shift() ?? '', family: 4 }]),
    });
    after(() => http.close());
    const ask = async (transientChunks?: 'blob') => {
      const how = transientChunks === undefined ? {} : { transientChunks };
      const request = {
        method: 'GET',
        url,
        headers: {},
        access: { action: 'pull' },
        idempotent: true,
        ...how,
      } as const;
      const { body } = await http.send(request);
      return (await collect(body)).toString();
    };
    return { ask, log: () => [registry.requests.length, other.requests.length] };
  }

  it.each([
    ['by the library', undefined],
    ['straight from the socket', 'blob' as const],
  ])('is not followed from the outside to this machine, %s (S9)', async (_way, transientChunks) => {
    const { ask, log } = await named(['127.0.0.1'], { networks: ['public'] });
    await expect(ask(transientChunks)).rejects.toMatchObject({
      code: 'REDIRECT_REFUSED',
      message:
        'the name registry.example leads elsewhere than before, to 127.0.0.1, which is on this machine: not connected',
    });
    expect(log()).toEqual([0, 0]);
  });

  it('is not followed from this machine into a private network, or to the service of a cloud (S9)', async () => {
    const { ask } = await named(['127.0.0.1', '10.0.0.1', '169.254.169.254']);
    await expect(ask()).resolves.toBe('x');
    await expect(ask()).rejects.toMatchObject({ code: 'REDIRECT_REFUSED' });
    await expect(ask()).rejects.toMatchObject({ code: 'REDIRECT_REFUSED' });
  });

  it('is followed to another address of the same network: names with several take turns (N56)', async () => {
    const { ask, log } = await named(['127.0.0.1', '127.0.0.2', '127.0.0.1']);
    expect([await ask(), await ask(), await ask()]).toEqual(['x', 'x', 'x']);
    expect(log()).toEqual([2, 1]);
  });

  it('is followed where its user allows it (S9)', async () => {
    const { ask } = await named(['127.0.0.1'], { networks: ['public'], allow: 'registry.example' });
    await expect(ask()).resolves.toBe('x');
  });

  it('is known to other clients of the same command: they are told on which network it was reached (S9)', async () => {
    const registry = await scripted({ 'GET /v2/': { body: '{}' } }, { name: 'localhost' });
    const { client } = clientFor(registry);
    await client.ping();
    expect(client.networks).toEqual(['loopback']);
    const other = clientFor(registry, { networks: ['public'] }).client;
    await expect(other.ping()).rejects.toMatchObject({ code: 'REDIRECT_REFUSED' });
  });
});
