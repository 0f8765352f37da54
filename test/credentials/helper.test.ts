import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { authFileSource } from '../../src/credentials/auth-file-source.ts';
import { CredentialHelper } from '../../src/credentials/helper.ts';
import type { CredentialSettings } from '../../src/credentials/settings.ts';
import { address, basic, everythingIn, failure, World } from './world.ts';

const answer = `printf '{"ServerURL":"%s","Username":"u","Secret":"canary:1"}\\n' "$server"`;

function helperOf(world: World, suffix: string, more?: Partial<CredentialSettings>): CredentialHelper {
  return CredentialHelper.named(suffix, 'credsStore in config.json', world.settings(more));
}

describe('get', () => {
  it('gives the server on a line, and takes the answer', async () => {
    const world = new World();
    world.helper('x', `printf '%s|%s' "$1" "$server" > "${world.directory}/asked"; ${answer}`);
    expect(await helperOf(world, 'x').get('h:8221')).toEqual({ kind: 'password', username: 'u', password: 'canary:1' });
    expect(readFileSync(path.join(world.directory, 'asked'), 'utf8')).toBe('get|h:8221');
  });

  it('keeps warnings out of the JSON (tart-cli §7 #42)', async () => {
    const world = new World();
    world.helper('x', `echo '{"Username":"wrong"' >&2; ${answer}; echo warning >&2`);
    expect(await helperOf(world, 'x').get('h:1')).toMatchObject({ username: 'u' });
  });

  it('reads any amount of warnings', async () => {
    const world = new World();
    world.helper('x', `head -c 1000000 /dev/zero >&2; ${answer}`);
    expect(await helperOf(world, 'x').get('h:1')).toMatchObject({ username: 'u' });
  });

  it('understands the user <token>', async () => {
    const world = new World();
    world.helper('x', `echo '{"Username":"<token>","Secret":"t"}'`);
    expect(await helperOf(world, 'x').get('h:1')).toEqual({ kind: 'identity-token', token: 't' });
  });

  it.each([
    ['the sentence of the protocol', `echo 'credentials not found in native keychain'; exit 1`],
    ['with success', `echo 'credentials not found in native keychain'`],
    ['on the other output', `echo 'Error: credentials not found' >&2; exit 1`],
    ['with the name of the server', `echo "credentials not found for $server in store"; exit 1`],
    ['in other words', `echo "no credentials found for $server" >&2; exit 1`],
    ['in the words of macOS', `echo 'The specified item could not be found in the keychain.'; exit 1`],
    ['an empty answer', `echo '{"ServerURL":"","Username":"","Secret":""}'`],
  ])('has none: %s', async (_what, body) => {
    const world = new World();
    world.helper('x', body);
    expect(await helperOf(world, 'x').get('h:1')).toBeUndefined();
  });

  it('does not hand our password to it, but all else (S31)', async () => {
    const world = new World();
    world.environment['TART_REGISTRY_PASSWORD'] = 'canary-env';
    world.environment['GNUPGHOME'] = '/gnupg';
    world.helper('x', `printf '{"Username":"%s","Secret":"%s"}' "\${TART_REGISTRY_PASSWORD-gone}" "$GNUPGHOME"`);
    expect(await helperOf(world, 'x').get('h:1')).toMatchObject({ username: 'gone', password: '/gnupg' });
  });
});

describe('whatever goes wrong is AUTH_HELPER, names the helper and shows nothing of its output', () => {
  it.each([
    ['failing', `echo canary; echo canary >&2; exit 3`, 'docker-credential-x get failed for h:1: exit code 3'],
    ['without its own program', `canary-tool get`, 'exit code 127'],
    ['killed', `kill -9 $$`, 'it was ended by SIGKILL'],
    ['slow', `exec sleep 60`, 'no answer within 0.3 s'],
    ['slow, with a child that holds its outputs', `sleep 2 & exec sleep 60`, 'no answer within 0.3 s'],
    ['chatty', `while :; do echo canarycanarycanarycanary; done`, 'more than 64 KiB of output'],
    ['no JSON', `echo canary`, 'its answer is not JSON'],
    ['another JSON', `echo '["canary"]'`, 'its answer is not a JSON object'],
    ['no UTF-8', `printf '{"Username":"u","Secret":"canary\\377"}'`, 'its answer is not JSON'],
    ['a number as secret', `echo '{"Username":"canary","Secret":5}'`, '"Secret" in its answer is not a text'],
    ['a user without secret', `echo '{"Username":"canary"}'`, 'its answer has a user but no secret'],
    [
      'another registry',
      `echo '{"ServerURL":"evil.example","Username":"u","Secret":"canary"}'`,
      'its answer is for another registry',
    ],
    [
      'another port',
      `echo '{"ServerURL":"https://h","Username":"u","Secret":"canary"}'`,
      'its answer is for another registry',
    ],
  ])('%s', async (_what, body, why) => {
    const world = new World();
    world.helper('x', body);
    const error = await failure(
      helperOf(world, 'x', { helperTimeoutMs: why.includes('0.3') ? 300 : 20_000 }).get('h:1'),
    );
    expect(error.code).toBe('AUTH_HELPER');
    expect(error.facts.subject).toBe('docker-credential-x');
    expect(error.message).toContain(why);
    expect(everythingIn(error)).not.toContain('canary');
  });

  it('missing', async () => {
    const error = await failure(helperOf(new World(), 'absent').get('h:1'));
    expect(error.code).toBe('AUTH_HELPER');
    expect(error.message).toBe(
      'the credential helper docker-credential-absent is not in PATH (named by credsStore in config.json)',
    );
    expect(error.facts.next).toEqual({
      kind: 'install-helper',
      program: 'docker-credential-absent',
      namedBy: 'credsStore in config.json',
    });
  });

  it('not able to start', async () => {
    const world = new World();
    world.program('docker-credential-x', '#!/nonexistent/interpreter\n');
    const error = await failure(helperOf(world, 'x').get('h:1'));
    expect(error.code).toBe('AUTH_HELPER');
    expect(error.message).toContain('it could not be started (ENOENT)');
  });
});

