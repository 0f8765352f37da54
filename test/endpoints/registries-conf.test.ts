import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { EndpointFinder } from '../../src/endpoints/endpoint-finder.ts';
import { endpointText } from '../../src/endpoints/endpoint.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { Cleanup } from '../support/real-cleanup.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
let cleanup = new Cleanup();

afterEach(async () => {
  await cleanup.run();
  cleanup = new Cleanup();
});

/** A machine with these files below a root directory of its own. */
function machine(files: Readonly<Record<string, string>>): {
  readonly at: (name: string) => string;
  readonly finder: (environment?: Readonly<Record<string, string>>) => EndpointFinder;
} {
  const root = cleanup.directory();
  const at = (name: string): string => path.join(root, name);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(at(name)), { recursive: true });
    writeFileSync(at(name), text);
  }
  const finder = (environment: Readonly<Record<string, string>> = {}): EndpointFinder =>
    new EndpointFinder({
      environment: { HOME: at('user'), ...environment },
      systemDirectory: at('etc/containers'),
      hostsDirectory: at('etc/containerd/certs.d'),
    });
  return { at, finder };
}

/** Where an image comes from by one `registries.conf`, each place as `host/repository`, with `!` for blocked. */
async function endpointsBy(text: string, name: string): Promise<string[]> {
  const { finder } = machine({ 'etc/containers/registries.conf': text });
  return shown(finder(), name);
}

async function shown(finder: EndpointFinder, name: string): Promise<string[]> {
  const { endpoints } = await finder.find(RemoteName.parse(name));
  return endpoints.map((each) => `${endpointText(each)}${each.blockedBy === undefined ? '' : '!'}`);
}

const MIRRORED = `
[[registry]]
prefix = "ghcr.io"
location = "ghcr.io"
[[registry.mirror]]
location = "near.site:5000/ghcr"
[[registry.mirror]]
location = "far.site"
`;

describe('an image comes from', () => {
  it.each<[what: string, conf: string, name: string, endpoints: string[]]>([
    ['its registry, where nothing is said', '', 'ghcr.io/a/b:1', ['ghcr.io/a/b']],
    [
      'the mirrors in order, and then its registry',
      MIRRORED,
      'ghcr.io/a/b:1',
      ['near.site:5000/ghcr/a/b', 'far.site/a/b', 'ghcr.io/a/b'],
    ],
    ['its registry, where another is meant', MIRRORED, 'ghcr.io.example/a/b:1', ['ghcr.io.example/a/b']],
    [
      'what the longest prefix says',
      `${MIRRORED}[[registry]]\nlocation = "ghcr.io/a"\n[[registry]]\nlocation = "ghcr.io/a/bc"`,
      'ghcr.io/a/b:1',
      ['ghcr.io/a/b'],
    ],
    [
      'the location in place of the prefix',
      '[[registry]]\nprefix = "ghcr.io/old"\nlocation = "quay.io/new/home"',
      'ghcr.io/old/b:1',
      ['quay.io/new/home/b'],
    ],
    [
      'the location of a prefix with a port',
      '[[registry]]\nprefix = "a.example:8221"\nlocation = "b.example:5000"',
      'a.example:8221/x:1',
      ['b.example:5000/x'],
    ],
    [
      'where it is called, by a pattern without a location',
      '[[registry]]\nprefix = "*.example.com"\n[[registry.mirror]]\nlocation = "m.site/all"',
      'a.b.example.com/x/y:1',
      ['m.site/all/x/y', 'a.b.example.com/x/y'],
    ],
    [
      'its registry, where a pattern means only what is below it',
      '[[registry]]\nprefix = "*.example.com"\nlocation = "m.site"',
      'example.com/x:1',
      ['example.com/x'],
    ],
    [
      'its registry alone by a tag, where mirrors are for digests',
      MIRRORED.replace('location = "ghcr.io"', 'location = "ghcr.io"\nmirror-by-digest-only = true'),
      'ghcr.io/a/b:1',
      ['ghcr.io/a/b'],
    ],
    [
      'mirrors by a digest, where mirrors are for digests',
      MIRRORED.replace('location = "ghcr.io"', 'location = "ghcr.io"\nmirror-by-digest-only = true'),
      `ghcr.io/a/b@${DIGEST}`,
      ['near.site:5000/ghcr/a/b', 'far.site/a/b', 'ghcr.io/a/b'],
    ],
    [
      'the mirrors for tags by a tag',
      `${MIRRORED}pull-from-mirror = "digest-only"\n`,
      'ghcr.io/a/b:1',
      ['near.site:5000/ghcr/a/b', 'ghcr.io/a/b'],
    ],
    [
      'the mirrors for digests by a digest',
      `${MIRRORED}pull-from-mirror = "tag-only"\n`,
      `ghcr.io/a/b@${DIGEST}`,
      ['near.site:5000/ghcr/a/b', 'ghcr.io/a/b'],
    ],
    [
      'mirrors alone, where the registry is blocked',
      MIRRORED.replace('location = "ghcr.io"', 'location = "ghcr.io"\nblocked = true'),
      'ghcr.io/a/b:1',
      ['near.site:5000/ghcr/a/b', 'far.site/a/b', 'ghcr.io/a/b!'],
    ],
    [
      'no mirror that is blocked by a table of its own',
      `${MIRRORED}[[registry]]\nlocation = "far.site"\nblocked = true`,
      'ghcr.io/a/b:1',
      ['near.site:5000/ghcr/a/b', 'far.site/a/b!', 'ghcr.io/a/b'],
    ],
    [
      'the registry, beside everything that is for short names',
      `unqualified-search-registries = ["docker.io"]\nshort-name-mode = "enforcing"\n` +
        `credential-helpers = ["containers-auth.json"]\n[aliases]\n"debian" = "docker.io/library/debian"`,
      'ghcr.io/a/b:1',
      ['ghcr.io/a/b'],
    ],
  ])('%s', async (_, conf, name, endpoints) => {
    expect(await endpointsBy(conf, name)).toEqual(endpoints);
  });
});

