import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { EndpointChoice } from '../../src/endpoints/endpoint.ts';
import { hostsFor } from '../../src/endpoints/hosts-directory.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { Cleanup } from '../support/real-cleanup.ts';

let cleanup = new Cleanup();

afterEach(async () => {
  await cleanup.run();
  cleanup = new Cleanup();
});

async function choose(
  files: Readonly<Record<string, string>>,
  name: string,
): Promise<{ readonly root: string; readonly choice: EndpointChoice | undefined }> {
  const root = cleanup.directory();
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(`${root}/${file}`), { recursive: true });
    writeFileSync(`${root}/${file}`, text);
  }
  return { root, choice: await hostsFor(root, RemoteName.parse(name), 'usual') };
}

async function endpointsBy(text: string, name = 'ghcr.io/a/b:1'): Promise<EndpointChoice['endpoints']> {
  const { choice } = await choose({ '_default/hosts.toml': text }, name);
  if (choice === undefined) throw new Error('nothing was found');
  return choice.endpoints;
}

it('hosts are asked in their order, then the registry itself, and are told which registry is meant', async () => {
  const endpoints = await endpointsBy(`
[host."http://b.site:5000"]
[host."https://a.site"]
`);
  expect(endpoints.map(({ registry, scheme, apiPath, namespace }) => [registry, scheme, apiPath, namespace])).toEqual([
    ['b.site:5000', 'http', '/v2', 'ghcr.io'],
    ['a.site', 'https', '/v2', 'ghcr.io'],
    ['ghcr.io', 'usual', '/v2', undefined],
  ]);
});

it('a server takes the place of the registry; its own host is told of no other', async () => {
  expect((await endpointsBy('server = "https://other.site"')).map((each) => [each.registry, each.namespace])).toEqual([
    ['other.site', 'ghcr.io'],
  ]);
  expect((await endpointsBy('server = "https://ghcr.io"')).map((each) => [each.registry, each.namespace])).toEqual([
    ['ghcr.io', undefined],
  ]);
  const hub = await endpointsBy('server = "https://registry-1.docker.io"', 'docker.io/library/debian:12');
  expect(hub.map(({ namespace }) => namespace)).toEqual([undefined]);
});

it.each([
  ['https://m.site/cache', '/cache/v2'],
  ['https://m.site/v2/cache', '/v2/cache/v2'],
  ['https://m.site/cache/v2/', '/cache/v2'],
  ['https://m.site/', '/v2'],
  ['m.site', '/v2'],
])('the API of %s begins at %s', async (url, apiPath) => {
  expect((await endpointsBy(`[host."${url}"]`))[0].apiPath).toBe(apiPath);
});

it('a path is the whole beginning of the API where it says so', async () => {
  expect((await endpointsBy('[host."https://m.site/v2/cache"]\noverride_path = true'))[0].apiPath).toBe('/v2/cache');
});

it('capabilities decide what is asked for; a host for pushes is not asked', async () => {
  const endpoints = await endpointsBy(`
[host."https://content.site"]
capabilities = ["pull"]
[host."https://tags.site"]
capabilities = ["Resolve"]
[host."https://both.site"]
capabilities = ["pull", "resolve", "push"]
[host."https://push.site"]
capabilities = ["push"]
`);
  expect(endpoints.map(({ registry, answers }) => [registry, answers])).toEqual([
    ['content.site', 'content'],
    ['tags.site', 'tags'],
    ['both.site', 'all'],
    ['ghcr.io', 'all'],
  ]);
});

