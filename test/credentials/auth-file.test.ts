import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { authFileSource } from '../../src/credentials/auth-file-source.ts';
import { describeNote } from '../../src/credentials/note.ts';
import { address, basic, everythingIn, failure, World } from './world.ts';

/** What a Docker file with this content knows. */
function knowing(content: unknown, mode?: number) {
  const world = new World();
  const file = world.write(world.dockerFile, content, mode);
  const source = authFileSource({ path: file }, world.settings());
  return {
    world,
    file,
    find: async (registry: string, repository?: string) => source.find(address(registry), repository),
  };
}

describe('an entry is found by any spelling of its registry', () => {
  it.each([
    ['registry.example:8221', 'registry.example:8221'],
    ['https://registry.example:8221/v1/', 'registry.example:8221'],
    ['registry.example', 'registry.example:443'],
    ['https://index.docker.io/v1/', 'registry-1.docker.io'],
    ['https://[::1]:5000', '[::1]:5000'],
  ])('%s for %s', async (key, registry) => {
    const { find, file } = knowing({ auths: { [key]: basic('u', 'p') } });
    expect(await find(registry)).toEqual({
      kind: 'password',
      registry: address(registry),
      username: 'u',
      password: 'p',
      source: file,
    });
    expect(await find('registry.example:8222')).toBeUndefined();
  });

  it('the most specific path wins, and only below it', async () => {
    const { find } = knowing({
      auths: { 'h:1': basic('all', 'p'), 'h:1/org': basic('org', 'p'), 'h:1/org/deep': basic('deep', 'p') },
    });
    expect(await find('h:1', 'org/deep/image')).toMatchObject({ username: 'deep' });
    expect(await find('h:1', 'org/image')).toMatchObject({ username: 'org' });
    expect(await find('h:1', 'other/image')).toMatchObject({ username: 'all' });
    expect(await find('h:1')).toMatchObject({ username: 'all' });
  });

  it('an entry without a secret is passed over', async () => {
    const { find } = knowing({ auths: { 'h:1': {}, 'https://h:1/v1/': basic('u', 'p'), 'h:2': {}, 'h:3': null } });
    expect(await find('h:1')).toMatchObject({ username: 'u' });
    expect(await find('h:2')).toBeUndefined();
    expect(await find('h:3')).toBeUndefined();
  });
});

describe('what an entry may hold', () => {
  const token = { kind: 'identity-token', token: 'canary-token' };
  it.each([
    ['colons in the password (openai/tart#1251)', basic('u', 'a:b::c:'), { username: 'u', password: 'a:b::c:' }],
    ['no ASCII', basic('jürgen', 'pässwörd-日本-🔑'), { username: 'jürgen', password: 'pässwörd-日本-🔑' }],
    ['base64 without padding', { auth: 'dTpwcA' }, { username: 'u', password: 'pp' }],
    ['base64 of URLs', { auth: Buffer.from('u:??>>').toString('base64url') }, { username: 'u', password: '??>>' }],
    ['base64 in lines', { auth: 'dTpw\r\ncA==\n' }, { username: 'u', password: 'pp' }],
    ['zero bytes around the password', basic('u', 'p\0\0'), { username: 'u', password: 'p' }],
    ['an empty user', basic('', 'p'), { username: '', password: 'p' }],
    ['two fields', { username: 'u', password: 'p:q' }, { username: 'u', password: 'p:q' }],
    ['auth before two fields', { ...basic('u', 'p'), username: 'x', password: 'y' }, { username: 'u' }],
    ['fields of the future', { ...basic('u', 'p'), email: 1, later: {} }, { username: 'u' }],
    ['an identity token', { identitytoken: 'canary-token' }, token],
    ['an identity token beside a user', { ...basic('0000', ''), identitytoken: 'canary-token' }, token],
    ['the user <token>', basic('<token>', 'canary-token'), token],
    ['the user <token> in a field', { username: '<token>', password: 'canary-token' }, token],
  ])('%s', async (_what, entry, expected) => {
    const { find } = knowing({ auths: { 'h:1': entry } });
    expect(await find('h:1')).toMatchObject(expected);
  });

  it('a registry token alone is not used, and that is said', async () => {
    const { find, world, file } = knowing({ auths: { 'h:1': { registrytoken: 'canary' } } });
    expect(await find('h:1')).toBeUndefined();
    expect(world.notes).toEqual([{ kind: 'registry-token', file, key: 'h:1' }]);
    expect(describeNote(world.notes[0]!)).not.toContain('canary');
  });

  it.each([
    ['no base64', { auth: 'canary!' }, 'its "auth" is not base64'],
    ['base64 of an impossible length', { auth: 'abcde' }, 'its "auth" is not base64'],
    ['no colon', { auth: Buffer.from('canary').toString('base64') }, 'its "auth" has no ":"'],
    ['no UTF-8', { auth: Buffer.from([0x75, 0x3a, 0xff]).toString('base64') }, 'its "auth" is not UTF-8'],
    ['a number', { auth: 42 }, 'its "auth" is not a text'],
    ['a list', ['canary'], 'it is not an object'],
    ['a number as password', { username: 'u', password: 7 }, 'its "password" is not a text'],
  ])('%s: an error that names the entry', async (_what, entry, why) => {
    const { find, file } = knowing({ auths: { 'h:1': entry, 'h:2': basic('u', 'p') } });
    const error = await failure(find('h:1'));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(`the entry "h:1" in ${file}`);
    expect(error.message).toContain(why);
    expect(everythingIn(error)).not.toMatch(/canary|Y2FuYXJ5/);
    // The other registries of the file are none the worse for it.
    expect(await find('h:2')).toMatchObject({ username: 'u' });
  });
});

