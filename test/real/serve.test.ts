import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { hashSync } from 'bcryptjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makePrivateCa, type PrivateCa } from '../support/real-certificates.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { digestsOfVm, type Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { eventually } from '../support/real-process.ts';
import { expectRefusal } from '../support/real-refusal.ts';
import { createVm } from '../support/real-vm.ts';

describeWithParts('tartlet serve', ['openssl'], () => {
  const cleanup = new Cleanup();
  let ca: PrivateCa;
  let owner: Workplace;
  let original: Record<string, string>;

  beforeAll(async () => {
    ca = makePrivateCa(cleanup);
    owner = new Workplace(cleanup);
    await createVm(owner, 'vm');
    original = await digestsOfVm(owner.vmFolder('vm'));
  });
  afterAll(async () => cleanup.run());

  /** Serves on a free port and tells the URL that it printed. */
  async function serve(...options: readonly string[]): Promise<{ server: Running; url: string }> {
    const server = owner.start('serve', '--listen', '127.0.0.1:0', ...options);
    cleanup.add(async () => {
      server.kill('SIGKILL');
      await server.ended;
    });
    await eventually('the registry says where it is', () => {
      if (server.child.exitCode !== null) throw new Error(server.stderr);
      return server.stdout.endsWith('\n');
    });
    return { server, url: server.stdout.trim() };
  }

  async function pushAndClone(user: Workplace, name: string): Promise<void> {
    const pushed = await user.run('push', 'vm', name);
    expect(pushed.exitCode, pushed.stderr).toBe(0);
    const cloned = await user.run('clone', name, 'copy');
    expect(cloned.exitCode, cloned.stderr).toBe(0);
    const [copy, source] = await Promise.all(['copy', 'vm'].map(async (vm) => digestsOfVm(user.vmFolder(vm))));
    expect(copy?.['disk.img']).toBe(source?.['disk.img']);
  }

  it('keeps images while it is stopped, and ends with 0 when told to', async () => {
    const data = cleanup.folder();
    const first = await serve('--data', data);
    expect(first.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    await pushAndClone(owner, `${new URL(first.url).host}/team/base:1`);
    first.server.kill('SIGTERM');
    expect(await first.server.ended).toMatchObject({ exitCode: 0, stdout: `${first.url}\n` });

    const second = await serve('--data', data);
    const receiver = new Workplace(cleanup);
    const name = `${new URL(second.url).host}/team/base:1`;
    expect(await receiver.run('clone', name, 'copy')).toMatchObject({ exitCode: 0 });
    expect(await digestsOfVm(receiver.vmFolder('copy'))).toEqual(original);
  });

  it('speaks TLS and asks for a password', async () => {
    const htpasswd = path.join(cleanup.folder(), 'users');
    writeFileSync(htpasswd, `ci:${hashSync('secret', 4)}\n`);
    const tls = ['--tls-cert', ca.server.certificate, '--tls-key', ca.server.key];
    const { url } = await serve('--data', cleanup.folder(), '--htpasswd', htpasswd, ...tls);
    expect(url).toMatch(/^https:/);
    const registry = new URL(url).host;
    const trust = { authority: ca.authority, home: owner.home };
    await pushAndClone(
      new Workplace(cleanup, { ...trust, login: { registry, user: 'ci', password: 'secret' } }),
      `${registry}/team/base:1`,
    );

    await expectRefusal(new Workplace(cleanup, { authority: ca.authority }), ['pull', `${registry}/team/base:1`], {
      code: 'AUTH_REQUIRED',
      says: [registry],
      next: `tartlet login ${registry}`,
    });
  });

  it('says so when the port is taken', async () => {
    const { url } = await serve('--data', cleanup.folder());
    const { host } = new URL(url);
    await expectRefusal(owner, ['serve', '--listen', host, '--data', cleanup.folder()], {
      code: 'NET_CONNECT',
      says: [host, 'the port is taken'],
      next: 'choose another port',
    });
  });

  it('does not open itself to others without being told to', async () => {
    await expectRefusal(owner, ['serve', '--listen', '0.0.0.0:0', '--data', cleanup.folder()], {
      code: 'CONFIG_INVALID',
      says: ['0.0.0.0', 'TLS and authentication'],
      next: 'listen on 127.0.0.1',
    });
  });
});
