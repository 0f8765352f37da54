import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { FileLock } from '../../src/fs/lock/lock.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Running, Workplace } from '../support/real-command.ts';
import { eventually } from '../support/real-process.ts';
import { buildWithoutBinding } from '../support/unbound-build.ts';
import { createVm } from '../support/real-vm.ts';

/*
 * One home, used by an installation with the native binding and by one without it (a container, `--omit=optional`):
 * their locks exclude each other, in both directions (issue 14, item 1).
 */

const cleanup = new Cleanup();
const programs = { bound: COMMAND, unbound: '' };
type Build = keyof typeof programs;
const PAIRS: readonly (readonly [Build, Build])[] = [
  ['bound', 'unbound'],
  ['unbound', 'bound'],
  ['unbound', 'unbound'],
  ['bound', 'bound'],
];
let user: Workplace;

beforeAll(async () => {
  programs.unbound = buildWithoutBinding(cleanup.directory());
  user = new Workplace(cleanup);
  await createVm(user, 'vm');
});
afterAll(async () => cleanup.run());

const start = (build: Build, ...args: readonly string[]): Running =>
  new Running(process.execPath, [programs[build], ...args], user.environment);

describe.each(PAIRS)('while a command of the %s build works, one of the %s build', (holder, asker) => {
  const ask = async (...args: readonly string[]) => start(asker, ...args).ended;

  it('sees an exported VM in use, and neither deletes nor resizes it (P16)', async () => {
    const gate = `${cleanup.directory()}/gate`;
    execFileSync('mkfifo', [gate]);
    // The pipe is full long before the VM is exported.
    const script = `set -o pipefail; ${process.execPath} ${programs[holder]} export vm - | { read -r _ < ${gate}; cat > /dev/null; }`;
    const exporting = new Running('bash', ['-c', script], user.environment);
    onTestFinished(() => exporting.kill('SIGKILL'));
    await eventually('the VM is in use', async () => {
      const { stdout } = await ask('list', '--format', 'json');
      return stdout.includes('"State": "running"');
    });
    const bytes = statSync(`${user.vmDirectory('vm')}/disk.img`).size;
    expect((await ask('delete', 'vm')).exitCode).not.toBe(0);
    expect((await ask('set', 'vm', '--disk-size', '9')).exitCode).not.toBe(0);
    expect((await ask('clone', 'vm', 'vm')).exitCode).not.toBe(0);
    expect((await ask('stop', 'vm')).stderr).toContain('error[BUSY]: ');
    expect(statSync(`${user.vmDirectory('vm')}/disk.img`).size).toBe(bytes);
    execFileSync('bash', ['-c', `echo go > ${gate}`]);
    expect(await exporting.ended).toMatchObject({ exitCode: 0 });
  });

  it('leaves scratch alone that is being worked in (P26)', async () => {
    const scratch = `${user.home}/tmp/work`;
    mkdirSync(scratch, { recursive: true });
    const held = await holdByBuild(holder, `${scratch}/.lock`);
    expect((await ask('create', '--linux', '--disk-size', '1', `new-${holder}-${asker}`)).exitCode).toBe(0);
    expect(statSync(scratch).isDirectory()).toBe(true);
    await held();
  });
});

/** Holds a lock as that build does. Returns what ends it. */
async function holdByBuild(build: Build, file: string): Promise<() => Promise<void>> {
  if (build === 'bound') {
    const lock = await FileLock.acquire(file, { mode: 'exclusive', wait: false });
    return async () => lock?.release();
  }
  const holder = spawn('flock', ['--no-fork', '--exclusive', file, 'sh', '-c', 'echo locked; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  return async () => {
    holder.kill('SIGKILL');
    await once(holder, 'exit');
  };
}

it('the binding is taken from our own installation, never from where the environment points', async () => {
  const trap = cleanup.directory();
  for (const kind of ['gnu', 'musl']) {
    const name = `ffi-rs-linux-${process.arch}-${kind}`;
    mkdirSync(`${trap}/@yuuang/${name}`, { recursive: true });
    execFileSync('bash', [
      '-c',
      `echo 'not a library' > ${trap}/@yuuang/${name}/ffi-rs.linux-${process.arch}-${kind}.node`,
    ]);
  }
  const log = `${trap}/log`;
  const traced = new Running(
    'strace',
    [
      '-f',
      '-o',
      log,
      '-e',
      'trace=openat,execve',
      process.execPath,
      programs.unbound,
      'create',
      '--linux',
      '--disk-size',
      '1',
      'trapped',
    ],
    { ...user.environment, NODE_PATH: trap, PATH: `${trap}:${user.environment['PATH'] ?? ''}` },
  );
  expect(await traced.ended).toMatchObject({ exitCode: 0 });
  const calls = readFileSync(log, 'utf8');
  expect(calls).toContain('/usr/bin/flock');
  expect(calls).not.toContain(trap);
});