it('certificates, headers, patience and trust are of one host alone', async () => {
  const { root, choice } = await choose(
    {
      'ghcr.io/hosts.toml': `
[host."https://m.site"]
ca = ["ca.pem", "/etc/other.pem"]
client = [["client.pem", "client.key"], "both.pem"]
skip_verify = true
dial_timeout = "1m1.5s"
[host."https://m.site".header]
X-Key = ["one", "two"]
[host."https://n.site"]
ca = "ca.pem"
`,
    },
    'ghcr.io/a/b:1',
  );
  const within = (file: string): string => `${root}/ghcr.io/${file}`;
  expect(choice?.endpoints[0]).toMatchObject({
    tls: {
      isVerified: false,
      ca: [within('ca.pem'), '/etc/other.pem'],
      certificates: [
        { certificate: within('client.pem'), key: within('client.key') },
        { certificate: within('both.pem'), key: undefined },
      ],
    },
    headers: { 'x-key': 'one, two' },
    connectMs: 61_500,
  });
  expect(choice?.endpoints[1]).toMatchObject({ tls: { isVerified: true, ca: [within('ca.pem')] }, headers: {} });
  expect(choice?.endpoints[2]).toMatchObject({ tls: { isVerified: true, ca: [], certificates: [] }, headers: {} });
});

it('plain HTTP with settings for TLS means TLS where it is spoken', async () => {
  expect((await endpointsBy('[host."http://m.site:5000"]\nskip_verify = true'))[0].scheme).toBe('either');
  expect((await endpointsBy('[host."http://m.site:80"]\nskip_verify = true'))[0].scheme).toBe('http');
});

describe('the directory is', () => {
  const ALL = {
    'h.example_5000_/hosts.toml': '[host."https://underscores.site"]',
    'h.example:5000/hosts.toml': '[host."https://colon.site"]',
    'h.example/hosts.toml': '[host."https://no-port.site"]',
    '_default/hosts.toml': '[host."https://default.site"]',
  };

  it.each([
    ['h.example:5000/x:1', 'underscores.site'],
    ['h.example/x:1', 'no-port.site'],
    ['other.example:5000/x:1', 'default.site'],
  ])('for %s that of %s', async (name, host) => {
    expect((await choose(ALL, name)).choice?.endpoints[0].registry).toBe(host);
  });

  it('the one with a colon, where there is none with underscores', async () => {
    const { 'h.example_5000_/hosts.toml': _, ...others } = ALL;
    expect((await choose(others, 'h.example:5000/x:1')).choice?.endpoints[0].registry).toBe('colon.site');
  });

  it('none, where there is none', async () => {
    expect((await choose({}, 'h.example/x:1')).choice).toBeUndefined();
  });
});

it('without a hosts.toml, certificates in the directory are for the registry', async () => {
  const { root, choice } = await choose(
    { 'ghcr.io/ca.crt': 'x', 'ghcr.io/client.cert': 'x', 'ghcr.io/client.key': 'x' },
    'ghcr.io/a/b:1',
  );
  expect(choice?.endpoints).toMatchObject([
    {
      registry: 'ghcr.io',
      tls: {
        ca: [`${root}/ghcr.io/ca.crt`],
        certificates: [{ certificate: `${root}/ghcr.io/client.cert`, key: `${root}/ghcr.io/client.key` }],
      },
    },
  ]);
});

describe('a hosts.toml is refused', () => {
  it.each<[why: string, text: string, says: RegExp]>([
    ['that is no TOML', 'server = ', /line 1/],
    ['with a key that is not supported', '[host."https://m.site"]\nproxy = "http://p"', /proxy" is not supported/],
    ['with a host that is no address', '[host."https://"]', /has to be an address/],
    ['with an unknown capability', '[host."https://m.site"]\ncapabilities = ["read"]', /pull, resolve and push/],
    ['with a server for pushes alone', 'capabilities = ["push"]', /of the server/],
    ['with a time that is none', '[host."https://m.site"]\ndial_timeout = "soon"', /duration like 5s/],
    [
      'with a client certificate of three files',
      '[host."https://m.site"]\nclient = [["a", "b", "c"]]',
      /pairs of files/,
    ],
    ['with a header of the protocol itself', '[host."https://m.site".header]\nHost = "x"', /Host" is not supported/],
    [
      'with a header that begins another line',
      '[host."https://m.site".header]\nX = "secret\\nvalue"',
      /no header may have/,
    ],
  ])('%s', async (_, text, says) => {
    const failure = await endpointsBy(text).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(says) as string });
    expect(String(failure)).not.toContain('secret');
  });
});
