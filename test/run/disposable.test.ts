import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { markDisposable, sweepDisposables } from '../../src/home/vms/disposable.ts';
import { LocalName } from '../../src/names/local-name.ts';
import { tartWords } from '../../src/cli/session/run-words.ts';
import { quoteForShell } from '../../src/run/ssh.ts';
import { freshSession, plantVm } from '../support/home.ts';
import { leaveOut } from '../support/left-out.ts';
import { PretendedMac } from '../support/pretend-tart.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { runVm } from '../support/running-vm.ts';

describe('VMs whose command was killed', () => {
  it('are deleted by others, but for those that are used, were renamed, or are wanted', async () => {
    const session = freshSession();
    const directoryOf = (name: string): string => `${session.home.vmsDirectory}/${name}`;
    const plant = async (name: string): Promise<void> => {
      plantVm(directoryOf(name));
      await (await markDisposable(directoryOf(name), LocalName.parse(name))).release();
    };
    for (const name of ['left', 'renamed', 'runs']) await plant(name);
    renameSync(directoryOf('renamed'), directoryOf('kept'));
    await runVm(directoryOf('runs'));
    plantVm(directoryOf('plain'));
    plantVm(directoryOf('alive'));
    const alive = await markDisposable(directoryOf('alive'), LocalName.parse('alive'));
    await sweepDisposables(session);
    expect(readdirSync(session.home.vmsDirectory).toSorted()).toEqual(['alive', 'kept', 'plain', 'runs']);
    await alive.release();
    await sweepDisposables(session);
    expect(existsSync(directoryOf('alive'))).toBe(false);
  });
});

/** Notes the last of its words, which is the command, and ends with 5. */
const SSH = `#!/bin/sh
for word; do :; done
printf '%s' "$word" >"$NOTES/command"
exit 5
`;

describe('a VM for one command on a Mac', () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;
  let mac: PretendedMac;

  beforeEach(() => {
    workplace = new Workplace(cleanup);
    plantVm(workplace.vmDirectory('base'));
    mac = new PretendedMac(workplace);
    mac.setAddress('127.0.0.77');
  });
  afterAll(async () => cleanup.run());

  it('is a clone that Tart runs, and is gone with it; the command goes to the agent where that is waited for', async () => {
    const words = ['base', '--no-graphics', '--wait-for', 'agent', '--dir', 'base', '--', 'exit-9', 'a b'];
    expect(await mac.run('run', '--rm', ...words)).toEqual({ exitCode: 9, stdout: '', stderr: '' });
    // Tart runs beside the looks for the agent: it may note its words after one of them.
    const calls = mac.calls();
    const [exec, ...more] = calls.filter(([command]) => command !== 'run' && command !== 'ip');
    const clone = exec?.[1];
    expect(clone).toMatch(/^base-[0-9a-f]{8}$/);
    expect(calls.find(([command]) => command === 'run')).toEqual(['run', clone, '--no-graphics', '--dir', 'base']);
    expect(calls.find(([command]) => command === 'ip')).toEqual(['ip', clone, '--resolver', 'agent']);
    expect(exec).toEqual(['exec', clone, 'exit-9', 'a b']);
    expect(more).toEqual([]);
    expect(readdirSync(`${workplace.home}/vms`)).toEqual(['base']);
  });

  it('is logged in to where its SSH server answers, and the words of the command arrive as they are', async (context) => {
    mac.plant('ssh', SSH);
    // Port 22 of an address of this machine that nothing else has.
    const server = createServer((socket) => void socket.on('error', () => undefined).end('SSH-2.0-guest\r\n'));
    const isOurs = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(22, '127.0.0.77', () => resolve(true));
    });
    leaveOut(context, !isOurs, 'port 22 is taken on all addresses, or for root only');
    onTestFinished(() => void server.close());
    expect(await mac.run('run', '--rm', 'base', '--', 'echo', "it's", '$HOME')).toMatchObject({ exitCode: 5 });
    expect(readFileSync(`${workplace.directory}/command`, 'utf8')).toBe(`echo 'it'\\''s' '$HOME'`);
    expect(readdirSync(`${workplace.home}/vms`)).toEqual(['base']);
  });
});

describe('the words for Tart', () => {
  it.each([
    [
      ['run', 'image', '--disk', 'image'],
      ['run', 'vm', '--disk', 'image'],
    ],
    [
      ['run', '--rm', '--disk', 'image', '--timeout', '9', 'image', '--', 'image'],
      ['run', '--disk', 'image', 'vm'],
    ],
    [
      ['run', '--net-bridged=en0', '--vnc', 'image'],
      ['run', '--net-bridged=en0', '--vnc', 'vm'],
    ],
  ])('name the clone in %j', (argv, words) => {
    expect(tartWords(argv, 'vm')).toEqual(words);
  });
});

describe('a word for the shell of a guest', () => {
  it.each([
    ['plain', 'plain'],
    ['a/b:c,d=e', 'a/b:c,d=e'],
    ['', "''"],
    ['a b\n', "'a b\n'"],
    ["it's", `'it'\\''s'`],
    ['$(x) `y` "z" \\ ~ *', `'$(x) \`y\` "z" \\ ~ *'`],
  ])('%j', (word, quoted) => {
    expect(quoteForShell(word)).toBe(quoted);
  });
});
