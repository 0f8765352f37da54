import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { eraseFromKeychain, keychainSource } from '../../src/credentials/keychain.ts';
import { address, everythingIn, failure, World } from './world.ts';

function keychainWith(body: string) {
  const world = new World();
  const log = path.join(world.folder, 'log');
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
