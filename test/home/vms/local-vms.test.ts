import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findLockOwner } from '../../../src/fs/lock/lock-owner.ts';
import { hasWriteLock } from '../../../src/fs/lock/write-lock.ts';
import { Scratch } from '../../../src/home/scratch.ts';
import { LocalName } from '../../../src/names/local-name.ts';
import type { Session } from '../../../src/session/session.ts';
import { freshSession, plantVm } from '../../support/home.ts';
import { runVm } from '../../support/running-vm.ts';

function vm(session: Session, name: string, disk = 'disk'): string {
  const directory = `${session.home.vmsDirectory}/${name}`;
  plantVm(directory, disk);
  return directory;
}

async function scratchVm(session: Session, disk: string): Promise<Scratch> {
  const scratch = await Scratch.create(session.home, process.platform);
  plantVm(scratch.directory, disk);
  return scratch;
}

const name = (text: string): LocalName => LocalName.parse(text);

describe.runIf(process.platform === 'linux')('a VM that a program runs', () => {
  it('is running, whichever process holds the lock, and is neither deleted, renamed, replaced nor pushed (tart-cli §7 #9)', async () => {
    const session = freshSession();
    const directory = vm(session, 'busy');
    await runVm(directory);
    const busy = await session.vms.require(name('busy'));
    expect(await session.vms.state(busy)).toBe('running');
    await expect(session.vms.delete(name('busy'))).rejects.toMatchObject({ code: 'VM_RUNNING' });
    await expect(session.vms.rename(name('busy'), name('other'))).rejects.toMatchObject({ code: 'VM_RUNNING' });
    await expect(session.vms.hold(busy)).rejects.toMatchObject({ code: 'BUSY' });
    const scratch = await scratchVm(session, 'new');
    await expect(session.vms.publish(scratch, name('busy'))).rejects.toMatchObject({ code: 'VM_RUNNING' });
    await scratch.dispose();
    expect(readFileSync(`${directory}/disk.img`, 'utf8')).toBe('disk');
  });
});

describe.runIf(process.platform === 'linux')('a VM that another command is at work on', () => {
  it('is not to be stopped: what helps is to wait', async () => {
    const session = freshSession();
    vm(session, 'pushed');
    const lock = await session.vms.hold(await session.vms.require(name('pushed')));
    const error = await session.vms.delete(name('pushed')).catch((cause: unknown) => cause);
    expect(error).toMatchObject({
      code: 'VM_RUNNING',
      message: 'another command is at work on the VM "pushed"',
      facts: { next: { kind: 'wait-and-run-again' }, retryable: true },
    });
    await expect(session.vms.rename(name('pushed'), name('other'))).rejects.toMatchObject({ code: 'VM_RUNNING' });
    const scratch = await scratchVm(session, 'new');
    await expect(session.vms.publish(scratch, name('pushed'))).rejects.toMatchObject({ code: 'VM_RUNNING' });
    await scratch.dispose();
    await lock.release();
    await session.vms.delete(name('pushed'));
  });
});

describe.runIf(process.platform === 'linux')('asking the kernel by perl, as on macOS', () => {
  it('finds the classic lock of another process, and none where there is none', async () => {
    const session = freshSession();
    const [busy, free] = [vm(session, 'busy'), vm(session, 'free')];
    const { pid } = await runVm(busy);
    expect(await findLockOwner(`${busy}/config.json`, 'darwin')).toEqual({ kind: 'process', pid });
    expect(await findLockOwner(`${free}/config.json`, 'darwin')).toEqual({ kind: 'none' });
    expect(await findLockOwner(`${free}/none.json`, 'darwin')).toEqual({ kind: 'none' });
    expect(await hasWriteLock(`${busy}/config.json`, 'darwin')).toBe(true);
    expect(await hasWriteLock(`${free}/config.json`, 'darwin')).toBe(false);
  });

  it('finds the lock of a command of ours, which has no owner', async () => {
    const session = freshSession();
    const pushed = vm(session, 'pushed');
    const lock = await session.vms.hold(await session.vms.require(name('pushed')));
    expect(await findLockOwner(`${pushed}/config.json`, 'darwin')).toEqual({ kind: 'unnamed' });
    await lock.release();
  });
});

