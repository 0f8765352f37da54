import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { createCredentialSource } from '../../src/credentials/chain.ts';
import { eraseCredential, storeCredential } from '../../src/credentials/credential-store.ts';
import { eraseFromKeychain, keychainSource } from '../../src/credentials/keychain.ts';
import { describeNote } from '../../src/credentials/note.ts';
import { FakeKeychain } from './fake-security.ts';
import { address, basic, everythingIn, failure, World } from './world.ts';

function keychainWith(body: string) {
  const world = new World();
  const log = path.join(world.directory, 'log');
  world.program('security', `#!/bin/sh\nprintf '%s\\n' "$*" >> "${log}"\n${body}\n`);
  const settings = world.settings({ platform: 'darwin' });
  return {
    settings,
    find: async (registry: string) => keychainSource(settings).find(address(registry)),
    log: () => (existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : []),
  };
}

/** What `security … -g` prints: attributes here, the password there. */
const item = (account: string, password: string): string =>
  `cat <<'END'
keychain: "/Users/u/Library/Keychains/login.keychain-db"
class: "inet"
attributes:
    0x00000007 <blob>="Tart Credentials"
    "acct"<blob>=${account}
    "srvr"<blob>="h:8221"
END
cat >&2 <<'END'
password: ${password}
END`;

describe("Tart's items are read", () => {
  it.each([
    ['plain text', '"user"', '"p:w"', 'user', 'p:w'],
    ['quotes inside', '"us"er"', '"p"w"', 'us"er', 'p"w'],
    ['no ASCII', String.raw`0x6AC3BC  "j\303\274"`, String.raw`0x70C3A4  "p\303\244"`, 'jü', 'pä'],
    ['what looks like hex', '"0xabc"', '"DEADBEEF"', '0xabc', 'DEADBEEF'],
    ['an empty password', '"user"', '', 'user', ''],
  ])('%s', async (_what, account, password, username, secret) => {
    const { find } = keychainWith(item(account, password));
    expect(await find('h:8221')).toEqual({
      kind: 'password',
      registry: address('h:8221'),
      username,
      password: secret,
      source: 'the Keychain item "Tart Credentials" of h:8221',
    });
  });

  it('by host and port, as Tart spells them; port 443 in both spellings', async () => {
    const { find, log } = keychainWith('exit 44');
    expect(await find('h:8221')).toBeUndefined();
    expect(await find('registry-1.docker.io')).toBeUndefined();
    expect(log()).toEqual([
      'find-internet-password -s h:8221 -l Tart Credentials -g',
      'find-internet-password -s registry-1.docker.io -l Tart Credentials -g',
      'find-internet-password -s registry-1.docker.io:443 -l Tart Credentials -g',
    ]);
  });

  it('without `security` there is no Keychain', async () => {
    const world = new World();
    expect(await keychainSource(world.settings({ platform: 'darwin' })).find(address('h:1'))).toBeUndefined();
  });
});

it.each([
  ['locked', 'echo canary; exit 36', 'it is locked, as in SSH sessions'],
  ['failing', 'echo canary >&2; exit 51', 'exit code 51'],
  ['giving an answer of another form', item('<NULL>', 'canary'), 'its answer could not be read'],
])('a Keychain that is %s is an error', async (_what, body, why) => {
  const error = await failure(keychainWith(body).find('h:1'));
  expect(error.code).toBe('AUTH_HELPER');
  expect(error.message).toContain(why);
  expect(everythingIn(error)).not.toContain('canary');
});

it('items are erased, absent ones are no error', async () => {
  const { settings, log } = keychainWith('[ "$3" = h ] || exit 44');
  expect(await eraseFromKeychain(address('h'), settings)).toEqual(['h']);
  expect(await eraseFromKeychain(address('h:8221'), settings)).toEqual([]);
  expect(log()[0]).toBe('delete-internet-password -s h -l Tart Credentials');
});

