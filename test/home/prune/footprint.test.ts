import { execFileSync } from 'node:child_process';
import { closeSync, linkSync, lstatSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { measureFile, measureDirectory } from '../../../src/home/prune/footprint.ts';
import { parseShared } from '../../../src/fs/disk/shared-block.ts';
import { lookAtVmDirectory } from '../../../src/home/vm-directory.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { digestOf, freshSession, plantImage } from '../../support/home.ts';

function sumShared(listing: string): number {
  return parseShared(listing).reduce((sum, { start, end }) => sum + end - start, 0);
}

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
  it('counts its blocks and not its holes', async () => {
    const file = `${temporaryDirectory()}/disk.img`;
    writeFileSync(file, Buffer.alloc(MIB, 1));
    truncateSync(file, 64 * MIB);
    const { allocatedBytes, ...rest } = await measureFile(file);
    expect(allocatedBytes).toBe(lstatSync(file).blocks * 512);
    expect(rest).toMatchObject({ logicalBytes: 64 * MIB });
  });

  it('that has another name is shared, all of it: deleting one name frees nothing', async () => {
    const directory = temporaryDirectory();
    writeFileSync(`${directory}/one`, Buffer.alloc(MIB, 1));
    linkSync(`${directory}/one`, `${directory}/two`);
    expect(await measureFile(`${directory}/one`)).toMatchObject({ sharedBytes: MIB, reclaimableBytes: 0 });
  });

  it('that goes while it is measured is nothing (P34)', async () => {
    const directory = temporaryDirectory();
    const file = `${directory}/disk.img`;
    writeFileSync(file, Buffer.alloc(MIB, 1));
    // All threads that look at files wait for a writer of a pipe: the second look comes after the removal.
    execFileSync('mkfifo', [`${directory}/pipe`]);
    const waiting = Array.from({ length: 8 }, async () => (await open(`${directory}/pipe`, 'r')).close());
    const measured = measureFile(file);
    rmSync(file);
    const writer = openSync(`${directory}/pipe`, 'r+');
    await Promise.all(waiting);
    closeSync(writer);
    expect(await measured).toMatchObject({ logicalBytes: 0, allocatedBytes: 0 });
  });

  it('that is missing is nothing', async () => {
    expect(await measureFile('/nowhere/at-all')).toEqual({
      logicalBytes: 0,
      allocatedBytes: 0,
      sharedBytes: 0,
      reclaimableBytes: 0,
    });
  });
});

describe('extents that are shared', () => {
  it('are summed up, in bytes', () => {
    expect(sumShared(LISTING)).toBe((128 + 24) * 512);
  });

  it('are none where none is listed', () => {
    expect(
      sumShared('Filesystem type is: ef53\n   0:        0..      23:  0..  0:      0:   unknown_loc,delalloc\n'),
    ).toBe(0);
  });
});

it('the footprint of an image is that of its files, of which a hard link shares one', async () => {
  const session = freshSession();
  const directory = plantImage(session, 'registry.corp:8221/macos/base', digestOf('a'));
  writeFileSync(`${directory}/disk.img`, Buffer.alloc(MIB, 1));
  linkSync(`${directory}/disk.img`, `${temporaryDirectory()}/kept`);
  const look = lookAtVmDirectory(directory);
  const allocatedBytes = look?.allocatedBytes ?? 0;
  expect(await measureDirectory(session, directory)).toEqual({
    logicalBytes: look?.logicalBytes,
    allocatedBytes,
    sharedBytes: MIB,
    reclaimableBytes: allocatedBytes - MIB,
  });
});