describe('a file that cannot be used is an error', () => {
  it.each([
    ['broken JSON', '{"auths": {"h:1": {"auth": "canary" "canary', 'line 1, column 37'],
    ['a list', '["canary"]', 'line 1, column 1'],
    ['auths of another kind', '{"auths": ["canary"]}', '"auths" is not an object'],
    ['credHelpers of another kind', '{"credHelpers": "canary"}', '"credHelpers" is not an object'],
    ['a helper of another kind', '{"credHelpers": {"h:1": {"canary": 1}}}', 'credHelpers["h:1"] is not a text'],
    ['credsStore of another kind', '{"credsStore": ["canary"]}', 'credsStore is not a text'],
    ['more than a mebibyte', `{"x": "${'canary'.repeat(200_000)}"}`, 'larger than 1048576 bytes'],
  ])('%s', async (_what, content, why) => {
    const { find, file } = knowing(content);
    const error = await failure(find('h:1'));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(file);
    expect(error.message).toContain(why);
    expect(everythingIn(error)).not.toContain('canary');
  });

  it('no UTF-8', async () => {
    const { find } = knowing('{}');
    const world = new World();
    const file = world.write(world.dockerFile, '');
    execFileSync('/bin/sh', ['-c', `printf '{"a":"\\377"}' > "$1"`, 'sh', file]);
    const error = await failure(authFileSource({ path: file }, world.settings()).find(address('h:1')));
    expect(error.message).toContain('it is not UTF-8 text');
    expect(await find('h:1')).toBeUndefined();
  });

  it.each([
    ['a directory', (file: string) => mkdirSync(file)],
    ['a pipe', (file: string) => execFileSync('mkfifo', [file])],
  ])('%s', async (_what, make) => {
    const world = new World();
    const file = world.write(world.dockerFile, '{}');
    rmSync(file);
    make(file);
    const error = await failure(authFileSource({ path: file }, world.settings()).find(address('h:1')));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain('it is not a regular file');
  });

  it('and is read again when it was corrected', async () => {
    const { find, world } = knowing('{');
    await failure(find('h:1'));
    world.write(world.dockerFile, { auths: { 'h:1': basic('u', 'p') } });
    expect(await find('h:1')).toMatchObject({ username: 'u' });
  });
});

describe('a file that says nothing is no error', () => {
  it.each(['', '\n', '{}', '{"auths": null}', '{"auths": {}, "credsStore": "", "future": [1, {"a": 2}]}', '\uFEFF{}'])(
    '%j',
    async (content) => {
      expect(await knowing(content).find('h:1')).toBeUndefined();
    },
  );

  it('no file at all', async () => {
    const world = new World();
    expect(await authFileSource({ path: world.dockerFile }, world.settings()).find(address('h:1'))).toBeUndefined();
    expect(world.notes).toEqual([]);
  });

  it('but a variable that names no file is worth a note', async () => {
    const world = new World();
    const location = { path: '/nowhere/auth.json', variable: 'REGISTRY_AUTH_FILE' };
    expect(await authFileSource(location, world.settings()).find(address('h:1'))).toBeUndefined();
    expect(world.notes).toEqual([{ kind: 'file-missing', file: '/nowhere/auth.json', variable: 'REGISTRY_AUTH_FILE' }]);
  });
});

describe('a file that others can read', () => {
  it('is noted once and used', async () => {
    const { find, world, file } = knowing({ auths: { 'h:1': basic('u', 'p') } }, 0o644);
    expect(await find('h:1')).toMatchObject({ username: 'u' });
    await find('h:2');
    expect(world.notes).toEqual([{ kind: 'readable-by-others', file, mode: 0o644 }]);
    expect(describeNote(world.notes[0]!)).toContain('mode 0644');
  });

  it('is not worth a word when it holds no secret', async () => {
    const { find, world } = knowing({ auths: { 'h:1': {} }, credsStore: '' }, 0o644);
    await find('h:1');
    expect(world.notes).toEqual([]);
  });
});
