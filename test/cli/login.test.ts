import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPassword } from '../../src/cli/terminal/login-input.ts';
import type { Terminal } from '../../src/cli/terminal/terminal.ts';
import { TartletError } from '../../src/errors.ts';
import { RegistryAddress } from '../../src/names/registry-address.ts';
import { runOnTerminal, runWithInput } from '../support/command-input.ts';
import { makePrivateCa } from '../support/real-certificates.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { startTokenService } from '../support/real-token-service.ts';
import { createVm } from '../support/real-vm.ts';
import { type Answer, ScriptedRegistry } from '../support/scripted-registry.ts';

const USER = 'ci';
/** Colons, a quote, and a character beyond ASCII; `canary` is searched for in everything that is shown. */
const PASSWORD = 'canary:"pass:ü';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

let registry: RealRegistry;
let address: string;

beforeAll(async () => {
  const auth = { kind: 'basic', user: USER, password: PASSWORD } as const;
  registry = await startRealRegistry(cleanup, 'embedded', { auth });
  address = `127.0.0.1:${registry.port}`;
});

/** Logs in as a script would. */
async function login(
  workplace: Workplace,
  host: string,
  { password = `${PASSWORD}\n`, flags = [] as readonly string[], environment = {} } = {},
): Promise<Ran> {
  const ran = await runWithInput(
    workplace,
    password,
    ['login', host, '--username', USER, '--password-stdin', ...flags],
    { environment },
  );
  expect(`${ran.stdout}${ran.stderr}`).not.toMatch(/canary|Y2FuYXJ5/);
  return ran;
}

const dockerFile = ({ environment }: Workplace): string => path.join(environment['DOCKER_CONFIG'] ?? '', 'config.json');
const storedIn = (workplace: Workplace): unknown => JSON.parse(readFileSync(dockerFile(workplace), 'utf8'));
const entry = (password = PASSWORD) => ({ auth: Buffer.from(`${USER}:${password}`).toString('base64') });

/** A registry of one answer. */
async function answering(answer: Answer): Promise<string> {
  const server = await ScriptedRegistry.start({ 'GET /v2/': answer });
  cleanup.add(async () => server.close());
  return server.address.toString();
}

