import { readdirSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { commitLazyDisk } from '../../../src/home/vms/lazy-files.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { failFsync } from '../../support/fsync-fault.ts';

it.each([
  ['ENOSPC', 'DISK_FULL'],
  ['EDQUOT', 'DISK_FULL'],
  ['EROFS', 'DISK_READONLY'],
  ['EIO', 'DISK_IO'],
])(
  'a whole disk whose name cannot be made lasting has none, as its guest goes on without: %s (D40)',
  async (system, code) => {
    const directory = temporaryDirectory();
    writeFileSync(`${directory}/.lazy-disk.img`, 'whole');
    await failFsync('directories', system);
    await expect(commitLazyDisk(directory)).rejects.toMatchObject({ code });
    expect(readdirSync(directory)).toStrictEqual(['.lazy-disk.img']);
  },
);

it('a whole disk that is on the disk gets its name', async () => {
  const directory = temporaryDirectory();
  writeFileSync(`${directory}/.lazy-disk.img`, 'whole');
  await commitLazyDisk(directory);
  expect(readdirSync(directory)).toStrictEqual(['disk.img']);
});
