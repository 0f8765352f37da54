import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { plantVm } from '../support/home.ts';
import { pretendRun } from '../support/pretend-run.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, type Ran, Running, Workplace } from '../support/real-command.ts';

/** Notes its words, asks for a password and for other things, reads its input, and ends with 7. */
const SSH = `#!/bin/sh
printf '%s\\n' "$@" >"$NOTES/words"
pwd >"$NOTES/directory"
{ "$SSH_ASKPASS" "admin@vm's password: "; "$SSH_ASKPASS" "Enter passphrase for key 'k': " || echo "no answer"; } >"$NOTES/answers"
tr '\\0' '\\n' <"/proc/$$/cmdline" >>"$NOTES/words-seen"
cat
exit 7
`;

describe('logging in to a guest', () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;
  let bin: string;

  beforeEach(() => {
    workplace = new Workplace(cleanup);
    bin = `${workplace.directory}/bin`;
    mkdirSync(bin);
    for (const program of ['sh', 'cat', 'tr']) symlinkSync(`/bin/${program}`, `${bin}/${program}`);
    plantVm(workplace.vmDirectory('ci'));
  });
  afterAll(async () => cleanup.run());

  function plantSsh(): void {
    writeFileSync(`${bin}/ssh`, SSH);
    chmodSync(`${bin}/ssh`, 0o755);
  }

  async function tartlet(args: readonly string[], variables: Readonly<Record<string, string>> = {}): Promise<Ran> {
    const environment = { ...workplace.environment, PATH: bin, NOTES: workplace.directory, ...variables };
    return new Running(process.execPath, [COMMAND, ...args], environment).ended;
  }

  const noted = (file: string): string => readFileSync(`${workplace.directory}/${file}`, 'utf8');

  it('gives OpenSSH address, port, user, host keys of the VM and the command, and ends with its exit code', async () => {
    plantSsh();
    const { sshPort } = await pretendRun(workplace.vmDirectory('ci'), 'SSH-2.0-guest\r\n');
    expect(await tartlet(['ssh', 'ci', '--', 'ls', '-l', '--', '/a b'])).toEqual({
      exitCode: 7,
      stdout: '',
      stderr: '',
    });
    expect(noted('words').replace(/^ssh\.log\.[0-9a-f-]{36}$/m, 'ssh.log.…')).toBe(
      '-F|none|-o|HostKeyAlias=vm|-o|UserKnownHostsFile=known_hosts|-o|GlobalKnownHostsFile=/dev/null|-o|StrictHostKeyChecking=accept-new|'
        .concat(
          '-o|CheckHostIP=no|-o|LogLevel=ERROR|-o|PreferredAuthentications=password,keyboard-interactive,publickey|',
        )
        .concat(
          `-o|NumberOfPasswordPrompts=1|-o|ConnectTimeout=30|-p|${sshPort}|-l|admin|-E|ssh.log.…|--|127.0.0.1|ls|-l|--|/a b|`,
        )
        .replaceAll('|', '\n'),
    );
    expect(noted('directory')).toBe(`${workplace.vmDirectory('ci')}\n`);
  });

  it('answers for the password alone, which no argument shows', async () => {
    plantSsh();
    await pretendRun(workplace.vmDirectory('ci'), 'SSH-2.0-guest\r\n');
    expect(await tartlet(['ssh', 'ci'])).toMatchObject({ exitCode: 7 });
    expect(noted('answers')).toBe('admin\nno answer\n');
    const variables = { TARTLET_SSH_PASSWORD: `it's "hidden" $HOME` };
    expect(await tartlet(['ssh', '--user', 'root', '-t', 'ci', 'ls'], variables)).toMatchObject({ exitCode: 7 });
    expect(noted('answers')).toBe(`it's "hidden" $HOME\nno answer\n`);
    expect(noted('words')).toContain('\n-l\nroot\n-t\n-E\n');
    expect(noted('words-seen')).not.toContain('hidden');
    expect(statSync(`${workplace.vmDirectory('ci')}/ssh-askpass`).mode & 0o777).toBe(0o700);
  });

  it('names the packages where OpenSSH is missing', async () => {
    await pretendRun(workplace.vmDirectory('ci'), 'SSH-2.0-guest\r\n');
    expect(await tartlet(['ssh', 'ci'])).toEqual({
      exitCode: 1,
      stdout: '',
      stderr:
        'error[HOST_LACKS]: the OpenSSH client is not installed on this machine.\n' +
        'next: install openssh-client (Debian, Ubuntu, Alpine), openssh-clients (Fedora) or openssh (Arch)\n',
    });
  });

  it.each([
    ['of a VM that there is not', ['ssh', 'none'], 2, /^error\[VM_NOT_FOUND\]/],
    ['of a VM that does not run', ['ssh', 'ci'], 2, /^error\[VM_NOT_RUNNING\]/],
    [
      'with a user that OpenSSH would read as an option',
      ['ssh', '--user=-oProxyCommand=x', 'ci'],
      64,
      /^error\[USAGE\]/,
    ],
    ['of the configuration for a VM that does not run', ['ssh-config', 'ci'], 2, /^error\[VM_NOT_RUNNING\]/],
  ])('is refused %s', async (_, args, exitCode, reason) => {
    plantSsh();
    expect(await tartlet(args)).toMatchObject({ exitCode, stdout: '', stderr: expect.stringMatching(reason) });
  });

  it('says after its time that a guest does not answer, whose port takes connections', async () => {
    plantSsh();
    await pretendRun(workplace.vmDirectory('ci'));
    expect(await tartlet(['ssh', '--wait', '1', 'ci'])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^error\[GUEST_UNREACHABLE\]: the guest of the VM "ci" does not answer yet/),
    });
  });

  /** Says in its log why it could not log in, the first so many times; then it runs `true`. */
  function plantFailingSsh(times: number, words: string): void {
    writeFileSync(
      `${bin}/ssh`,
      `#!/bin/sh\nwhile [ "$1" != -E ]; do shift; done\nprintf x >>"$NOTES/tries"\n` +
        `[ "$(wc -c <"$NOTES/tries")" -gt ${times} ] && exit 0\nprintf '%s\\n' '${words}' >"$2"\nexit 255\n`,
    );
    chmodSync(`${bin}/ssh`, 0o755);
    symlinkSync('/usr/bin/wc', `${bin}/wc`);
  }

  it('tries again within its time where the server begins anew, and shows the last failure alone', async () => {
    const reset = 'kex_exchange_identification: read: Connection reset by peer';
    plantFailingSsh(2, reset);
    await pretendRun(workplace.vmDirectory('ci'), 'SSH-2.0-guest\r\n');
    expect(await tartlet(['ssh', '--wait', '60', 'ci'])).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect(noted('tries')).toBe('xxx');
    plantOnce(reset);
    expect(await tartlet(['ssh', 'ci'])).toEqual({ exitCode: 255, stdout: '', stderr: `${reset}\n` });
    expect(noted('tries')).toBe('xxxx');
    // It may have begun: it is not begun again.
    plantOnce('Connection to 127.0.0.1 closed by remote host.');
    expect(await tartlet(['ssh', '--wait', '60', 'ci', 'ls'])).toMatchObject({ exitCode: 255 });
    expect(noted('tries')).toBe('xxxxx');
    expect(readdirSync(workplace.vmDirectory('ci')).filter((name) => name.startsWith('ssh.log'))).toEqual([]);
  });

  function plantOnce(words: string): void {
    rmSync(`${bin}/wc`);
    plantFailingSsh(1000, words);
  }

  it('says what to do about a guest that has other host keys than before, and takes them when it is told to', async () => {
    plantFailingSsh(1, 'Host key verification failed.');
    await pretendRun(workplace.vmDirectory('ci'), 'SSH-2.0-guest\r\n');
    writeFileSync(`${workplace.vmDirectory('ci')}/known_hosts`, 'vm ssh-rsa AAAA\n');
    expect(await tartlet(['ssh', '--wait', '60', 'ci'])).toEqual({
      exitCode: 255,
      stdout: '',
      stderr:
        'error[GUEST_UNREACHABLE]: the guest of the VM "ci" has other host keys than it had before.\n' +
        'next: if it made itself new ones, as some do at each start: tartlet ssh --forget-host-key ci\n',
    });
    expect(existsSync(`${workplace.vmDirectory('ci')}/known_hosts`)).toBe(true);
    expect(await tartlet(['ssh', '--forget-host-key', 'ci'])).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect(existsSync(`${workplace.vmDirectory('ci')}/known_hosts`)).toBe(false);
  });

  it('prints a block that OpenSSH reads as it is meant', async () => {
    const { sshPort } = await pretendRun(workplace.vmDirectory('ci'), 'SSH-2.0-guest\r\n');
    const { exitCode, stdout, stderr } = await tartlet(['ssh-config', 'ci']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toBe(
      `Host ci\n  HostName 127.0.0.1\n  Port ${sshPort}\n  User admin\n  HostKeyAlias vm\n` +
        `  UserKnownHostsFile "${workplace.vmDirectory('ci')}/known_hosts"\n  GlobalKnownHostsFile /dev/null\n` +
        '  StrictHostKeyChecking accept-new\n  CheckHostIP no\n  LogLevel ERROR\n',
    );
    writeFileSync(`${workplace.directory}/ci.conf`, stdout);
    const read = execFileSync('ssh', ['-G', '-F', `${workplace.directory}/ci.conf`, 'ci'], { encoding: 'utf8' });
    expect(read).toContain(`userknownhostsfile ${workplace.vmDirectory('ci')}/known_hosts\n`);
    expect(read).toContain(`port ${sshPort}\n`);
  });

  it('prints no block that would mean another host', async () => {
    plantVm(workplace.vmDirectory('a *'));
    await pretendRun(workplace.vmDirectory('a *'), 'SSH-2.0-guest\r\n');
    expect(await tartlet(['ssh-config', 'a *'])).toMatchObject({ exitCode: 64, stdout: '' });
  });
});