describe('a login', () => {
  it('is found by the pull of the same host and port, and by no other', async () => {
    const sender = new Workplace(cleanup, { isFresh: true });
    await createVm(sender, 'vm', 4);
    expect(await login(sender, address)).toEqual({
      exitCode: 0,
      stdout: '',
      stderr:
        `${address} accepts the password\n` +
        `the password of ci for ${address} is now in ${dockerFile(sender)} (as ${address})\n` +
        'note: it is not encrypted there, and readable by you only; a credential helper (credsStore) could encrypt it\n',
    });
    expect((await sender.run('push', 'vm', `${address}/team/base:1`)).exitCode).toBe(0);

    const receiver = new Workplace(cleanup, { isFresh: true });
    await login(receiver, address);
    expect((await receiver.run('pull', `${address}/team/base:1`)).exitCode).toBe(0);
    expect((await receiver.names())[0]).toBe(`${address}/team/base:1`);

    const other = await startRealRegistry(cleanup, 'embedded', {
      auth: { kind: 'basic', user: USER, password: PASSWORD },
    });
    const refused = await receiver.run('pull', `127.0.0.1:${other.port}/team/base:1`);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('error[AUTH_REQUIRED]');
    expect(refused.stderr).toContain(`login 127.0.0.1:${other.port}`);
  });

  it('that is missing is missing for what was wanted: a push to push, a pull to pull (N32)', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    await createVm(workplace, 'vm', 4);
    const before = `error[AUTH_REQUIRED]: ${address} wants to know who we are before it lets us`;
    const pushed = await workplace.run('push', 'vm', `${address}/team/base:2`);
    expect(pushed.exitCode).toBe(1);
    expect(pushed.stderr).toContain(`${before} push team/base.\n`);
    const pulled = await workplace.run('pull', `${address}/team/base:2`);
    expect(pulled.exitCode).toBe(1);
    expect(pulled.stderr).toContain(`${before} pull team/base.\n`);
  });

  it('is kept in a file for its owner alone', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    mkdirSync(path.join(workplace.environment['DOCKER_CONFIG'] ?? '', 'more'));
    const environment = { DOCKER_CONFIG: path.join(workplace.environment['DOCKER_CONFIG'] ?? '', 'more/docker') };
    expect((await login(workplace, address, { environment })).exitCode).toBe(0);
    const directory = environment.DOCKER_CONFIG;
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(path.join(directory, 'config.json')).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path.join(directory, 'config.json'), 'utf8'))).toEqual({
      auths: { [address]: entry() },
    });
  });

  it('is one of eight at once, and all are stored; eight logouts at once take all away (P31)', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const hosts = Array.from({ length: 8 }, (_, index) => `registry-${index}.corp:8221`);
    const flags = ['--no-validate'];
    const logins = await Promise.all(hosts.map(async (host) => login(workplace, host, { flags })));
    expect(logins.map(({ exitCode }) => exitCode)).toEqual(hosts.map(() => 0));
    const stored = Object.fromEntries(hosts.map((host) => [host, entry()]));
    expect(storedIn(workplace)).toEqual({ auths: stored });

    writeFileSync(dockerFile(workplace), JSON.stringify({ auths: { ...stored, 'other.corp': entry() } }));
    const logouts = await Promise.all(hosts.map(async (host) => workplace.run('logout', host)));
    expect(logouts.map(({ exitCode }) => exitCode)).toEqual(hosts.map(() => 0));
    expect(storedIn(workplace)).toEqual({ auths: { 'other.corp': entry() } });
    expect(readdirSync(path.dirname(dockerFile(workplace)))).toEqual(['config.json']);
  });

  it('with a wrong password fails and changes nothing', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    await login(workplace, address);
    const { exitCode, stdout, stderr } = await login(workplace, address, { password: 'canary' });
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toBe(
      `error[AUTH_DENIED]: wrong user name or password: ${address} does not accept "ci" from this login.\n` +
        'kept: the logins that were stored before; this one was not stored\n' +
        'next: check the user name and the password; some registries want a token in place of the password\n',
    );
    expect(storedIn(workplace)).toEqual({ auths: { [address]: entry() } });
    // The helper of this test searches what debugging shows, too.
    const environment = { TARTLET_DEBUG: '1' };
    expect((await login(workplace, address, { password: 'canary', environment })).stderr).toContain('TartletError: ');
  });

  it('waits for its password no longer than its user', async () => {
    const interruption = new AbortController();
    const terminal = { stdin: new PassThrough(), signal: interruption.signal } as unknown as Terminal;
    const password = readPassword(terminal);
    terminal.stdin.push('half');
    interruption.abort(new TartletError('INTERRUPTED', 'enough'));
    await expect(password).rejects.toMatchObject({ cause: { code: 'INTERRUPTED' } });
  });

  it.each([
    ['a web page', { headers: { 'content-type': 'text/html; charset=utf-8' }, body: '<html>Welcome</html>' }],
    ['a web page behind a redirect', { status: 302, headers: { location: '/welcome' } }],
    ['a service that says 200 to everything', { body: '{"status":"ok"}' }],
    ['a server that has no such page', { status: 404 }],
  ])('that %s answers is none', async (_what, answer) => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const server = await ScriptedRegistry.start({
      'GET /v2/': answer,
      'GET /welcome': { headers: { 'content-type': 'text/html' }, body: '<html>' },
    });
    cleanup.add(async () => server.close());
    const { exitCode, stdout, stderr } = await login(workplace, server.address.toString());
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/not as an OCI registry|does not answer as an OCI registry/);
    expect(existsSync(dockerFile(workplace))).toBe(false);
    expect(server.requests.map(({ headers }) => headers['authorization'])).not.toContainEqual(expect.anything());
  });

  it('at a registry that asks for no login is stored, and that is said', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const open = await answering({ headers: { 'docker-distribution-api-version': 'registry/2.0' }, body: '{}' });
    const { exitCode, stderr } = await login(workplace, open);
    expect(exitCode).toBe(0);
    expect(stderr).toContain(
      `${open} accepts anybody: it did not ask for a password, so that this one could not be checked\n`,
    );
    expect(storedIn(workplace)).toEqual({ auths: { [open]: entry() } });
  });

  it('is not sent to a token service on another host', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const thief = await ScriptedRegistry.start({ 'GET /token': { body: '{"token":"t"}' } });
    cleanup.add(async () => thief.close());
    const realm = `https://tokens.example:${RegistryAddress.parse(thief.address.toString()).port}/token`;
    const host = await answering({ status: 401, headers: { 'www-authenticate': `Bearer realm="${realm}"` } });
    const { exitCode, stderr } = await login(workplace, host);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('error[AUTH_REALM]');
    expect(thief.requests).toEqual([]);
    expect(existsSync(dockerFile(workplace))).toBe(false);
  });

  it('without a check sends no request', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const { exitCode, stderr } = await login(workplace, 'registry.invalid:8221', { flags: ['--no-validate'] });
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(stderr).not.toContain('accepts');
    expect(storedIn(workplace)).toEqual({ auths: { 'registry.invalid:8221': entry() } });
  });

  it('keeps inner line breaks of a key file, and drops those at the end', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    await login(workplace, 'h', { password: '{\n "canary": 1\r\n}\r\n\n', flags: ['--no-validate'] });
    expect(storedIn(workplace)).toEqual({ auths: { h: entry('{\n "canary": 1\r\n}') } });
  });

  it('says that variables come before it', async () => {
    const environment = { TART_REGISTRY_USERNAME: 'u', TART_REGISTRY_PASSWORD: 'canary' };
    const { stderr } = await login(new Workplace(cleanup, { isFresh: true }), 'h:1', {
      flags: ['--no-validate'],
      environment,
    });
    expect(stderr).toContain('note: TART_REGISTRY_USERNAME and TART_REGISTRY_PASSWORD are set');
  });

  it.each([
    ['its default', { credsStore: 'fake' }],
    ['a pattern (S57)', { credHelpers: { '127[.]0[.]0[.]1(:[0-9]+)?': 'fake' } }],
  ])('goes to the helper that is configured, and comes from there, by %s', async (_by, settings) => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const directory = helperIn(workplace, settings);
    const environment = { PATH: `${directory}:${process.env['PATH'] ?? ''}` };
    const { exitCode, stderr } = await login(workplace, address, { environment });
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toContain(`is now in docker-credential-fake (as ${address})\n`);
    expect(storedIn(workplace)).toEqual(settings);
    expect(JSON.parse(readFileSync(path.join(directory, 'secrets.json'), 'utf8'))).toEqual({
      [address]: [USER, PASSWORD],
    });

    const pulled = await runWithInput(workplace, '', ['pull', `${address}/no/such:1`], { environment });
    expect(pulled.stderr).toContain('error[NOT_FOUND]');
    const out = await runWithInput(workplace, '', ['logout', address], { environment });
    expect(out).toEqual({ exitCode: 0, stdout: '', stderr: `removed from docker-credential-fake (as ${address})\n` });
    expect(JSON.parse(readFileSync(path.join(directory, 'secrets.json'), 'utf8'))).toEqual({});
  });

  it('is never in a file when the configured helper fails', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    writeFileSync(dockerFile(workplace), '{"credsStore":"missing"}');
    const { exitCode, stderr } = await login(workplace, address);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('docker-credential-missing is not in PATH');
    expect(readFileSync(dockerFile(workplace), 'utf8')).toBe('{"credsStore":"missing"}');
  });
});