it('a helper that never reads its input is no problem', async () => {
  const world = new World();
  world.program('docker-credential-x', `#!/bin/sh\nexec <&-\necho '{"Username":"u","Secret":"s"}'\n`);
  expect(await helperOf(world, 'x').get('h:1')).toMatchObject({ username: 'u' });
});

it('an aborted signal ends it at once, with the reason', async () => {
  const world = new World();
  world.helper(
    'x',
    `echo $$ > "${world.directory}/pid.new"; mv "${world.directory}/pid.new" "${world.directory}/pid"; exec sleep 60`,
  );
  const controller = new AbortController();
  const asking = helperOf(world, 'x').get('h:1', controller.signal);
  await expect.poll(() => existsSync(path.join(world.directory, 'pid')), { timeout: 10_000 }).toBe(true);
  controller.abort(new Error('stopped by the user'));
  await expect(asking).rejects.toThrow('stopped by the user');
  const pid = Number(readFileSync(path.join(world.directory, 'pid'), 'utf8'));
  await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('names that could lead elsewhere (S33)', () => {
  it.each(['../../evil', 'a b', 'x;touch y', 'x\n', '/bin/x', '$(x)', 'x'.repeat(101), ''])(
    '%j is refused',
    (suffix) => {
      const named = (): unknown => helperOf(new World(), suffix);
      expect(named).toThrow('which is no program name');
    },
  );

  it('no shell reads what stands in the server', async () => {
    const world = new World();
    const marker = path.join(world.directory, 'marker');
    world.helper('x', `echo 'credentials not found in native keychain'; exit 1`);
    await helperOf(world, 'x').get(`$(touch ${marker})`);
    expect(existsSync(marker)).toBe(false);
  });

  it('relative and empty entries of PATH are not searched', async () => {
    const world = new World();
    world.helper('x', answer);
    const relative = path.relative(process.cwd(), world.bin);
    const error = await failure(
      helperOf(world, 'x', { environment: { PATH: `${relative}::.:/usr/bin:/bin` } }).get('h:1'),
    );
    expect(error.message).toContain('is not in PATH');
    expect(
      await helperOf(world, 'x', { environment: { PATH: `${relative}:${world.bin}:/bin` } }).get('h:1'),
    ).toMatchObject({ username: 'u' });
  });

  it('directories and files that cannot run are passed over', async () => {
    const world = new World();
    world.write(path.join(world.directory, 'first/docker-credential-x'), 'no', 0o644);
    world.write(path.join(world.directory, 'second/docker-credential-x/file'), 'no');
    world.helper('x', answer);
    const PATH = [path.join(world.directory, 'first'), path.join(world.directory, 'second'), world.bin, '/bin'].join(
      ':',
    );
    expect(await helperOf(world, 'x', { environment: { PATH } }).get('h:1')).toMatchObject({ username: 'u' });
  });
});

describe('store, list, erase', () => {
  it('keep, tell and forget', async () => {
    const world = new World();
    const file = world.keepingHelper('keep');
    const helper = helperOf(world, 'keep');
    await helper.store('h:1', { kind: 'password', username: 'u', password: 'p"ä:' });
    await helper.store('h:2', { kind: 'identity-token', token: 't' });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ 'h:1': ['u', 'p"ä:'], 'h:2': ['<token>', 't'] });
    expect(await helper.list()).toEqual(['h:1', 'h:2']);
    await helper.erase('h:1');
    await helper.erase('never-known');
    expect(await helper.list()).toEqual(['h:2']);
  });

  it('a password of several lines, as a key file in JSON is one', async () => {
    const world = new World();
    const file = world.keepingHelper('keep');
    const helper = helperOf(world, 'keep');
    const secret = { kind: 'password', username: '_json_key', password: '{\n  "a": 1\r\n}' } as const;
    await helper.store('h:1', secret);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ 'h:1': ['_json_key', '{\n  "a": 1\r\n}'] });
    expect(await helper.get('h:1')).toEqual(secret);
  });

  it.each([
    ['a user', { username: 'canary\nx', password: 'p' }],
    ['a user', { username: 'canary\rx', password: 'p' }],
    ['a user', { username: 'canary\0x', password: 'p' }],
    ['a password', { username: 'u', password: 'canary\0x' }],
  ])('%s that the protocol cannot carry is refused before the helper is run', async (_what, pair) => {
    const world = new World();
    world.helper('x', `touch "${world.directory}/ran"`);
    const error = await failure(helperOf(world, 'x').store('h:1', { kind: 'password', ...pair }));
    expect(error.code).toBe('USAGE');
    expect(everythingIn(error)).not.toContain('canary');
    expect(existsSync(path.join(world.directory, 'ran'))).toBe(false);
  });

  it.each(['store', 'erase'] as const)('a failing %s is an error without the secret', async (action) => {
    const world = new World();
    world.helper('x', `echo "$server"; exit 2`);
    const helper = helperOf(world, 'x');
    const secret = { kind: 'password', username: 'u', password: 'canary' } as const;
    const error = await failure(action === 'store' ? helper.store('h:1', secret) : helper.erase('h:1'));
    expect(error.code).toBe('AUTH_HELPER');
    expect(error.message).toBe(`docker-credential-x ${action} failed for h:1: exit code 2`);
    expect(everythingIn(error)).not.toContain('canary');
  });
});

