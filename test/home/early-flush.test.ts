import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { EarlyFlush } from '../../src/home/early-flush.ts';
import { temporaryFolder } from '../support/folder.ts';

it('a file that was flushed while it was written is fine at its end', async () => {
  const file = path.join(temporaryFolder(), 'disk');
  writeFileSync(file, 'x');
  const flush = await EarlyFlush.of(file);
  await expect(flush.end()).resolves.toBeUndefined();
});

it('a flush that fails is told at the end, although the system would not say it twice (D9)', async () => {
  const pipe = path.join(temporaryFolder(), 'pipe');
  // No disk is behind a pipe: flushing it fails.
  execFileSync('mkfifo', [pipe]);
  const flush = await EarlyFlush.of(pipe);
  await flush.flushNow();
  expect(() => flush.check()).toThrow(
    expect.objectContaining({ facts: expect.objectContaining({ subject: pipe }) as object }),
  );
  await expect(flush.end()).rejects.toMatchObject({
    code: expect.stringMatching(/^DISK_/) as string,
    facts: { subject: pipe },
  });
  // The next try must not believe what is in the memory of the system.
  expect(existsSync(pipe)).toBe(false);
});
