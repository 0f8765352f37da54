import { existsSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { EarlyFsync } from '../../../src/fs/disk/early-fsync.ts';
import { temporaryDirectory } from '../../support/directory.ts';

it('a file that was fsynced while it was written is fine at its end', async () => {
  const file = path.join(temporaryDirectory(), 'disk');
  writeFileSync(file, 'x');
  const fsync = await EarlyFsync.of(file);
  await expect(fsync.end()).resolves.toBeUndefined();
});

it('a fsync that fails is told at the end, although the system would not say it twice (D9)', async () => {
  const file = path.join(temporaryDirectory(), 'disk');
  writeFileSync(file, 'x');
  const probe = await open(file);
  const prototype = Object.getPrototypeOf(probe) as typeof probe;
  await probe.close();
  const failing = vi
    .spyOn(prototype, 'datasync')
    .mockRejectedValueOnce(Object.assign(new Error('EIO'), { code: 'EIO' }));
  onTestFinished(() => failing.mockRestore());
  const fsync = await EarlyFsync.of(file);
  await fsync.fsyncNow();
  expect(() => fsync.check()).toThrow(
    expect.objectContaining({ facts: expect.objectContaining({ subject: file }) as object }),
  );
  await expect(fsync.end()).rejects.toMatchObject({ code: 'DISK_IO', facts: { subject: file } });
  // The next try must not believe what is in the memory of the system.
  expect(existsSync(file)).toBe(false);
});
