import { mkdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { canRenameBetween, parseMountPoints } from '../../src/fs/mount.ts';
import { temporaryFolder } from '../support/folder.ts';

test('mount points are read from the list of the kernel, odd names included', () => {
  const list = [
    '22 28 0:20 / /proc rw,nosuid shared:5 - proc proc rw',
    '31 28 7:0 / /mnt/a\\040disk\\134 rw,relatime - ext4 /dev/loop0 rw',
    '40 28 254:1 /volumes/vms /root/.tart/vms rw,relatime master:1 - ext4 /dev/vda rw',
    '',
  ].join('\n');
  expect(parseMountPoints(list)).toEqual(['/proc', '/mnt/a disk\\', '/root/.tart/vms']);
});

test('between folders of one place one can rename, between places not', async () => {
  const folder = temporaryFolder();
  mkdirSync(`${folder}/one`);
  mkdirSync(`${folder}/other`);
  expect(await canRenameBetween(`${folder}/one`, `${folder}/other`)).toBe(true);
  expect(await canRenameBetween(folder, '/proc')).toBe(false);
});

test('a folder that is not there is an error', async () => {
  await expect(canRenameBetween(temporaryFolder(), '/nowhere/at/all')).rejects.toMatchObject({ code: 'DISK_IO' });
});