describe('a login on macOS', () => {
  const secret = { kind: 'password', username: 'u', password: 'p' } as const;
  const mac = (world: World) => world.settings({ platform: 'darwin' });
  const stored = async (world: World, registry: string) => createCredentialSource(mac(world)).find(address(registry));

  it('is kept as Tart keeps it, and no argument tells the password (S31)', async () => {
    const world = new World();
    const keychain = new FakeKeychain(world);
    const place = await storeCredential(address('h:8221'), { ...secret, password: 'canary' }, mac(world));
    expect(place).toEqual({ kind: 'keychain', server: 'h:8221' });
    expect(keychain.items).toEqual([{ server: 'h:8221', account: 'u', label: 'Tart Credentials', password: 'canary' }]);
    expect(keychain.calls).toContain('-i');
    expect(keychain.calls.join('\n')).not.toContain('canary');
    expect(existsSync(world.dockerFile)).toBe(false);
    expect(await stored(world, 'h:8221')).toMatchObject({ username: 'u', password: 'canary' });
    expect(await stored(world, 'h')).toBeUndefined();
  });

  it.each(['a b', '"', '\\', "'", '\\"; quit', '$(touch x)', 'pä:ß', '-w', 'x -l y'])(
    'with the password %j',
    async (password) => {
      const world = new World();
      const keychain = new FakeKeychain(world);
      await storeCredential(
        address('h'),
        { kind: 'password', username: password.replace(':', ''), password },
        mac(world),
      );
      expect(keychain.items.map(({ account, password: kept }) => [account, kept])).toEqual([
        [password.replace(':', ''), password],
      ]);
    },
  );

  it('replaces those of other users and of the other spelling', async () => {
    const world = new World();
    const old = { label: 'Tart Credentials', password: 'old' };
    const others = [
      { ...old, server: 'h', account: 'a' },
      { ...old, server: 'h', account: 'b' },
      { ...old, server: 'h:443', account: 'c' },
    ];
    const foreign = { server: 'h', account: 'u', label: 'a web site', password: 'w' };
    const keychain = new FakeKeychain(world, { items: [...others, { ...old, server: 'h:1', account: 'd' }] });
    await storeCredential(address('h:443'), secret, mac(world));
    expect(keychain.items.map(({ server, account }) => [server, account])).toEqual([
      ['h:1', 'd'],
      ['h:443', 'u'],
    ]);
    const shared = new World();
    expect(new FakeKeychain(shared, { items: [foreign, ...others] }).items).toHaveLength(4);
    await eraseCredential(address('h'), mac(shared));
    expect(JSON.parse(readFileSync(path.join(shared.directory, 'keychain.json'), 'utf8'))).toEqual([foreign]);
  });

  it('goes to a file when the Keychain is locked, and says so (tart-cli §7 #53)', async () => {
    const world = new World();
    const keychain = new FakeKeychain(world, { locked: true });
    const place = await storeCredential(address('h:1'), secret, mac(world));
    expect(place).toEqual({ kind: 'file', file: world.dockerFile, key: 'h:1' });
    expect(keychain.items).toEqual([]);
    expect(world.notes.map((note) => describeNote(note))).toEqual([
      'the Keychain could not keep the password (the Keychain item "Tart Credentials" of h:1 cannot be used: ' +
        'it is locked, as in SSH sessions), so that it is in a file',
    ]);
    expect(await stored(world, 'h:1')).toMatchObject({ source: world.dockerFile });
  });

  it.each([
    ['of several lines', '{\n}'],
    ['longer than a line of its input', 'x'.repeat(2000)],
  ])('goes to a file with a password %s', async (_what, password) => {
    const world = new World();
    const keychain = new FakeKeychain(world);
    expect(await storeCredential(address('h:1'), { ...secret, password }, mac(world))).toMatchObject({ kind: 'file' });
    expect(keychain.calls).toEqual([]);
  });

  it('goes to a file when `security` says yes and keeps nothing', async () => {
    const world = new World();
    world.program('security', '#!/bin/sh\n[ "$1" = -i ] || exit 44\n');
    expect(await storeCredential(address('h:1'), secret, mac(world))).toMatchObject({ kind: 'file' });
    expect(world.notes).toMatchObject([{ kind: 'keychain-refused' }]);
  });

  it.each([
    ["Docker's file", (world: World) => world.dockerFile],
    ["Podman's file", (world: World) => path.join(world.userDirectory, '.config/containers/auth.json')],
  ])('goes to a file when %s speaks of the registry, which is asked first', async (_what, file) => {
    const world = new World();
    const keychain = new FakeKeychain(world);
    world.write(file(world), { auths: { 'h:1': basic('old', 'p') } });
    expect(await storeCredential(address('h:1'), secret, mac(world))).toMatchObject({ kind: 'file' });
    expect(await stored(world, 'h:1')).toMatchObject({ username: 'u' });
    expect(keychain.items).toEqual([]);
  });
});
