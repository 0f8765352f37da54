import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FileLock } from '../../../src/fs/lock/lock.ts';
import { temporaryDirectory } from '../../support/directory.ts';

const exclusively = { mode: 'exclusive', wait: false } as const;

/** Another process that locks a file by `flock(2)`, as Tart does, says so, and keeps it until it is killed. */
async function holder(file: string): Promise<ReturnType<typeof spawn>> {
  // Not forked: what is killed is what has the lock.
  const command = ['--no-fork', '--exclusive', file, 'sh', '-c', 'echo locked; exec sleep 60'];
  const child = spawn('flock', command, { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

describe('a file lock', () => {
  it('is exclusive within one process too', async () => {
    const file = `${temporaryDirectory()}/a.lock`;
    const first = await FileLock.acquire(file, exclusively);
    expect(await FileLock.acquire(file, exclusively)).toBeUndefined();
    await first?.release();
    const second = await FileLock.acquire(file, exclusively);
    expect(second).toBeDefined();
    await second?.release();
  });

  it('is shared by readers and kept from writers', async () => {
    const file = `${temporaryDirectory()}/a.lock`;
    const one = await FileLock.acquire(file, { mode: 'shared', wait: false });
    const two = await FileLock.acquire(file, { mode: 'shared', wait: false });
    expect(two).toBeDefined();
    expect(await FileLock.acquire(file, exclusively)).toBeUndefined();
    await one?.release();
    await two?.release();
  });

  it('passes to a waiter when its holder is killed, and tells the waiter that it waits (P21)', async () => {
    const file = `${temporaryDirectory()}/a.lock`;
    const child = await holder(file);
    const lock = await FileLock.acquire(file, {
      mode: 'exclusive',
      wait: true,
      onWait: () => void child.kill('SIGKILL'),
    });
    expect(lock).toBeDefined();
    expect(child.killed).toBe(true);
    await lock?.release();
  });

  it('is not kept by a child of its holder (P23)', async () => {
    const file = `${temporaryDirectory()}/lock`;
    const lock = await FileLock.acquire(file, { mode: 'exclusive', wait: false });
    const child = spawn('sleep', ['60'], { stdio: 'ignore', detached: true });
    onTestFinished(() => void child.kill());
    await once(child, 'spawn');
    await lock?.release();
    const next = await FileLock.acquire(file, { mode: 'exclusive', wait: false });
    expect(next).toBeDefined();
    await next?.release();
  });

  it('follows the path when another process deletes the file (P22)', async () => {
    const file = `${temporaryDirectory()}/a.lock`;
    const old = await FileLock.acquire(file, exclusively);
    rmSync(file);
    const fresh = await FileLock.acquire(file, exclusively);
    expect(fresh).toBeDefined();
    expect(await FileLock.acquire(file, exclusively)).toBeUndefined();
    await old?.release();
    await fresh?.release();
  });

  it('stops waiting when it is interrupted', async () => {
    const file = `${temporaryDirectory()}/a.lock`;
    const held = await FileLock.acquire(file, exclusively);
    const controller = new AbortController();
    const waiting = FileLock.acquire(file, {
      mode: 'exclusive',
      wait: true,
      signal: controller.signal,
      onWait: () => controller.abort(new Error('enough')),
    });
    await expect(waiting).rejects.toThrow('enough');
    await held?.release();
  });
});
