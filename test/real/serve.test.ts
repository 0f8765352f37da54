import { spawn } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { hashSync } from 'bcryptjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makePrivateCa, type PrivateCa } from '../support/real-certificates.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, digestsOfVm, type Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { eventually } from '../support/real-process.ts';
import { expectRefusal } from '../support/real-refusal.ts';
import { createVm } from '../support/real-vm.ts';

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describeWithParts('tartlet serve', ['openssl'], () => {
  const cleanup = new Cleanup();
  let ca: PrivateCa;
  let owner: Workplace;
  let original: Record<string, string>;

  beforeAll(async () => {
    ca = makePrivateCa(cleanup);
    owner = new Workplace(cleanup);
    await createVm(owner, 'vm');
    original = await digestsOfVm(owner.vmDirectory('vm'));
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
    const [copy, source] = await Promise.all(['copy', 'vm'].map(async (vm) => digestsOfVm(user.vmDirectory(vm))));
    expect(copy?.['disk.img']).toBe(source?.['disk.img']);
  }

  it('keeps images while it is stopped, and ends with 0 when told to', async () => {
    const data = cleanup.directory();
    const first = await serve('--data', data);
    expect(first.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    await pushAndClone(owner, `${new URL(first.url).host}/team/base:1`);
    first.server.kill('SIGTERM');
    expect(await first.server.ended).toMatchObject({ exitCode: 0, stdout: `${first.url}\n` });

    const second = await serve('--data', data);
    const receiver = new Workplace(cleanup);
    const name = `${new URL(second.url).host}/team/base:1`;
    expect(await receiver.run('clone', name, 'copy')).toMatchObject({ exitCode: 0 });
    expect(await digestsOfVm(receiver.vmDirectory('copy'))).toEqual(original);
  });

  it('speaks TLS and asks for a password', async () => {
    const htpasswd = path.join(cleanup.directory(), 'users');
    writeFileSync(htpasswd, `ci:${hashSync('secret', 4)}\n`);
    const tls = ['--tls-cert', ca.server.certificate, '--tls-key', ca.server.key];
    const { url } = await serve('--data', cleanup.directory(), '--htpasswd', htpasswd, ...tls);
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

  it('is alone in its directory, and tells who is there', async () => {
    const data = cleanup.directory();
    const { server } = await serve('--data', data);
    await expectRefusal(owner, ['serve', '--listen', '0', '--data', data], {
      code: 'BUSY',
      says: [data, `the process ${server.child.pid}`],
      next: 'end it first',
    });
    server.kill('SIGKILL');
    await server.ended;
    // A lock of a process that is gone holds no other.
    await serve('--data', data);
  });

  it('lets some users pull only, reads their file again, and keeps what it had when the new one is broken', async () => {
    const [users, runners] = ['users', 'runners'].map((name) => path.join(cleanup.directory(), name)) as [
      string,
      string,
    ];
    writeFileSync(users, `ci:${hashSync('secret', 4)}\n`);
    writeFileSync(runners, '');
    const { server, url } = await serve(
      '--data',
      cleanup.directory(),
      '--htpasswd',
      users,
      '--read-only-users',
      runners,
    );
    const registry = new URL(url).host;
    const name = `${registry}/team/base:1`;
    const ci = new Workplace(cleanup, { home: owner.home, login: { registry, user: 'ci', password: 'secret' } });
    expect(await ci.run('push', 'vm', name)).toMatchObject({ exitCode: 0 });
    const runner = new Workplace(cleanup, { login: { registry, user: 'runner', password: 'pull' } });
    expect((await runner.run('pull', name)).exitCode).toBe(1);

    writeFileSync(runners, `runner:${hashSync('pull', 4)}\n`);
    await eventually('the file is read again', () => server.stderr.includes('users and certificates were read again'));
    expect(await runner.run('clone', name, 'copy')).toMatchObject({ exitCode: 0 });
    const refused = await runner.run('push', 'copy', `${registry}/team/base:2`);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/^error\[AUTH_DENIED\]: .*the user runner may read here, and change nothing/);

    writeFileSync(runners, 'runner:no hash\n');
    await eventually('the log says what is wrong', () =>
      server.stderr.includes(
        `users and certificates stay as they were: ${runners}: line 1 of the htpasswd file is not a name and a bcrypt hash`,
      ),
    );
    expect(await runner.run('pull', name)).toMatchObject({ exitCode: 0 });
    writeFileSync(runners, '');
    await eventually('the file is read once more', () => server.stderr.split('were read again').length === 3);
    expect((await runner.run('inspect', '--remote', name)).exitCode).toBe(1);
  });

  it('reads certificates again on SIGHUP', async () => {
    const directory = cleanup.directory();
    const [cert, key] = [path.join(directory, 'cert.pem'), path.join(directory, 'key.pem')];
    const use = (pair: PrivateCa['server']): void => {
      copyFileSync(pair.certificate, cert);
      copyFileSync(pair.key, key);
    };
    use(ca.server);
    const { server, url } = await serve('--data', cleanup.directory(), '--tls-cert', cert, '--tls-key', key);
    const { host } = new URL(url);
    const said = async (authority: string): Promise<string> =>
      (await new Workplace(cleanup, { authority }).run('inspect', '--remote', `${host}/team/base:1`)).stderr;
    expect(await said(ca.authority)).toMatch(/^error\[NOT_FOUND\]/);
    const other = makePrivateCa(cleanup);
    expect(await said(other.authority)).toMatch(/^error\[NET_TLS\]/);
    use(other.server);
    server.kill('SIGHUP');
    await eventually('they are read again', () => server.stderr.includes('users and certificates were read again'));
    expect(await said(other.authority)).toMatch(/^error\[NOT_FOUND\]/);
    expect(await said(ca.authority)).toMatch(/^error\[NET_TLS\]/);
    server.kill('SIGTERM');
    expect((await server.ended).exitCode).toBe(0);
  });

  it('goes with its terminal, although SIGHUP alone does not end it', async () => {
    const data = cleanup.directory();
    const lock = path.join(data, '.lock');
    const command = `${process.execPath} ${COMMAND} serve --listen 0 --data ${data}`;
    const screen = spawn('script', ['--quiet', '--flush', '--command', command, '/dev/null'], {
      env: { ...owner.environment, SHELL: '/bin/sh', TERM: 'xterm' },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    cleanup.add(async () => void screen.kill('SIGKILL'));
    let shown = '';
    screen.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text;
    });
    await eventually('the registry says where it is', () => shown.includes('Ctrl-C ends it'));
    const pid = Number(readFileSync(lock, 'utf8'));
    process.kill(pid, 'SIGHUP');
    await eventually('it reads its files again', () => shown.includes('were read again'));
    expect(isAlive(pid)).toBe(true);
    screen.kill('SIGKILL');
    await eventually('it is gone', () => !isAlive(pid));
  });

  it('lets everybody pull when it is told to, and asks those who push', async () => {
    const htpasswd = path.join(cleanup.directory(), 'users');
    writeFileSync(htpasswd, `ci:${hashSync('secret', 4)}\n`);
    const { url } = await serve('--data', cleanup.directory(), '--htpasswd', htpasswd, '--anonymous-read');
    const registry = new URL(url).host;
    const name = `${registry}/team/base:1`;
    const refused = await owner.run('push', 'vm', name);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/^error\[AUTH_REQUIRED\]: /);
    const login = { registry, user: 'ci', password: 'secret' };
    const ci = new Workplace(cleanup, { home: owner.home, login });
    expect(await ci.run('push', 'vm', name)).toMatchObject({ exitCode: 0 });
    expect(await new Workplace(cleanup).run('pull', name)).toMatchObject({ exitCode: 0 });
  });

  it.each([
    [['--read-only-users', 'runners'], '--read-only-users needs --htpasswd'],
    [['--anonymous-read'], '--anonymous-read needs --htpasswd or the --token options'],
    [['--listen', '65536'], '--listen 127.0.0.1:65536 is not an address'],
  ])('%j alone is wrong usage', async (options, says) => {
    const { exitCode, stderr } = await owner.run('serve', '--data', cleanup.directory(), ...options);
    expect({ exitCode, stderr }).toEqual({ exitCode: 64, stderr: expect.stringContaining(says) as string });
  });

  it('takes a port alone as one of this machine', async () => {
    const server = owner.start('serve', '--listen', '0', '--data', cleanup.directory());
    cleanup.add(async () => {
      server.kill('SIGKILL');
      await server.ended;
    });
    await eventually('the registry says where it is', () => server.stdout.endsWith('\n'));
    expect(server.stdout).toMatch(/^http:\/\/127\.0\.0\.1:\d+\n$/);
  });

  it('says so when the port is taken', async () => {
    const { url } = await serve('--data', cleanup.directory());
    const { host } = new URL(url);
    await expectRefusal(owner, ['serve', '--listen', host, '--data', cleanup.directory()], {
      code: 'NET_CONNECT',
      says: [host, 'the port is taken'],
      next: 'choose another port',
    });
  });

  it('does not open itself to others without being told to', async () => {
    await expectRefusal(owner, ['serve', '--listen', '0.0.0.0:0', '--data', cleanup.directory()], {
      code: 'CONFIG_INVALID',
      says: ['0.0.0.0', 'TLS and authentication'],
      next: 'listen on 127.0.0.1',
    });
  });
});
