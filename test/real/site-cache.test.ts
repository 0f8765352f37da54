import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { eventually } from '../support/real-process.ts';
import { createVm } from '../support/real-vm.ts';

const ACCEPTANCE = path.resolve(import.meta.dirname, '../../scripts/acceptance.mjs');

describeWithParts('a site cache', ['skopeo', 'podman', 'containerd'], () => {
  it('serves skopeo, podman and containerd by their own configurations', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      ACCEPTANCE,
      'f6',
      'skopeo',
      'podman',
      'containerd',
    ]);
    expect(stdout).toContain('bytes equal 3/3; 3 GETs of 3 blobs upstream');
  });
});

describeWithParts('tartlet serve --proxy', [], () => {
  const cleanup = new Cleanup();
  afterAll(async () => cleanup.run());

  async function serve(user: Workplace, ...options: readonly string[]): Promise<{ server: Running; host: string }> {
    const server = user.start('serve', '--listen', '127.0.0.1:0', ...options);
    cleanup.add(async () => {
      server.kill('SIGKILL');
      await server.ended;
    });
    await eventually('it says where it is', () => {
      if (server.child.exitCode !== null) throw new Error(server.stderr);
      return server.stdout.endsWith('\n');
    });
    return { server, host: server.stdout.trim().replace('http://', '') };
  }

  it('gives an image to pull, also when its registry is away, and takes no push', async () => {
    const user = new Workplace(cleanup);
    await createVm(user, 'vm');
    const registry = await serve(user, '--data', `${user.directory}/registry`);
    const cache = await serve(user, '--data', `${user.directory}/cache`, '--proxy', registry.host);
    expect(await user.run('push', 'vm', `${registry.host}/macos/base:1`)).toMatchObject({ exitCode: 0 });
    const name = `${cache.host}/${registry.host.replace(':', '_')}/macos/base:1`;
    const first = await new Workplace(cleanup).run('pull', name);
    expect(first.exitCode, first.stderr).toBe(0);
    const pushed = await user.run('push', 'vm', name);
    expect(pushed.exitCode).not.toBe(0);
    expect(pushed.stderr).toContain('push to the registry itself');
    registry.server.kill('SIGTERM');
    await registry.server.ended;
    const second = await new Workplace(cleanup).run('pull', name);
    expect(second.exitCode, second.stderr).toBe(0);
    cache.server.kill('SIGTERM');
    expect(await cache.server.ended).toMatchObject({ exitCode: 0 });
  });

  it.each([['registries.conf'], ['hosts.toml']])(
    'is the mirror of a registry by %s: names stay, bytes come from the cache, and without it from there',
    async (by) => {
      const user = new Workplace(cleanup);
      await createVm(user, 'vm');
      const registry = await serve(user, '--data', `${user.directory}/registry`);
      const cache = await serve(user, '--data', `${user.directory}/cache`, '--proxy', registry.host);
      const name = `${registry.host}/macos/base:1`;
      expect(await user.run('push', 'vm', name)).toMatchObject({ exitCode: 0 });
      const upstream = registry.host.replace(':', '_');
      const settings = `${user.directory}/${by}.d`;
      const file = by === 'hosts.toml' ? `${settings}/${upstream}_/hosts.toml` : `${settings}/registries.conf`;
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(
        file,
        by === 'hosts.toml'
          ? `[host."http://${cache.host}"]\ncapabilities = ["pull", "resolve"]\n`
          : `[[registry]]\nlocation = "${registry.host}"\n[[registry.mirror]]\nlocation = "${cache.host}/${upstream}"\n`,
      );
      const pull = async (): Promise<{ readonly exitCode: number | undefined; readonly stdout: string }> => {
        const puller = new Workplace(cleanup);
        const mirrors = by === 'hosts.toml' ? settings : file;
        return puller.shell(`export TARTLET_MIRRORS=${mirrors}; $TARTLET pull -q ${name} && $TARTLET inspect ${name}`);
      };
      const through = by === 'hosts.toml' ? `${cache.host}/macos/base` : `${cache.host}/${upstream}/macos/base`;
      const first = await pull();
      expect(first.exitCode).toBe(0);
      expect(first.stdout).toMatch(
        new RegExp(`Origin: +${registry.host}/macos/base, by pull at .*, from ${through}\n`),
      );
      cache.server.kill('SIGTERM');
      await cache.server.ended;
      const second = await pull();
      expect(second.exitCode).toBe(0);
      expect(second.stdout).toMatch(new RegExp(`Origin: +${registry.host}/macos/base, by pull at [^,]*\n`));
    },
  );

  it.each([
    [['--proxy', 'ghcr.io', '--proxy-for', 'ghcr.io'], '--proxy and --proxy-for exclude each other'],
    [['--proxy-ttl', '5m'], 'the --proxy options need --proxy or --proxy-for'],
    [['--proxy', 'ghcr.io/org'], '"ghcr.io/org" is not the address of a registry'],
    [['--proxy', 'ghcr.io', '--proxy-logins'], 'logins of the operator need users of the cache'],
    [['--proxy', 'ghcr.io', '--proxy-budget', 'much'], 'It must be a size like 200GB'],
    [['--proxy', 'ghcr.io', '--allow-breaking-deletes'], 'nothing can be deleted from a site cache'],
    [['--proxy', 'ghcr.io', '--listen', '0.0.0.0:0'], 'without TLS and authentication'],
  ])('refuses %j', async (options, why) => {
    const user = new Workplace(cleanup);
    const ran = await user.run('serve', '--data', `${user.directory}/data`, ...options);
    expect(ran.exitCode).not.toBe(0);
    expect(ran.stderr).toContain(why);
  });

  it('refuses the directory of a registry, and a registry that of a cache', async () => {
    const user = new Workplace(cleanup);
    await createVm(user, 'vm');
    const data = `${user.directory}/data`;
    const registry = await serve(user, '--data', data);
    expect(await user.run('push', 'vm', `${registry.host}/macos/base:1`)).toMatchObject({ exitCode: 0 });
    registry.server.kill('SIGTERM');
    await registry.server.ended;
    const cache = await user.run('serve', '--data', data, '--proxy', 'ghcr.io');
    expect(cache.stderr).toContain('has the images of a registry in it, and cannot be used for anything else');
    const other = await serve(user, '--data', `${user.directory}/cache`, '--proxy', 'ghcr.io');
    other.server.kill('SIGTERM');
    await other.server.ended;
    const second = await user.run('serve', '--data', `${user.directory}/cache`);
    expect(second.stderr).toContain('has a site cache in it');
  });
});
