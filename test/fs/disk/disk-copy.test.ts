import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, statSync, truncateSync, writeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { copyDisk, copySparsely } from '../../../src/fs/disk/disk-copy.ts';
import { temporaryDirectory } from '../../support/directory.ts';

const MIB = 1024 * 1024;

/** A 256 MiB disk with 3 MiB of data at odd places. */
function sparseDisk(path: string): void {
  const fd = openSync(path, 'w');
  for (const at of [0, 100 * MIB + 13, 255 * MIB]) writeSync(fd, Buffer.alloc(MIB, 7), 0, MIB, at);
  closeSync(fd);
  truncateSync(path, 256 * MIB);
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}

describe('copying a sparse disk', () => {
  it.each([
    [
      'with the help of the system',
      async (from: string, to: string) => void (await copyDisk(from, to, { platform: process.platform })),
    ],
    ['by ourselves', async (from: string, to: string) => copySparsely(from, to)],
  ])('keeps every byte and never inflates it: %s (D14, D15)', async (_, copy) => {
    const directory = temporaryDirectory();
    sparseDisk(`${directory}/a`);
    await copy(`${directory}/a`, `${directory}/b`);
    const [a, b] = [statSync(`${directory}/a`), statSync(`${directory}/b`)];
    expect(b.size).toBe(a.size);
    expect(b.blocks).toBeLessThanOrEqual(a.blocks * 1.01);
    expect(await digest(`${directory}/b`)).toBe(await digest(`${directory}/a`));
  });

  it('never overwrites', async () => {
    const directory = temporaryDirectory();
    sparseDisk(`${directory}/a`);
    await copySparsely(`${directory}/a`, `${directory}/b`);
    await expect(copySparsely(`${directory}/a`, `${directory}/b`)).rejects.toMatchObject({ code: 'DISK_IO' });
  });
});
