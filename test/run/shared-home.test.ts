import { execFile } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { whileServed } from '../../src/run/agent/control-socket.ts';
import { plantVm } from '../support/home.ts';
import { leaveOut } from '../support/left-out.ts';
import { playQemuAgent } from '../support/played-qemu-agent.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Workplace } from '../support/real-command.ts';
import { runVm } from '../support/running-vm.ts';

const GROUP = 4711;
const BEN = 5002;

const cleanup = new Cleanup();
afterEach(async () => cleanup.run());

interface Ran {
  readonly exitCode: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command as a user of the group. */
async function runAs(place: Workplace, ...args: string[]): Promise<Ran> {
  const privileges = [`--reuid=${BEN}`, `--regid=${BEN}`, `--groups=${GROUP}`];
  return new Promise((resolve) => {
    execFile(
      'setpriv',
      [...privileges, process.execPath, COMMAND, ...args],
      { env: place.environment, cwd: '/' },
      (error, stdout, stderr) => resolve({ exitCode: error === null ? 0 : error.code, stdout, stderr }),
    );
  });
}

/** A VM in a home that a group shares, which root runs. */
async function runningVm(): Promise<Workplace> {
  const place = new Workplace(cleanup, { isFresh: true });
  const directory = place.vmDirectory('ci');
  chmodSync(place.directory, 0o755);
  mkdirSync(directory, { recursive: true });
  for (const each of [place.home, `${place.home}/vms`, directory]) {
    chownSync(each, 0, GROUP);
    chmodSync(each, 0o2775);
  }
  plantVm(directory);
  for (const file of ['config.json', 'disk.img', 'nvram.bin']) {
    chownSync(`${directory}/${file}`, 0, GROUP);
    chmodSync(`${directory}/${file}`, 0o664);
  }
  await runVm(directory);
  await playQemuAgent(`${directory}/qga.sock`, ({ execute }) => ({
    return: execute === 'guest-exec' ? { pid: 1 } : { exited: true, exitcode: 5, 'out-data': 'aGk=' },
  }));
  // As QEMU makes it (`qemu-process.ts`).
  chmodSync(`${directory}/qga.sock`, 0o700);
  let over: () => void = () => undefined;
  const lasts = new Promise<void>((resolve) => (over = resolve));
  const served = whileServed(
    directory,
    { vsock: undefined, address: undefined, mac: '52:54:00:12:34:56', tell: () => undefined },
    lasts,
  );
  cleanup.add(async () => {
    over();
    await served;
  });
  while (!existsSync(`${directory}/control.sock`)) await new Promise((resolve) => setImmediate(resolve));
  return place;
}

it('in a home that a group shares, members run commands in a VM that another one runs (S69)', async (context) => {
  leaveOut(context, process.geteuid?.() !== 0 || process.platform !== 'linux', 'only root of Linux can be other users');
  const place = await runningVm();
  expect(await runAs(place, 'exec', 'ci', 'true')).toEqual({
    exitCode: 5,
    stdout: 'hi',
    stderr: '',
  });
});

it('where a member may not talk to the guest, that is said, and not that there is no agent', async (context) => {
  leaveOut(context, process.geteuid?.() !== 0 || process.platform !== 'linux', 'only root of Linux can be other users');
  const place = await runningVm();
  // As a program that runs the VM leaves it which thinks of no group.
  chmodSync(`${place.vmDirectory('ci')}/control.sock`, 0o600);
  const refused = {
    exitCode: 1,
    stdout: '',
    stderr:
      'error[GUEST_UNREACHABLE]: not allowed to run commands in the VM "ci": another user runs it.\n' +
      'next: run the command as the user who started the VM\n',
  };
  expect(await runAs(place, 'exec', 'ci', 'true')).toEqual(refused);
  rmSync(`${place.vmDirectory('ci')}/control.sock`);
  expect(await runAs(place, 'exec', 'ci', 'true')).toEqual(refused);
});
