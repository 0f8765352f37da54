import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findLockOwner } from '../../src/fs/lock/lock-owner.ts';
import { beginningOf, writeRunRecord } from '../../src/home/vms/run-record.ts';
import { LocalName } from '../../src/names/local-name.ts';
import { suspendVm } from '../../src/run/suspend.ts';
import type { Session } from '../../src/session/session.ts';
import { stopVm } from '../../src/vm/stop.ts';
import { freshSession, plantVm } from '../support/home.ts';
import { runVm } from '../support/running-vm.ts';

const vm = LocalName.parse('vm');

function plant(): { session: Session; directory: string } {
  const session = freshSession();
  const directory = `${session.home.vmsDirectory}/vm`;
  plantVm(directory);
  return { session, directory };
}

describe.runIf(process.platform === 'linux')('a running VM', () => {
  it('ends when its program is asked to, and can be deleted at once', async () => {
    const { session, directory } = plant();
    const running = await runVm(directory);
    expect(await stopVm(session, vm, { timeoutMs: 20_000 })).toBe('ended');
    await session.vms.delete(vm);
    expect(await running.ended).toBe(0);
    expect(existsSync(directory)).toBe(false);
  });

  it('is killed when its program does not listen, and can be deleted at once (tart-cli §7 #24)', async () => {
    const { session, directory } = plant();
    const running = await runVm(directory, 'ignores');
    expect(await stopVm(session, vm, { timeoutMs: 0 })).toBe('killed');
    await session.vms.delete(vm);
    expect(await running.ended).toBe('SIGKILL');
  });

  it('ends also where no list of locks can be read, as on macOS', async () => {
    const { session, directory } = plant();
    const mac = freshSession({ home: session.home, platform: 'darwin' });
    const running = await runVm(directory);
    expect(await stopVm(mac, vm, { timeoutMs: 20_000 })).toBe('ended');
    expect(await running.ended).toBe(0);
  });

  it('of another user is told apart from one that does not end', async () => {
    const { session, directory } = plant();
    const { pid } = await runVm(directory);
    const sent: unknown[] = [];
    const stranger = freshSession({
      home: session.home,
      sendSignal: (...each) => {
        sent.push(each);
        throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
      },
    });
    await expect(stopVm(stranger, vm, { timeoutMs: 0 })).rejects.toMatchObject({
      code: 'BUSY',
      message: `not allowed to stop process ${pid}, which runs the VM "vm"`,
    });
    expect(sent).toEqual([[pid, 'SIGINT']]);
  });

  it('is left alone when the signal of the caller fires while waiting', async () => {
    const { directory, session } = plant();
    await runVm(directory, 'ignores');
    const patient = freshSession({ home: session.home, signal: AbortSignal.timeout(150) });
    await expect(stopVm(patient, vm, { timeoutMs: 60_000 })).rejects.toThrow('aborted');
    expect(await session.vms.state(await session.vms.require(vm))).toBe('running');
  });

  it('is not one that another command holds: that is left alone (tart-cli §7 #25)', async () => {
    const { session } = plant();
    const lock = await session.vms.hold(await session.vms.require(vm));
    await expect(stopVm(session, vm, { timeoutMs: 0 })).rejects.toMatchObject({ code: 'BUSY' });
    await lock.release();
  });

  it('that has not said yet that it is one is waited for: its lock is seen before (run-fleet-demand §8, 7)', async () => {
    const { session, directory } = plant();
    const lock = await session.vms.hold(await session.vms.require(vm));
    const sent: unknown[] = [];
    const asking = freshSession({
      home: session.home,
      sendSignal: (...each) => {
        sent.push(each);
        void lock.release();
      },
    });
    const stopping = stopVm(asking, vm, { timeoutMs: 20_000 });
    await writeRunRecord(directory, {
      version: 1,
      pid: process.pid,
      began: beginningOf(process.pid) ?? '',
      network: { kind: 'bridged', mac: '52:55:0a:00:02:01' },
      startedAt: 0,
    });
    expect(await stopping).toBe('ended');
    expect(sent).toEqual([[process.pid, 'SIGINT']]);
  });

  it('is not any process that the record names: only one that has the VM open is sent signals (S77)', async () => {
    const { session, directory } = plant();
    // Of a member of a group that shares the home: a lock, and a record of what is not theirs.
    const lock = await session.vms.hold(await session.vms.require(vm));
    const other = spawn('sleep', ['60'], { stdio: 'ignore' });
    onTestFinished(() => void other.kill('SIGKILL'));
    const pid = other.pid ?? 0;
    await writeRunRecord(directory, {
      version: 1,
      pid,
      began: beginningOf(pid) ?? '',
      network: { kind: 'bridged', mac: '52:55:0a:00:02:01' },
      startedAt: 0,
    });
    const sent: unknown[] = [];
    const asking = freshSession({ home: session.home, sendSignal: (...each) => void sent.push(each) });
    await expect(stopVm(asking, vm, { timeoutMs: 0 })).rejects.toMatchObject({ code: 'BUSY' });
    await expect(suspendVm(asking, vm)).rejects.toMatchObject({ code: 'BUSY' });
    expect(sent).toEqual([]);
    await lock.release();
  });
});

describe('a VM that does not run', () => {
  it('loses its saved state when it is suspended', async () => {
    const { session, directory } = plant();
    writeFileSync(`${directory}/state.vzvmsave`, 'memory');
    expect(await stopVm(session, vm, { timeoutMs: 0 })).toBe('discarded');
    expect(await session.vms.state(await session.vms.require(vm))).toBe('stopped');
  });

  it('cannot be stopped again, and one that is missing cannot be either', async () => {
    const { session } = plant();
    await expect(stopVm(session, vm, { timeoutMs: 0 })).rejects.toMatchObject({ code: 'VM_NOT_RUNNING' });
    await expect(stopVm(session, LocalName.parse('other'), { timeoutMs: 0 })).rejects.toMatchObject({
      code: 'VM_NOT_FOUND',
    });
  });
});

describe.runIf(process.platform === 'linux')('the owner of a lock', () => {
  it('is the process that took it, for this file only', async () => {
    const { session, directory } = plant();
    const other = `${session.home.vmsDirectory}/other`;
    plantVm(other);
    const { pid } = await runVm(directory);
    expect(await findLockOwner(`${directory}/config.json`, 'linux')).toEqual({ kind: 'process', pid });
    expect(await findLockOwner(`${other}/config.json`, 'linux')).toEqual({ kind: 'none' });
    expect(await findLockOwner(`${directory}/disk.img`, 'linux')).toEqual({ kind: 'none' });
  });
});
