import { execFileSync } from 'node:child_process';
import { closeSync, linkSync, lstatSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { measureFile, measureFolder } from '../../../src/home/prune/footprint.ts';
import { sumShared } from '../../../src/fs/disk/shared-block.ts';
import { lookAtVmFolder } from '../../../src/home/vm-folder.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { digestOf, freshSession, plantImage } from '../../support/home.ts';

const MIB = 1024 * 1024;

/** What `filefrag -v -b512` prints of a file on Btrfs that shares its second and third extent. */
const LISTING = `Filesystem type is: 9123683e
File size of disk.img is 94208 (184 blocks of 512 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..      23:      26640..     26663:     24:
   1:       24..     151:      30720..     30847:    128:      26664: shared
   2:      160..     183:      40960..     40983:     24:      30856: last,shared,eof
disk.img: 3 extents found
`;

describe('the footprint of a file', () => {
  test('counts its blocks and not its holes', async () => {
    const file = `${temporaryFolder()}/disk.img`;
    writeFileSync(file, Buffer.alloc(MIB, 1));
    truncateSync(file, 64 * MIB);
    const { allocatedBytes, ...rest } = await measureFile(file);
    expect(allocatedBytes).toBe(lstatSync(file).blocks * 512);
    expect(rest).toMatchObject({ logicalBytes: 64 * MIB });
  });

  test('that has another name is shared, all of it: deleting one name frees nothing', async () => {
    const folder = temporaryFolder();
    writeFileSync(`${folder}/one`, Buffer.alloc(MIB, 1));
    linkSync(`${folder}/one`, `${folder}/two`);
    expect(await measureFile(`${folder}/one`)).toMatchObject({ sharedBytes: MIB, reclaimableBytes: 0 });
  });

  test('that goes while it is measured is nothing (P34)', async () => {
    const folder = temporaryFolder();
    const file = `${folder}/disk.img`;
    writeFileSync(file, Buffer.alloc(MIB, 1));
    // All threads that look at files wait for a writer of a pipe: the second look comes after the removal.
    execFileSync('mkfifo', [`${folder}/pipe`]);
    const waiting = Array.from({ length: 8 }, async () => (await open(`${folder}/pipe`, 'r')).close());
    const measured = measureFile(file);
    rmSync(file);
    const writer = openSync(`${folder}/pipe`, 'r+');
    await Promise.all(waiting);
    closeSync(writer);
    expect(await measured).toMatchObject({ logicalBytes: 0, allocatedBytes: 0 });
  });

  test('that is missing is nothing', async () => {
    expect(await measureFile('/nowhere/at-all')).toEqual({
      logicalBytes: 0,
      allocatedBytes: 0,
      sharedBytes: 0,
      reclaimableBytes: 0,
    });
  });
});

describe('extents that are shared', () => {
  test('are summed up, in bytes', () => {
    expect(sumShared(LISTING)).toBe((128 + 24) * 512);
  });

  test('are none where none is listed', () => {
    expect(
      sumShared('Filesystem type is: ef53\n   0:        0..      23:  0..  0:      0:   unknown_loc,delalloc\n'),
    ).toBe(0);
  });
});

test('the footprint of an image is that of its files, of which a hard link shares one', async () => {
  const session = freshSession();
  const folder = plantImage(session, 'registry.corp:8221/macos/base', digestOf('a'));
  writeFileSync(`${folder}/disk.img`, Buffer.alloc(MIB, 1));
  linkSync(`${folder}/disk.img`, `${temporaryFolder()}/kept`);
  const look = lookAtVmFolder(folder);
  const allocatedBytes = look?.allocatedBytes ?? 0;
  expect(await measureFolder(session, folder)).toEqual({
    logicalBytes: look?.logicalBytes,
    allocatedBytes,
    sharedBytes: MIB,
    reclaimableBytes: allocatedBytes - MIB,
  });
});