describeWithParts('a login at a registry with a token service', ['openssl'], () => {
  it('asks the service for a token, which must like the password', async () => {
    const signer = makePrivateCa(cleanup).signer;
    const options = { listen: '127.0.0.1', host: '127.0.0.1', user: USER, password: PASSWORD, signer };
    const service = await startTokenService(cleanup, options);
    const { port } = await startRealRegistry(cleanup, 'embedded', { auth: { kind: 'token', service, signer } });
    const workplace = new Workplace(cleanup, { isFresh: true });

    const wrong = await login(workplace, `127.0.0.1:${port}`, { password: 'canary' });
    expect(wrong.exitCode).toBe(1);
    expect(wrong.stderr).toMatch(
      /^error\[AUTH_DENIED\]: wrong user name or password: .* does not accept "ci" from this login: .*wrong user or password/,
    );
    expect(existsSync(dockerFile(workplace))).toBe(false);
    expect(service.issued).toBe(0);

    const right = await login(workplace, `127.0.0.1:${port}`);
    expect(right.exitCode, right.stderr).toBe(0);
    expect(service.issued).toBe(1);
    expect(storedIn(workplace)).toEqual({ auths: { [`127.0.0.1:${port}`]: entry() } });
  });
});

describe('wrong usage ends with 64 and the usage, and changes nothing', () => {
  it.each([
    ['no host', [], ''],
    ['two hosts', ['h', 'i'], ''],
    ['a scheme', ['https://h:1/v2/'], 'write it as h:1'],
    ['a repository', ['h:1/org'], ''],
    ['a port that is none', ['h:99999', '--username', 'u', '--password-stdin'], '1 to 65535'],
    ['a user alone', ['h', '--username', 'u'], '--username and --password-stdin need each other'],
    ['stdin alone', ['h', '--password-stdin'], '--username and --password-stdin need each other'],
    ['no terminal', ['h'], '--username USER --password-stdin h'],
    ['a user with a colon', ['h', '--username', 'a:b', '--password-stdin'], 'contains ":"'],
    ['an empty user', ['h', '--username', '', '--password-stdin'], 'the user name is empty'],
  ])('%s', async (_what, args, said) => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const { exitCode, stdout, stderr } = await runWithInput(workplace, 'canary', ['login', ...args]);
    expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 64, stdout: '' });
    expect(stderr).toContain('Usage: tartlet login [options] <host>');
    expect(stderr).toContain(said);
    expect(stderr).not.toContain('canary');
    expect(existsSync(dockerFile(workplace))).toBe(false);
  });

  it.each([
    ['an empty password', '\n', 'the password is empty'],
    ['a password that is not UTF-8', Buffer.from([0x63, 0xff, 0xfe]), 'not UTF-8'],
    ['a password of 64 KiB and more', 'x'.repeat(65_537), 'more than 64 KiB'],
    ['a zero byte in the password', 'a\0b', 'zero byte'],
  ])('%s', async (_what, input, said) => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const args = ['login', 'h', '--username', 'u', '--password-stdin', '--no-validate'];
    const { exitCode, stderr } = await runWithInput(workplace, input, args);
    expect(exitCode).toBe(64);
    expect(stderr).toContain(said);
    expect(existsSync(dockerFile(workplace))).toBe(false);
  });
});