describe('which helper a file names', () => {
  const use = (world: World, content: unknown) => {
    const source = authFileSource({ path: world.write(world.dockerFile, content) }, world.settings());
    return async (registry: string) => source.find(address(registry));
  };

  it('its own for the registry, by effective port, else the default', async () => {
    const world = new World();
    world.keepingHelper('own', { 'h:8221': ['own', 's'], h: ['own443', 's'] });
    world.keepingHelper('all', { 'h:8221': ['all', 's'], 'h:9': ['all', 's'] });
    const find = use(world, { credHelpers: { 'https://h:8221': 'own', 'h:443': 'own' }, credsStore: 'all' });
    expect(await find('H:8221')).toMatchObject({ username: 'own', source: 'docker-credential-own' });
    expect(await find('h')).toMatchObject({ username: 'own443' });
    expect(await find('h:9')).toMatchObject({ username: 'all', source: 'docker-credential-all' });
    expect(await find('h:10')).toBeUndefined();
  });

  it('one that has none gives way to the entries, and these come before the default', async () => {
    const world = new World();
    world.keepingHelper('none');
    world.keepingHelper('all', { 'h:1': ['all', 's'], 'h:2': ['all', 's'] });
    const find = use(world, {
      auths: { 'h:1': basic('file', 'p'), 'h:2': basic('file', 'p'), 'h:3': {} },
      credHelpers: { 'h:1': 'none' },
      credsStore: 'all',
    });
    expect(await find('h:1')).toMatchObject({ username: 'file' });
    expect(await find('h:2')).toMatchObject({ username: 'file' });
    expect(await find('h:3')).toBeUndefined();
  });

  it('an empty name means none, the default included', async () => {
    const world = new World();
    world.keepingHelper('all', { 'h:1': ['all', 's'] });
    expect(await use(world, { credHelpers: { 'h:1': '' }, credsStore: 'all' })('h:1')).toBeUndefined();
  });

  it('a failing one ends the search although an entry is there (S32)', async () => {
    const world = new World();
    world.helper('x', 'exit 1');
    const find = use(world, { auths: { 'h:1': basic('u', 'p') }, credHelpers: { 'h:1': 'x' } });
    expect((await failure(find('h:1'))).code).toBe('AUTH_HELPER');
  });

  it('the error says which file and field to correct', async () => {
    const world = new World();
    const find = use(world, { credHelpers: { 'h:1': 'absent', 'h:2': '../evil' } });
    expect((await failure(find('h:1'))).facts.next).toEqual({
      kind: 'install-helper',
      program: 'docker-credential-absent',
      namedBy: `credHelpers["h:1"] in ${world.dockerFile}`,
    });
    const error = await failure(find('h:2'));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(`credHelpers["h:2"] in ${world.dockerFile}`);
  });

  it('port 443 is asked for in both spellings, Docker Hub by its own key', async () => {
    const world = new World();
    world.keepingHelper('all', { 'h:443': ['u', 's'], 'https://index.docker.io/v1/': ['hub', 's'] });
    const find = use(world, { credsStore: 'all' });
    expect(await find('h')).toMatchObject({ username: 'u' });
    expect(await find('docker.io')).toMatchObject({ username: 'hub' });
    expect(readFileSync(path.join(world.bin, 'all.log'), 'utf8')).toBe(
      'get h\nget h:443\nget https://index.docker.io/v1/\n',
    );
  });
});