describe('the state of a VM', () => {
  it('is stopped, or suspended when there is a saved state', async () => {
    const session = freshSession();
    const directory = vm(session, 'a');
    expect(await session.vms.state(await session.vms.require(name('a')))).toBe('stopped');
    writeFileSync(`${directory}/state.vzvmsave`, '');
    expect(await session.vms.state(await session.vms.require(name('a')))).toBe('suspended');
  });

  it('looking at it twice at once does not make it running', async () => {
    const session = freshSession();
    vm(session, 'a');
    const a = await session.vms.require(name('a'));
    expect(await Promise.all(Array.from({ length: 8 }, async () => session.vms.state(a)))).toEqual(
      Array(8).fill('stopped'),
    );
  });

  it('while we hold it, others see it running', async () => {
    const session = freshSession();
    vm(session, 'a');
    const a = await session.vms.require(name('a'));
    const lock = await session.vms.hold(a);
    expect(await session.vms.state(a)).toBe('running');
    await lock.release();
    expect(await session.vms.state(a)).toBe('stopped');
  });
});

describe('publishing a VM', () => {
  it('replaces a stopped one whole, and leaves nothing in tmp', async () => {
    const session = freshSession();
    const directory = vm(session, 'a', 'old');
    writeFileSync(`${directory}/state.vzvmsave`, '');
    const scratch = await scratchVm(session, 'new');
    await session.vms.publish(scratch, name('a'));
    await scratch.dispose();
    expect(readFileSync(`${directory}/disk.img`, 'utf8')).toBe('new');
    expect(existsSync(`${directory}/state.vzvmsave`)).toBe(false);
    expect(existsSync(`${directory}/.lock`)).toBe(false);
    expect(existsSync(scratch.directory)).toBe(false);
  });

  it('never takes the name under which work on VMs is done', async () => {
    const session = freshSession();
    const scratch = await scratchVm(session, 'new');
    await expect(session.vms.publish(scratch, name('.scratch'))).rejects.toMatchObject({ code: 'USAGE' });
    await scratch.dispose();
    vm(session, 'a');
    await expect(session.vms.rename(name('a'), name('.scratch'))).rejects.toMatchObject({ code: 'USAGE' });
    expect(session.vms.list().map((each) => each.name.text)).toEqual(['a']);
  });

  it('never swallows a directory that is not a VM, not even an empty one (D24)', async () => {
    const session = freshSession();
    mkdirSync(`${session.home.vmsDirectory}/mine`, { recursive: true });
    const scratch = await scratchVm(session, 'new');
    await expect(session.vms.publish(scratch, name('mine'))).rejects.toMatchObject({ code: 'VM_EXISTS' });
    await scratch.dispose();
    expect(existsSync(`${session.home.vmsDirectory}/mine`)).toBe(true);
    expect(existsSync(`${session.home.vmsDirectory}/mine/disk.img`)).toBe(false);
  });
});

describe('a VM that is not there', () => {
  it('is VM_NOT_FOUND, and one with files missing says so', async () => {
    const session = freshSession();
    await expect(session.vms.require(name('none'))).rejects.toMatchObject({ code: 'VM_NOT_FOUND' });
    mkdirSync(`${session.home.vmsDirectory}/half`, { recursive: true });
    writeFileSync(`${session.home.vmsDirectory}/half/config.json`, '{}');
    await expect(session.vms.require(name('half'))).rejects.toMatchObject({ code: 'VM_INVALID' });
    expect(session.vms.list()).toEqual([]);
  });

  it('renaming onto an existing VM is refused', async () => {
    const session = freshSession();
    vm(session, 'a');
    vm(session, 'b', 'b');
    await expect(session.vms.rename(name('a'), name('b'))).rejects.toMatchObject({ code: 'VM_EXISTS' });
    expect(readFileSync(`${session.home.vmsDirectory}/b/disk.img`, 'utf8')).toBe('b');
  });
});

describe('scratch directories', () => {
  it.each(['tmp', 'vms/.scratch'])(
    'of killed commands are taken away, those in use and those of others are not: %s (tart-cli §7 #15)',
    async (place) => {
      const session = freshSession();
      const inUse = await Scratch.create(session.home, process.platform);
      const directory = `${session.home.root}/${place}`;
      const left = `${directory}/tartlet-left`;
      mkdirSync(left, { recursive: true });
      const foreign = `${directory}/f5db2a7da390e837941ccd2717ff89ae`;
      mkdirSync(foreign);
      const next = await Scratch.create(session.home, process.platform);
      expect(existsSync(left)).toBe(false);
      expect(existsSync(foreign)).toBe(true);
      expect(existsSync(inUse.directory)).toBe(true);
      await inUse.dispose();
      await next.dispose();
    },
  );
});
