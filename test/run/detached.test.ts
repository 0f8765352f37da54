import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { parseCondition, requireWay, withoutLifeFlags, wordsFor } from '../../src/cli/session/run-words.ts';
import { plantVm } from '../support/home.ts';
import { pretendRun } from '../support/pretend-run.ts';
import { PretendedMac } from '../support/pretend-tart.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';

const cleanup = new Cleanup();
let workplace: Workplace;

beforeEach(() => {
  workplace = new Workplace(cleanup);
  plantVm(workplace.vmDirectory('ci'));
});
afterAll(async () => cleanup.run());

describe('a run in the background that fails at once', () => {
  it.each([
    ['of a VM that there is not', ['none'], 2, /^error\[VM_NOT_FOUND\]/],
    [
      'with something to wait for that is nothing',
      ['ci', '--wait-for', 'tcp:0'],
      64,
      /^error\[USAGE\]: "tcp:0" is nothing/,
    ],
    [
      'with a port to which nothing leads',
      ['ci', '--wait-for', 'tcp:80'],
      64,
      /next: publish it, like --publish 8080:80/,
    ],
    ['with isolation that is not there', ['ci', '--net-softnet'], 64, /Softnet isolates guests on macOS only/],
    ['of a guest that cannot run here', ['ci'], 1, /^error\[HOST_LACKS\]: the VM "ci" is made for arm64/],
  ])('says so in the foreground, %s', async (_, words, exitCode, reason) => {
    const ran = await workplace.run('run', '--detach', ...words);
    expect(ran).toMatchObject({ exitCode, stdout: '', stderr: expect.stringMatching(reason) });
    expect(readdirSync(workplace.vmDirectory('ci')).filter((name) => name.startsWith('run.'))).toEqual([]);
  });

  it('leaves the log of the run that has the VM alone', async () => {
    writeFileSync(`${workplace.vmDirectory('ci')}/run.log`, 'of another');
    await pretendRun(workplace.vmDirectory('ci'));
    expect(await workplace.run('run', '--detach', 'ci')).toMatchObject({ exitCode: 2, stdout: '' });
    expect(readFileSync(`${workplace.vmDirectory('ci')}/run.log`, 'utf8')).toBe('of another');
  });
});

describe('a run in the background on a Mac', () => {
  it("is Tart's, with its own words alone, and is waited for by its address", async () => {
    const mac = new PretendedMac(workplace);
    mac.setAddress('127.0.0.1');
    onTestFinished(() => {
      for (const pid of holdersOf(workplace.vmDirectory('ci'))) process.kill(pid, 'SIGKILL');
    });
    const words = ['ci', '--wait-for=ip', '--no-graphics', '--timeout', '60', '--dir=a:/b', '--unknown-to-us'];
    expect(await mac.run('run', '--detach', ...words)).toEqual({ exitCode: 0, stdout: 'ci\n', stderr: '' });
    expect(mac.calls()).toEqual([
      ['run', 'ci', '--no-graphics', '--dir=a:/b', '--unknown-to-us'],
      ['ip', 'ci'],
    ]);
    // In a session of its own.
    await vi.waitUntil(() => readFileSync(`${workplace.vmDirectory('ci')}/run.log`, 'utf8') === 'from tart True\n', {
      timeout: 20_000,
    });
  });

  it("says Tart's reason, and ends with its exit code", async () => {
    const mac = new PretendedMac(workplace);
    mac.plant('tart', '#!/bin/sh\necho "The number of VMs exceeds the system limit" >&2\nexit 3\n');
    expect(await mac.run('run', '--detach', 'ci')).toEqual({
      exitCode: 3,
      stdout: '',
      stderr: 'The number of VMs exceeds the system limit\n',
    });
    expect(existsSync(`${workplace.vmDirectory('ci')}/run.log`)).toBe(false);
  });
});

function holdersOf(directory: string): number[] {
  const isOfIt = (pid: string): boolean => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(directory);
    } catch {
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && isOfIt(pid))
    .map(Number);
}

describe('the words of run that are ours', () => {
  it.each([
    [
      ['run', '--detach', 'ci', '--wait-for', 'ssh', '--disk', 'a'],
      ['run', 'ci', '--disk', 'a'],
    ],
    [
      ['run', '--timeout=5', '--wait-for=tcp:80', 'ci'],
      ['run', 'ci'],
    ],
    [
      ['run', '--rm', 'image', '--net-host', '--', 'ls', '--detach'],
      ['run', 'image', '--net-host'],
    ],
    [
      ['run', '--dir=--rm:/x', 'ci', '--timeout'],
      ['run', '--dir=--rm:/x', 'ci'],
    ],
  ])('are taken out of %j', (argv, kept) => {
    expect(withoutLifeFlags(argv)).toEqual(kept);
  });

  it('lead to the VM that was made of an image', () => {
    const argv = [
      'run',
      '--lazy=auto',
      '--name',
      'ci',
      '--detach',
      '--disk',
      'org/data',
      'host/org/vm:1',
      '--net-host',
    ];
    expect(wordsFor(argv, 'host/org/vm:1', 'ci')).toEqual(['run', '--disk', 'org/data', 'ci', '--net-host']);
  });

  it.each(['ip ', 'TCP:1', 'tcp:', 'tcp:65536', 'tcp:1a', ''])('do not take %j for something to wait for', (text) => {
    expect(() => parseCondition(text)).toThrow('is nothing to wait for');
  });

  it('wait for ports of the guest that are reached alone', () => {
    const forward = { protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, guestPort: 80 } as const;
    expect(() => requireWay({ kind: 'tcp', port: 80 }, [forward])).not.toThrow();
    expect(() => requireWay({ kind: 'tcp', port: 80 }, [{ ...forward, hostPort: 0 }])).not.toThrow();
    expect(() => requireWay({ kind: 'tcp', port: 22 }, [])).not.toThrow();
    expect(() => requireWay({ kind: 'tcp', port: 80 }, undefined)).not.toThrow();
    expect(() => requireWay({ kind: 'tcp', port: 80 }, [{ ...forward, protocol: 'udp' }])).toThrow(
      'nothing leads to port 80',
    );
  });
});
