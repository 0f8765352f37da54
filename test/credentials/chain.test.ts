import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { authFileLocations } from '../../src/credentials/auth-file-location.ts';
import { createCredentialSource } from '../../src/credentials/chain.ts';
import { address, basic, failure, World } from './world.ts';

describe('where auth files are looked for', () => {
  const base = { userDirectory: '/home/u', platform: 'linux', uid: 1000 } as const;
  it.each([
    [
      'by default',
      {},
      ['/home/u/.docker/config.json', '/run/containers/1000/auth.json', '/home/u/.config/containers/auth.json'],
    ],
    [
      'with XDG directories',
      { XDG_RUNTIME_DIR: '/run/user/1000', XDG_CONFIG_HOME: '/home/u/etc' },
      ['/home/u/.docker/config.json', '/run/user/1000/containers/auth.json', '/home/u/etc/containers/auth.json'],
    ],
    [
      'with DOCKER_CONFIG and REGISTRY_AUTH_FILE',
      { DOCKER_CONFIG: '/etc/d', REGISTRY_AUTH_FILE: '/etc/auth.json', XDG_RUNTIME_DIR: '/run/user/1000' },
      ['/etc/d/config.json', '/etc/auth.json'],
    ],
    [
      'with empty variables',
      { DOCKER_CONFIG: '', REGISTRY_AUTH_FILE: '', XDG_RUNTIME_DIR: '', XDG_CONFIG_HOME: '' },
      ['/home/u/.docker/config.json', '/run/containers/1000/auth.json', '/home/u/.config/containers/auth.json'],
    ],
    [
      'with one file named twice',
      { REGISTRY_AUTH_FILE: '/home/u/.docker/config.json' },
      ['/home/u/.docker/config.json'],
    ],
  ])('%s', (_what, environment, expected) => {
    expect(authFileLocations({ ...base, environment }).map((location) => location.path)).toEqual(expected);
  });

  it('on macOS', () => {
    const environment = { XDG_RUNTIME_DIR: '/run/user/1000', XDG_CONFIG_HOME: '/Users/u/etc' };
    const locations = authFileLocations({ environment, userDirectory: '/Users/u', platform: 'darwin', uid: 501 });
    expect(locations.map((location) => location.path)).toEqual([
      '/Users/u/.docker/config.json',
      '/Users/u/.config/containers/auth.json',
      '/Users/u/etc/containers/auth.json',
    ]);
  });
});

/** A `security` that knows one item, written by Tart for h:1. */
function keychain(world: World): void {
  world.program(
    'security',
    `#!/bin/sh
[ "$1 $2 $3 $4 $5" = 'find-internet-password -s h:1 -l Tart Credentials' ] || exit 44
printf '    "acct"<blob>="keychain"\\n'
printf 'password: "p"\\n' >&2
`,
  );
}

describe('the order', () => {
  it('environment, Docker, Podman, Keychain', async () => {
    const world = new World();
    const find = async () => {
      const source = createCredentialSource({
        ...world.settings({ platform: 'darwin' }),
        commandRegistry: address('h:1'),
      });
      return (await source.find(address('h:1')))?.source;
    };
    const primary = path.join(world.userDirectory, '.config/containers/auth.json');
    expect(await find()).toBeUndefined();
    keychain(world);
    expect(await find()).toBe('the Keychain item "Tart Credentials" of h:1');
    world.write(primary, { auths: { 'h:1': basic('podman', 'p') } });
    expect(await find()).toBe(primary);
    world.write(world.dockerFile, { auths: { 'h:1': basic('docker', 'p') } });
    expect(await find()).toBe(world.dockerFile);
    Object.assign(world.environment, { TART_REGISTRY_USERNAME: 'env', TART_REGISTRY_PASSWORD: 'p' });
    expect(await find()).toBe('TART_REGISTRY_USERNAME');
  });

  it('a source without an answer is passed over, one that fails is not (S32)', async () => {
    const world = new World();
    world.keepingHelper('none');
    world.write(world.podmanFile, { auths: { 'h:1': basic('podman', 'p') } });
    world.write(world.dockerFile, { credsStore: 'none' });
    expect(await createCredentialSource(world.settings()).find(address('h:1'))).toMatchObject({ username: 'podman' });
    world.write(world.dockerFile, { credsStore: 'absent' });
    const error = await failure(createCredentialSource(world.settings()).find(address('h:1')));
    expect(error.code).toBe('AUTH_HELPER');
  });

  it('off macOS no Keychain is asked', async () => {
    const world = new World();
    keychain(world);
    expect(await createCredentialSource(world.settings()).find(address('h:1'))).toBeUndefined();
  });
});

