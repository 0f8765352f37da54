import { mkdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { canRenameBetween, parseMountPoints } from '../../src/fs/mount.ts';
import { temporaryDirectory } from '../support/directory.ts';

it('mount points are read from the list of the kernel, odd names included', () => {
  const list = [
    '22 28 0:20 / /proc rw,nosuid shared:5 - proc proc rw',
    '31 28 7:0 / /mnt/a\\040disk\\134 rw,relatime - ext4 /dev/loop0 rw',
    '40 28 254:1 /volumes/vms /root/.tart/vms rw,relatime master:1 - ext4 /dev/vda rw',
    '',
  ].join('\n');
  expect(parseMountPoints(list)).toEqual(['/proc', '/mnt/a disk\\', '/root/.tart/vms']);
});

it('between directories of one place one can rename, between places not', async () => {
  const directory = temporaryDirectory();
  mkdirSync(`${directory}/one`);
  mkdirSync(`${directory}/other`);
  expect(await canRenameBetween(`${directory}/one`, `${directory}/other`)).toBe(true);
  expect(await canRenameBetween(directory, '/proc')).toBe(false);
});

it('a directory that is not there is an error', async () => {
  await expect(canRenameBetween(temporaryDirectory(), '/nowhere/at/all')).rejects.toMatchObject({ code: 'DISK_IO' });
});
