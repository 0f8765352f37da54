import { lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { fc, it } from '@fast-check/vitest';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { withEntry, withoutEntries } from '../../src/credentials/auth-file-edit.ts';
import { createCredentialSource } from '../../src/credentials/chain.ts';
import { describePlace, eraseCredential, storeCredential } from '../../src/credentials/credential-store.ts';
import type { CredentialNote } from '../../src/credentials/note.ts';
import { changeSecretFile } from '../../src/credentials/secret-file-edit.ts';
import { TartletError } from '../../src/errors.ts';
import { lockFile } from '../../src/fs/lock/lock.ts';
import { address, basic, everythingIn, failure, World } from './world.ts';

const secret = { kind: 'password', username: 'u', password: 'p:ä' } as const;
const modeOf = (file: string): number => statSync(file).mode & 0o777;
const contentOf = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'));
const found = async (world: World, registry: string, repository?: string) =>
  createCredentialSource(world.settings()).find(address(registry), repository);

describe('into a file', () => {
  it('that is created for its owner only, in a directory likewise', async () => {
    const world = new World();
    const place = await storeCredential(address('Registry.Example:8221'), secret, world.settings());
    expect(place).toEqual({ kind: 'file', file: world.dockerFile, key: 'registry.example:8221' });
    expect(describePlace(place)).toBe(`${world.dockerFile} (as registry.example:8221)`);
    expect(modeOf(world.dockerFile)).toBe(0o600);
    expect(modeOf(path.dirname(world.dockerFile))).toBe(0o700);
    expect(readFileSync(world.dockerFile, 'utf8')).toBe(
      '{\n\t"auths": {\n\t\t"registry.example:8221": {\n\t\t\t"auth": "dTpww6Q="\n\t\t}\n\t}\n}\n'.replace(
        'dTpww6Q=',
        basic('u', 'p:ä').auth,
      ),
    );
    expect(await found(world, 'registry.example:8221')).toMatchObject({ username: 'u', password: 'p:ä' });
    expect(await found(world, 'registry.example')).toBeUndefined();
  });

  it('whose other contents stay as they are, byte for byte', async () => {
    const world = new World();
    const before = `{
    "big": 12345678901234567890, "float": 1.0, "escaped": "\\u00e4\\/",
    "auths": {
        "other:1":   {"auth": "b3RoZXI6cA==",   "email": "a@b"},
        "h:8221/org": {"auth": "b3JnOnA="}
    },
    "psFormat": "table",   "auths2": {}
}
`;
    world.write(world.dockerFile, before);
    await storeCredential(address('h:8221'), secret, world.settings());
    expect(readFileSync(world.dockerFile, 'utf8')).toBe(
      before.replace(
        '"b3JnOnA="}\n',
        `"b3JnOnA="},\n        "h:8221": {\n            "auth": "${basic('u', 'p:ä').auth}"\n        }\n`,
      ),
    );
    await eraseCredential(address('h:8221'), world.settings());
    expect(readFileSync(world.dockerFile, 'utf8')).toBe(before);
  });

  it('where it replaces every older spelling, but nothing about repositories or other ports', async () => {
    const world = new World();
    const other = basic('other', 'p');
    world.write(world.dockerFile, {
      auths: { 'https://h/v1/': other, h: other, 'h/org': other, 'H:443': other, 'h:8221': other },
    });
    await storeCredential(address('h:443'), secret, world.settings());
    expect(contentOf(world.dockerFile)).toEqual({
      auths: { 'h/org': other, 'h:8221': other, 'h:443': basic('u', 'p:ä') },
    });
    expect(await found(world, 'h')).toMatchObject({ username: 'u' });
    expect(await found(world, 'h', 'org/x')).toMatchObject({ username: 'other' });
  });

  it('Docker Hub under the key that Docker uses', async () => {
    const world = new World();
    world.write(world.dockerFile, { auths: { 'docker.io': basic('old', 'p') } });
    const place = await storeCredential(address('registry-1.docker.io'), secret, world.settings());
    expect(place).toMatchObject({ key: 'https://index.docker.io/v1/' });
    expect(await found(world, 'docker.io')).toMatchObject({ username: 'u' });
  });

  it('a password of several lines', async () => {
    const world = new World();
    await storeCredential(address('h:1'), { ...secret, password: '{\n}' }, world.settings());
    expect(await found(world, 'h:1')).toMatchObject({ password: '{\n}' });
  });

  it('an identity token as such', async () => {
    const world = new World();
    await storeCredential(address('h:1'), { kind: 'identity-token', token: 't' }, world.settings());
    expect(contentOf(world.dockerFile)).toEqual({ auths: { 'h:1': { identitytoken: 't' } } });
    expect(await found(world, 'h:1')).toMatchObject({ kind: 'identity-token', token: 't' });
  });

  it.each([
    ['{}', `{\n\t"auths": {\n\t\t"h:1": {\n\t\t\t"auth": "AUTH"\n\t\t}\n\t}\n}`],
    ['', `{\n\t"auths": {\n\t\t"h:1": {\n\t\t\t"auth": "AUTH"\n\t\t}\n\t}\n}\n`],
    ['{"a":1}', '{"a":1,"auths":{"h:1":{"auth":"AUTH"}}}'],
    ['{"auths":{}}', '{"auths":{"h:1":{"auth":"AUTH"}}}'],
    ['{"auths":null,"a":1}', '{"auths":{"h:1":{"auth":"AUTH"}},"a":1}'],
    ['{\n  "auths": {}\n}', '{\n  "auths": {\n    "h:1": {\n      "auth": "AUTH"\n    }\n  }\n}'],
    // Line ends, odd spaces on the line before, and a name that is there twice stay as they are.
    [
      '{\r\n  "a": 1\r\n}\r\n',
      '{\r\n  "a": 1,\r\n  "auths": {\r\n    "h:1": {\r\n      "auth": "AUTH"\r\n    }\r\n  }\r\n}\r\n',
    ],
    [
      '{\n\t"a"  :   [1,2],  "b" :{ }\n}',
      '{\n\t"a"  :   [1,2],  "b" :{ },\n\t"auths": {\n\t\t"h:1": {\n\t\t\t"auth": "AUTH"\n\t\t}\n\t}\n}',
    ],
    [
      '{"auths":{"h:1":{"auth":"old"},"h:2":{}},"auths":{"h:1":{"auth":"old"}}}',
      '{"auths":{"h:2":{}},"auths":{"h:1":{"auth":"AUTH"}}}',
    ],
  ])('%j becomes %j', (before, after) => {
    const { auth } = basic('u', 'p:ä');
    expect(withEntry(before, 'f', address('h:1'), secret)).toBe(after.replace('AUTH', auth));
  });

  it('looser modes are tightened, with a note', async () => {
    const world = new World();
    world.write(world.dockerFile, { auths: {} }, 0o664);
    await storeCredential(address('h:1'), secret, world.settings());
    expect(modeOf(world.dockerFile)).toBe(0o600);
    expect(world.notes).toEqual([{ kind: 'mode-tightened', file: world.dockerFile, mode: 0o664 }]);
  });

  it('DOCKER_CONFIG decides where', async () => {
    const world = new World();
    world.environment['DOCKER_CONFIG'] = path.join(world.directory, 'elsewhere/docker');
    const place = await storeCredential(address('h:1'), secret, world.settings());
    expect(place).toMatchObject({ file: path.join(world.directory, 'elsewhere/docker/config.json') });
    expect(modeOf(path.join(world.directory, 'elsewhere'))).toBe(0o700);
  });
});

/** Members that a file may have, and values of any kind for them. */
const documents = fc.record({
  auths: fc.dictionary(
    fc.constantFrom('h:1', 'https://h:1/v1/', 'h', 'h:443', 'h:1/org', 'docker.io', 'strange key', '__proto__'),
    fc.record({ auth: fc.base64String(), email: fc.string() }),
  ),
  rest: fc.jsonValue({ maxDepth: 2 }),
});

it.prop([documents, fc.constantFrom('h:1', 'h', 'docker.io'), fc.constantFrom(undefined, 1, 4, '\t')])(
  'storing and erasing leave all else alone, whatever the file looks like',
  (document, host, space) => {
    const text = JSON.stringify(document, undefined, space);
    const registry = address(host);
    const bare = withoutEntries(text, 'f', registry);
    const stored = withEntry(text, 'f', registry, secret);
    const erased = withoutEntries(stored, 'f', registry);
    expect(erased.removed).toHaveLength(1);
    expect(JSON.parse(erased.text)).toEqual(JSON.parse(bare.text));
    const left = JSON.parse(bare.text) as typeof document;
    expect(left.rest).toEqual(JSON.parse(JSON.stringify(document.rest)));
    expect(Object.keys(left.auths).length + bare.removed.length).toBe(Object.keys(document.auths).length);
  },
);

describe('a linked file', () => {
  it('stays linked, and its target is replaced', async () => {
    const world = new World();
    const target = world.write(path.join(world.directory, 'dotfiles/docker.json'), { psFormat: 'x' });
    mkdirSync(path.dirname(world.dockerFile));
    symlinkSync('../../dotfiles/docker.json', world.dockerFile);
    await storeCredential(address('h:1'), secret, world.settings());
    expect(lstatSync(world.dockerFile).isSymbolicLink()).toBe(true);
    expect(contentOf(target)).toEqual({ psFormat: 'x', auths: { 'h:1': basic('u', 'p:ä') } });
    expect(modeOf(target)).toBe(0o600);
  });

  it('may point to a file that is still to be made', async () => {
    const world = new World();
    mkdirSync(path.dirname(world.dockerFile));
    symlinkSync(path.join(world.directory, 'later/docker.json'), world.dockerFile);
    await storeCredential(address('h:1'), secret, world.settings());
    expect(modeOf(path.join(world.directory, 'later/docker.json'))).toBe(0o600);
  });

  it('is not followed twice', async () => {
    const world = new World();
    const target = world.write(path.join(world.directory, 'target.json'), '{}');
    symlinkSync(target, path.join(world.directory, 'middle'));
    mkdirSync(path.dirname(world.dockerFile));
    symlinkSync(path.join(world.directory, 'middle'), world.dockerFile);
    const error = await failure(storeCredential(address('h:1'), secret, world.settings()));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(readFileSync(target, 'utf8')).toBe('{}');
  });
});

describe('what cannot be written is left as it was', () => {
  it("another user's file", async () => {
    const world = new World();
    world.write(world.dockerFile, '{}');
    const error = await failure(storeCredential(address('h:1'), secret, world.settings({ uid: 987_654 })));
    expect(error.code).toBe('DISK_DENIED');
    expect(error.message).toContain('it belongs to another user');
    expect(readFileSync(world.dockerFile, 'utf8')).toBe('{}');
  });

  it('broken JSON', async () => {
    const world = new World();
    world.write(world.dockerFile, '{"auths": canary');
    const error = await failure(storeCredential(address('h:1'), secret, world.settings()));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(everythingIn(error)).not.toMatch(/canary|p:ä/);
    expect(readdirSync(path.dirname(world.dockerFile))).toEqual(['config.json']);
    expect(readFileSync(world.dockerFile, 'utf8')).toBe('{"auths": canary');
  });

  it.each([
    ['a user with a colon', { ...secret, username: 'a:b' }],
    ['no user', { ...secret, username: '' }],
    ['no password', { ...secret, password: '' }],
    ['a line break in the user', { ...secret, username: 'canary\nx' }],
    ['a zero byte in the password', { ...secret, password: 'canary\0x' }],
  ])('%s', async (_what, bad) => {
    const world = new World();
    const error = await failure(storeCredential(address('h:1'), bad, world.settings()));
    expect(error.code).toBe('USAGE');
    expect(everythingIn(error)).not.toContain('canary');
    expect(readdirSync(world.userDirectory)).toEqual([]);
  });

  it('a directory that is a file', async () => {
    const world = new World();
    world.write(path.join(world.userDirectory, '.docker'), 'a file');
    const error = await failure(storeCredential(address('h:1'), secret, world.settings()));
    expect(error.code).toMatch(/^DISK_/);
    expect(everythingIn(error)).not.toContain('p:ä');
  });
});

it('an entry that another process writes meanwhile is not overwritten', async () => {
  const world = new World();
  world.write(world.dockerFile, '{"a":1}');
  let calls = 0;
  await changeSecretFile(world.dockerFile, {
    uid: process.getuid?.(),
    lockFile,
    change: (text) => {
      calls += 1;
      // The first time it is asked whether there is anything to change, the second time under the lock.
      if (calls === 2) world.write(world.dockerFile, '{"a":1,"theirs":2}');
      return withEntry(text, 'f', address('h:1'), secret);
    },
  });
  expect(contentOf(world.dockerFile)).toMatchObject({ theirs: 2, auths: { 'h:1': {} } });
  expect(readdirSync(path.dirname(world.dockerFile))).toEqual(['config.json']);
});

describe('one of several commands at once', () => {
  it('waits for the one that changes the file, says so, and loses nothing of what that wrote', async () => {
    const world = new World();
    const target = world.write(path.join(world.directory, 'elsewhere/config.json'), '{"auths":{}}');
    mkdirSync(path.dirname(world.dockerFile));
    symlinkSync(target, world.dockerFile);
    // Beside the file itself, so that who comes by the link and who comes by its own path meet.
    const theirs = await lockFile(path.join(world.directory, 'elsewhere/.config.json.lock'), {});
    let told = (_note: CredentialNote): void => undefined;
    const waiting = new Promise<CredentialNote>((resolve) => {
      told = resolve;
    });
    const storing = storeCredential(address('h:1'), secret, world.settings({ onNote: (note) => told(note) }));
    expect(await waiting).toEqual({ kind: 'waiting-for-lock', file: world.dockerFile });
    world.write(target, { auths: { 'h:2': basic('u', 'other') } });
    await theirs?.release();
    await storing;
    expect(contentOf(target)).toEqual({ auths: { 'h:1': basic('u', 'p:ä'), 'h:2': basic('u', 'other') } });
    expect(readdirSync(path.dirname(target))).toEqual(['config.json']);
  });

  it('gives up when its user does', async () => {
    const world = new World();
    world.write(world.dockerFile, '{}');
    const theirs = await lockFile(path.join(path.dirname(world.dockerFile), '.config.json.lock'), {});
    const reason = new TartletError('INTERRUPTED', 'enough');
    const abort = new AbortController();
    const settings = world.settings({ onNote: () => abort.abort(reason) });
    await expect(storeCredential(address('h:1'), secret, settings, abort.signal)).rejects.toBe(reason);
    expect(readFileSync(world.dockerFile, 'utf8')).toBe('{}');
    await theirs?.release();
  });

  it('stores where files cannot be locked', async () => {
    const world = new World();
    await storeCredential(address('h:1'), secret, world.settings({ lockFile: async () => undefined }));
    expect(await found(world, 'h:1')).toMatchObject({ password: 'p:ä' });
  });

  it('changes nothing where the lock cannot be made, and does not ask for it when nothing is to be changed', async () => {
    const world = new World();
    world.write(world.dockerFile, '{}');
    mkdirSync(path.join(path.dirname(world.dockerFile), '.config.json.lock'));
    const error = await failure(storeCredential(address('h:1'), secret, world.settings()));
    expect(error.message).toMatch(/^cannot write .*config\.json: cannot open the lock /);
    expect(error.facts.next).toEqual({ kind: 'check-permissions', path: world.dockerFile });
    expect(readFileSync(world.dockerFile, 'utf8')).toBe('{}');
    expect(await eraseCredential(address('h:1'), world.settings())).toEqual({ erased: [], remaining: [] });
  });
});

it('what a killed writer left is removed, what may be in use is not', async () => {
  const world = new World();
  world.write(world.dockerFile, '{}');
  const directory = path.dirname(world.dockerFile);
  const old = world.write(path.join(directory, '.config.json.tartlet-old'), 'secret');
  utimesSync(old, new Date(0), new Date(0));
  world.write(path.join(directory, '.config.json.tartlet-new'), 'secret');
  world.write(path.join(directory, 'config.json.bak'), 'foreign');
  await storeCredential(address('h:1'), secret, world.settings());
  expect(readdirSync(directory).sort()).toEqual(['.config.json.tartlet-new', 'config.json', 'config.json.bak']);
});

describe('into a helper', () => {
  it('that the file names for the registry, else into the default one', async () => {
    const world = new World();
    const own = world.keepingHelper('own');
    const all = world.keepingHelper('all');
    world.write(world.dockerFile, { credHelpers: { 'h:1': 'own' }, credsStore: 'all' });
    expect(await storeCredential(address('h:1'), secret, world.settings())).toEqual({
      kind: 'helper',
      program: 'docker-credential-own',
      server: 'h:1',
    });
    await storeCredential(address('docker.io'), secret, world.settings());
    expect(contentOf(own)).toEqual({ 'h:1': ['u', 'p:ä'] });
    expect(contentOf(all)).toEqual({ 'https://index.docker.io/v1/': ['u', 'p:ä'] });
    expect(contentOf(world.dockerFile)).toEqual({ credHelpers: { 'h:1': 'own' }, credsStore: 'all' });
    expect(await found(world, 'registry-1.docker.io')).toMatchObject({ source: 'docker-credential-all' });
  });

  it('and an older secret in the file goes', async () => {
    const world = new World();
    world.keepingHelper('all');
    world.write(world.dockerFile, { auths: { 'h:1': basic('old', 'p') }, credsStore: 'all' });
    await storeCredential(address('h:1'), secret, world.settings());
    expect(contentOf(world.dockerFile)).toEqual({ auths: {}, credsStore: 'all' });
    expect(await found(world, 'h:1')).toMatchObject({ username: 'u' });
  });

  it('and an older secret under another name of the same registry goes, too', async () => {
    const world = new World();
    const old = ['old', 's'] as const;
    const all = world.keepingHelper('all', { h: old, 'https://h:443': old, 'h:8221': old, 'docker.io': old });
    world.write(world.dockerFile, { credsStore: 'all' });
    await storeCredential(address('h:443'), secret, world.settings());
    await storeCredential(address('registry-1.docker.io'), secret, world.settings());
    const u = ['u', 'p:ä'];
    expect(contentOf(all)).toEqual({
      'h:443': u,
      // Another spelling of what was stored: some helpers list their servers so.
      'https://h:443': old,
      'h:8221': old,
      'https://index.docker.io/v1/': u,
    });
    for (const each of ['h', 'h:443', 'docker.io']) expect(await found(world, each)).toMatchObject({ username: 'u' });
  });

  it('but never into the file because it failed', async () => {
    const world = new World();
    world.helper('all', 'cat >/dev/null; exit 1');
    world.write(world.dockerFile, '{"credsStore":"all"}');
    const error = await failure(storeCredential(address('h:1'), secret, world.settings()));
    expect(error.code).toBe('AUTH_HELPER');
    expect(everythingIn(error)).not.toContain('p:ä');
    expect(readFileSync(world.dockerFile, 'utf8')).toBe('{"credsStore":"all"}');
  });
});

describe('modes do not depend on the umask', () => {
  let before = 0;
  beforeEach(() => {
    before = process.umask(0);
  });
  afterEach(() => {
    process.umask(before);
  });

  it('new directories and files are private from their first byte (S30)', async () => {
    const world = new World();
    await storeCredential(address('h:1'), secret, world.settings());
    // Nothing changes a mode after creation: what the end shows was there from the beginning.
    expect(modeOf(path.dirname(world.dockerFile))).toBe(0o700);
    expect(modeOf(world.dockerFile)).toBe(0o600);
  });
});

describe('erasing', () => {
  it('takes the secret from wherever a lookup would find it', async () => {
    const world = new World();
    const all = world.keepingHelper('all', { 'https://h:1': ['u', 's'], 'h:2': ['u', 's'] });
    world.write(world.dockerFile, { auths: { 'https://h:1/v1/': basic('u', 'p') }, credsStore: 'all' });
    world.write(world.podmanFile, { auths: { 'h:1': basic('u', 'p'), 'h:1/org': basic('org', 'p') } });
    expect(await eraseCredential(address('h:1'), world.settings())).toEqual({
      erased: [
        { kind: 'file', file: world.dockerFile, key: 'https://h:1/v1/' },
        { kind: 'file', file: world.podmanFile, key: 'h:1' },
        { kind: 'helper', program: 'docker-credential-all', server: 'https://h:1' },
      ],
      remaining: [{ kind: 'file', file: world.podmanFile, key: 'h:1/org' }],
    });
    expect(contentOf(all)).toEqual({ 'h:2': ['u', 's'] });
    expect(contentOf(world.podmanFile)).toEqual({ auths: { 'h:1/org': basic('org', 'p') } });
    expect(await found(world, 'h:1')).toBeUndefined();
  });

  it('of what is not there changes nothing', async () => {
    const world = new World();
    world.write(world.dockerFile, '{"auths":{"h:8221":{}}}', 0o644);
    expect(await eraseCredential(address('h'), world.settings())).toEqual({ erased: [], remaining: [] });
    expect(readFileSync(world.dockerFile, 'utf8')).toBe('{"auths":{"h:8221":{}}}');
    expect(modeOf(world.dockerFile)).toBe(0o644);
  });

  it('cannot take variables away, and says so', async () => {
    const world = new World();
    Object.assign(world.environment, { TART_REGISTRY_USERNAME: 'u', TART_REGISTRY_PASSWORD: 'p' });
    const { remaining } = await eraseCredential(address('h:1'), world.settings());
    expect(remaining.map((place) => describePlace(place))).toEqual(['the variable TART_REGISTRY_USERNAME']);
    world.environment['TART_REGISTRY_HOSTNAME'] = 'h:2';
    expect((await eraseCredential(address('h:1'), world.settings())).remaining).toEqual([]);
  });

  it('with a helper that cannot list asks it by every spelling', async () => {
    const world = new World();
    world.helper('all', `[ "$1" = list ] && exit 1; echo "$1 $server" >> "${world.directory}/log"`);
    world.write(world.dockerFile, { credsStore: 'all' });
    await eraseCredential(address('h'), world.settings());
    expect(readFileSync(path.join(world.directory, 'log'), 'utf8')).toBe('erase h\nerase h:443\n');
  });

  it('tells what is already gone when a helper fails', async () => {
    const world = new World();
    world.write(world.dockerFile, { auths: { 'h:1': basic('u', 'p') }, credsStore: 'absent' });
    const error = await failure(eraseCredential(address('h:1'), world.settings()));
    expect(error.code).toBe('AUTH_HELPER');
    expect(error.facts.kept).toBe(`erased from ${world.dockerFile} (as h:1)`);
  });
});