describe('a logout', () => {
  it('forgets in every file, and tells what is left', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const podman = path.join(workplace.environment['XDG_RUNTIME_DIR'] ?? '', 'containers/auth.json');
    mkdirSync(path.dirname(podman));
    writeFileSync(podman, JSON.stringify({ auths: { 'h:1': entry(), 'h:1/org': entry(), 'h:2': entry() } }), {
      mode: 0o600,
    });
    await login(workplace, 'h:1', { flags: ['--no-validate'] });
    const environment = { TART_REGISTRY_USERNAME: 'u', TART_REGISTRY_PASSWORD: 'canary' };
    expect(await runWithInput(workplace, '', ['logout', 'h:1'], { environment })).toEqual({
      exitCode: 0,
      stdout: '',
      stderr:
        `removed from ${dockerFile(workplace)} (as h:1)\n` +
        `removed from ${podman} (as h:1)\n` +
        `note: still there: ${podman} (as h:1/org), for some of its images only\n` +
        'note: still there: the variable TART_REGISTRY_USERNAME\n',
    });
    expect(JSON.parse(readFileSync(podman, 'utf8'))).toEqual({ auths: { 'h:1/org': entry(), 'h:2': entry() } });
    expect(storedIn(workplace)).toEqual({ auths: {} });
  });

  it('from nowhere is a success', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    expect(await workplace.run('logout', 'registry.example:8221')).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: 'nothing was stored for registry.example:8221\n',
    });
    expect(existsSync(dockerFile(workplace))).toBe(false);
  });

  it('of a URL is wrong usage', async () => {
    const { exitCode, stderr } = await new Workplace(cleanup, { isFresh: true }).run('logout', 'http://h');
    expect(exitCode).toBe(64);
    expect(stderr).toContain('Usage: tartlet logout');
  });
});