describe('every question is asked once', () => {
  it('also in parallel, per registry and repository', async () => {
    const world = new World();
    world.keepingHelper('all', { 'h:1': ['u', 's'] });
    world.write(world.dockerFile, { credsStore: 'all' });
    const source = createCredentialSource(world.settings());
    const answers = await Promise.all(Array.from({ length: 8 }, async () => source.find(address('h:1'), 'a')));
    expect(answers.every((answer) => answer?.kind === 'password')).toBe(true);
    await source.find(address('h:1'), 'a');
    await source.find(address('h:1'), 'b');
    expect(readFileSync(path.join(world.bin, 'all.log'), 'utf8')).toBe('get h:1\nget h:1\n');
  });

  it('but a failure is not remembered', async () => {
    const world = new World();
    world.helper('x', 'exit 1');
    world.write(world.dockerFile, { credsStore: 'x' });
    const source = createCredentialSource(world.settings());
    await failure(source.find(address('h:1')));
    world.helper('x', `echo '{"Username":"u","Secret":"s"}'`);
    expect(await source.find(address('h:1'))).toMatchObject({ username: 'u' });
  });

  it("and one caller's signal does not end another's question", async () => {
    const world = new World();
    const started = path.join(world.directory, 'started');
    const go = path.join(world.directory, 'go');
    world.helper(
      'x',
      `touch "${started}"; until [ -e "${go}" ]; do sleep 0.02; done; echo '{"Username":"u","Secret":"s"}'`,
    );
    world.write(world.dockerFile, { credsStore: 'x' });
    const source = createCredentialSource(world.settings());
    const controller = new AbortController();
    const first = source.find(address('h:1'), undefined, controller.signal);
    const second = source.find(address('h:1'));
    await expect.poll(() => existsSync(started), { timeout: 10_000 }).toBe(true);
    controller.abort(new Error('stopped by the user'));
    await expect(first).rejects.toThrow('stopped by the user');
    world.write(go, '');
    expect(await second).toMatchObject({ username: 'u' });
  });

  it('when no caller waits any more, the helper is ended and the next caller asks anew', async () => {
    const world = new World();
    const pidFile = path.join(world.directory, 'pid');
    world.helper('x', `echo $$ > "${pidFile}.new"; mv "${pidFile}.new" "${pidFile}"; exec sleep 60`);
    world.write(world.dockerFile, { credsStore: 'x' });
    const source = createCredentialSource(world.settings());
    const controller = new AbortController();
    const asking = source.find(address('h:1'), undefined, controller.signal);
    await expect.poll(() => existsSync(pidFile), { timeout: 10_000 }).toBe(true);
    controller.abort(new Error('stopped by the user'));
    await expect(asking).rejects.toThrow('stopped by the user');
    const pid = Number(readFileSync(pidFile, 'utf8'));
    await expect.poll(() => existsSync(`/proc/${pid}/exe`), { timeout: 10_000 }).toBe(false);
    world.helper('x', `echo '{"Username":"u","Secret":"s"}'`);
    expect(await source.find(address('h:1'))).toMatchObject({ username: 'u' });
  });
});