it('an insecure place is spoken to in TLS that nobody has to vouch for, or without', async () => {
  const { finder } = machine({
    'etc/containers/registries.conf':
      '[[registry]]\nlocation = "a.example"\n[[registry.mirror]]\nlocation = "m.site"\ninsecure = true',
  });
  const { endpoints } = await finder().find(RemoteName.parse('a.example/x:1'));
  expect(endpoints.map(({ scheme, tls }) => [scheme, tls.isVerified])).toEqual([
    ['either', false],
    ['usual', true],
  ]);
});

describe('a registries.conf is refused', () => {
  it.each<[why: string, conf: string, says: RegExp]>([
    ['that is no TOML', '[[registry]\nlocation = "a.example"', /line 1, column/],
    [
      'with a key that is misspelled',
      '[[registry]]\nlocation = "a.example"\nmirrors = []',
      /"registry 1: mirrors" is not supported/,
    ],
    [
      'with a key in a mirror that is misspelled',
      `${MIRRORED}insecur = true`,
      /"registry 1: mirror 2: insecur" is not supported/,
    ],
    ['with a table that nobody knows', '[proxy]\nurl = "x"', /"proxy" is not supported/],
    ['of version 1', '[registries.insecure]\nregistries = ["a.example"]', /version 1/],
    ['with helpers for logins', 'credential-helpers = ["secretservice"]', /credential-helpers/],
    ['without a location', '[[registry]]\nprefix = "a.example"', /location" is missing/],
    [
      'with a mirror without a location',
      '[[registry]]\nlocation = "a.example"\n[[registry.mirror]]',
      /mirror 1: location" is missing/,
    ],
    ['with a scheme', '[[registry]]\nlocation = "https://a.example"', /without a scheme/],
    [
      'with a pattern that has a port',
      '[[registry]]\nprefix = "*.a.example:5000"\nlocation = "b.example"',
      /only have a host/,
    ],
    ['with a text for yes', '[[registry]]\nlocation = "a.example"\ninsecure = "yes"', /true or false/],
    ['with an unknown restriction', `${MIRRORED}pull-from-mirror = "never"`, /all, digest-only, tag-only/],
    [
      'with restrictions of two kinds',
      '[[registry]]\nlocation = "a.example"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.site"\npull-from-mirror = "all"',
      /beside mirror-by-digest-only/,
    ],
    [
      'with a restriction on the registry itself',
      '[[registry]]\nlocation = "a.example"\npull-from-mirror = "all"',
      /not supported/,
    ],
    [
      'that says two things of one place',
      '[[registry]]\nlocation = "a.example"\n[[registry]]\nprefix = "b.example"\nlocation = "a.example"\ninsecure = true',
      /there twice/,
    ],
    [
      'by which an image is called what no image can be',
      '[[registry]]\nprefix = "ghcr.io"\nlocation = "nohost"',
      /"nohost\/a\/b", which is no image/,
    ],
  ])('%s', async (_, conf, says) => {
    await expect(endpointsBy(conf, 'ghcr.io/a/b:1')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(says) as string,
    });
  });
});