// `script` of util-linux, as `unshare` is: its options are other ones on macOS and BSD.
describeWithParts('at a terminal', ['script', 'unshare'], () => {
  const command = (host: string) => `stty -a > before; $TARTLET login ${host}; code=$?; stty -a > after; exit $code`;

  /** Everything in a directory of its own, where the settings of the terminal are written down. */
  function script(workplace: Workplace, text: string): string {
    mkdirSync(workplace.home, { recursive: true });
    return `cd '${workplace.home}'; ${text}`;
  }
  const settings = ({ home }: Workplace, when: string) => readFileSync(path.join(home, when), 'utf8');

  it('user and password are asked for, the password without echo', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const { exitCode, screen } = await runOnTerminal(workplace, script(workplace, command(address)), [
      [`User name for ${address}: `, `${USER}x\u007f\r`],
      [`Password of ci for ${address}: `, `${PASSWORD}\r`],
    ]);
    expect(screen).toContain(`${address} accepts the password\r\n`);
    expect(exitCode).toBe(0);
    expect(screen).not.toMatch(/canary/);
    expect(storedIn(workplace)).toEqual({ auths: { [address]: entry() } });
    expect(settings(workplace, 'after')).toBe(settings(workplace, 'before'));
  });

  it('what it says is broken at blanks, not where the terminal ends', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const { screen } = await runOnTerminal(workplace, script(workplace, `stty cols 50; ${command(address)}`), [
      [`User name for ${address}: `, `${USER}\r`],
      [`Password of ci for ${address}: `, `${PASSWORD}\r`],
    ]);
    const lines = screen.split('\r\n');
    expect(lines.slice(-4)).toEqual([
      'note: it is not encrypted there, and readable by',
      '  you only; a credential helper (credsStore) could',
      '  encrypt it',
      '',
    ]);
    // A path may be longer than a line.
    for (const line of lines) expect(!line.trim().includes(' ') || line.length <= 50, line).toBe(true);
    expect(lines.map((line) => line.trim()).join(' ')).toContain(
      `the password of ci for ${address} is now in ${dockerFile(workplace)} (as ${address}) note: `,
    );
  });

  it('both may be in one paste, without echo of the second', async () => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const { exitCode, screen } = await runOnTerminal(workplace, script(workplace, command(address)), [
      [`User name for ${address}: `, `${USER}\r${PASSWORD}\r`],
    ]);
    expect(exitCode, screen).toBe(0);
    expect(screen).not.toMatch(/canary/);
  });

  it.each([
    ['Ctrl-C', '\u0003', 130],
    ['Ctrl-D', '\u0004', 64],
    ['more than 8192 characters', `${'x'.repeat(8193)}\r`, 64],
  ])('%s ends it with the terminal as it was', async (_what, typed, code) => {
    const workplace = new Workplace(cleanup, { isFresh: true });
    const { exitCode, screen } = await runOnTerminal(workplace, script(workplace, command(address)), [
      [`User name for ${address}: `, `${USER}\r`],
      [`Password of ci for ${address}: `, typed],
    ]);
    expect(exitCode, screen).toBe(code);
    expect(existsSync(dockerFile(workplace))).toBe(false);
    expect(settings(workplace, 'after')).toBe(settings(workplace, 'before'));
    expect(settings(workplace, 'after')).toMatch(/ echo /);
  });
});

/** A credential helper that keeps its secrets beside itself. @returns its directory. */
function helperIn(workplace: Workplace, settings: object = { credsStore: 'fake' }): string {
  const directory = cleanup.directory();
  writeFileSync(dockerFile(workplace), JSON.stringify(settings), { mode: 0o600 });
  writeFileSync(path.join(directory, 'secrets.json'), '{}');
  writeFileSync(
    path.join(directory, 'docker-credential-fake'),
    `#!${process.execPath}
const fs = require('node:fs');
const file = ${JSON.stringify(path.join(directory, 'secrets.json'))};
const input = fs.readFileSync(0, 'utf8').trim();
const secrets = JSON.parse(fs.readFileSync(file, 'utf8'));
const known = secrets[input];
if (process.argv[2] === 'store') {
  const { ServerURL, Username, Secret } = JSON.parse(input);
  secrets[ServerURL] = [Username, Secret];
} else if (process.argv[2] === 'list') {
  console.log(JSON.stringify(Object.fromEntries(Object.entries(secrets).map(([server, [user]]) => [server, user]))));
} else if (process.argv[2] === 'erase') {
  delete secrets[input];
} else if (known === undefined) {
  console.log('credentials not found in native keychain');
  process.exitCode = 1;
} else {
  console.log(JSON.stringify({ ServerURL: input, Username: known[0], Secret: known[1] }));
}
fs.writeFileSync(file, JSON.stringify(secrets));
`,
  );
  chmodSync(path.join(directory, 'docker-credential-fake'), 0o755);
  return directory;
}