/** A table for ghcr.io, with one mirror. */
function mirroredBy(mirror: string): string {
  return `[[registry]]\nlocation = "ghcr.io"\n[[registry.mirror]]\nlocation = "${mirror}.site"\n`;
}

describe('of several files', () => {
  const NAME = 'ghcr.io/a/b:1';

  it('drop-ins count in the order of their names, those of the user last, each for its prefixes', async () => {
    const { finder } = machine({
      'etc/containers/registries.conf': `${mirroredBy('main')}[[registry]]\nprefix = "quay.io"\nlocation = "kept.site"`,
      'etc/containers/registries.conf.d/10.conf': mirroredBy('ten'),
      'etc/containers/registries.conf.d/20.conf': mirroredBy('twenty'),
      'etc/containers/registries.conf.d/30.toml': mirroredBy('not-read'),
      'user/.config/containers/registries.conf.d/05.conf': mirroredBy('user'),
    });
    expect(await shown(finder(), NAME)).toEqual(['user.site/a/b', 'ghcr.io/a/b']);
    expect(await shown(finder(), 'quay.io/x:1')).toEqual(['kept.site/x']);
  });

  it('that of the user takes the place of all of the system', async () => {
    const { finder } = machine({
      'etc/containers/registries.conf.d/10.conf': mirroredBy('system'),
      'user/.config/containers/registries.conf': '',
    });
    expect(await shown(finder(), NAME)).toEqual(['ghcr.io/a/b']);
  });

  it('the one that CONTAINERS_REGISTRIES_CONF names is read, and drop-ins over it', async () => {
    const { at, finder } = machine({
      named: mirroredBy('named'),
      'user/.config/containers/registries.conf': mirroredBy('user'),
      'etc/containers/registries.conf.d/10.conf': '[[registry]]\nprefix = "quay.io"\nlocation = "drop-in.site"',
    });
    const found = finder({ CONTAINERS_REGISTRIES_CONF: at('named') });
    expect(await shown(found, NAME)).toEqual(['named.site/a/b', 'ghcr.io/a/b']);
    expect(await shown(found, 'quay.io/x:1')).toEqual(['drop-in.site/x']);
  });

  it('the one that TARTLET_MIRRORS names is read alone', async () => {
    const { at, finder } = machine({
      named: '[[registry]]\nprefix = "quay.io"\nlocation = "named.site"',
      'etc/containers/registries.conf': mirroredBy('system'),
      'etc/containerd/certs.d/ghcr.io/hosts.toml': '[host."https://containerd.site"]',
    });
    const found = finder({ TARTLET_MIRRORS: at('named') });
    expect(await shown(found, NAME)).toEqual(['ghcr.io/a/b']);
    expect(await shown(found, 'quay.io/x:1')).toEqual(['named.site/x']);
  });

  it('none is read where TARTLET_MIRRORS is off', async () => {
    const { finder } = machine({ 'etc/containers/registries.conf': 'no TOML' });
    expect(await shown(finder({ TARTLET_MIRRORS: 'off' }), NAME)).toEqual(['ghcr.io/a/b']);
  });

  it.each(['TARTLET_MIRRORS', 'CONTAINERS_REGISTRIES_CONF'])('one that %s names has to be there', async (variable) => {
    const { at, finder } = machine({});
    await expect(shown(finder({ [variable]: at('missing') }), NAME)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it.each([
    ['the file', 'registries.conf'],
    ['its directory', ''],
  ])('one is refused where others can write to %s (S89)', async (_, writable) => {
    const { at, finder } = machine({ 'etc/containers/registries.conf': mirroredBy('system') });
    chmodSync(at(`etc/containers/${writable}`), writable === '' ? 0o777 : 0o666);
    await expect(shown(finder(), NAME)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('other users can write to') as string,
    });
  });

  it('hosts.toml counts for what registries.conf has no table for', async () => {
    const { finder } = machine({
      'etc/containers/registries.conf': '[[registry]]\nlocation = "ghcr.io/a"',
      'etc/containerd/certs.d/ghcr.io/hosts.toml': '[host."https://containerd.site"]',
    });
    expect(await shown(finder(), NAME)).toEqual(['ghcr.io/a/b']);
    expect(await shown(finder(), 'ghcr.io/c:1')).toEqual(['containerd.site/c', 'ghcr.io/c']);
  });
});
