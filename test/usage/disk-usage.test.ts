import { copyFileSync, constants, linkSync, mkdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { Home } from '../../src/home/home.ts';
import { measureTrees, unionBytes } from '../../src/home/prune/occupied.ts';
import { pinImage } from '../../src/home/images/pin.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { Session } from '../../src/session/session.ts';
import { diskUsage } from '../../src/usage/disk-usage.ts';
import { noise } from '../codec/disk-data.ts';
import { digestOf, freshSession, plantImage, plantVm } from '../support/home.ts';
import { MountedDisk, needsMountedDisk } from '../support/mounted-disk.ts';
import { Cleanup } from '../support/real-cleanup.ts';

const MIB = 1024 * 1024;
const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

describe('what is occupied', () => {
  it('is told of each image with its tags, and of each VM', async () => {
    const session = freshSession();
    const image = plantImage(session, 'r.example/team/vm', digestOf('a'), '1', 'latest');
    writeFileSync(`${image}/disk.img`, noise(MIB));
    plantImage(session, 'r.example/team/other', digestOf('b'));
    plantVm(`${session.home.vmsDirectory}/ci`, noise(2 * MIB));
    writeFileSync(`${session.home.vmsDirectory}/ci/state.qemu`, noise(MIB));
    await pinImage(session, RemoteName.parse('r.example/team/vm:1'), true);

    const usage = await diskUsage(session);
    expect(usage).toMatchObject({ schema: 'tartlet.df/v1', home: session.home.root });
    expect(usage.images.map(({ name, tags, pinned }) => ({ name, tags, pinned }))).toEqual([
      { name: `r.example/team/other@${digestOf('b')}`, tags: [], pinned: false },
      {
        name: `r.example/team/vm@${digestOf('a')}`,
        tags: ['r.example/team/vm:1', 'r.example/team/vm:latest'],
        pinned: true,
      },
    ]);
    const [, pinned] = usage.images;
    expect(pinned?.allocatedBytes).toBeGreaterThanOrEqual(MIB);
    expect(pinned?.reclaimableBytes).toBe(0);
    expect(usage.vms).toMatchObject([{ name: 'ci', state: expect.any(String) as string }]);
    // With the memory that it waits in.
    expect(usage.vms[0]?.logicalBytes).toBeGreaterThan(3 * MIB);
    const sum = [...usage.images, ...usage.vms].reduce((all, { allocatedBytes }) => all + allocatedBytes, 0);
    expect(usage.occupiedBytes ?? sum).toBeGreaterThanOrEqual(sum);
    for (const each of [...usage.images, ...usage.vms]) {
      expect(
        Object.values(each)
          .filter((value) => typeof value === 'number')
          .every(Number.isSafeInteger),
      ).toBe(true);
    }
  });

  it('counts a file with two names once, and says that no image has it alone', async () => {
    const session = freshSession();
    const [one, other] = ['a', 'b'].map((digit) => plantImage(session, 'r.example/team/vm', digestOf(digit)));
    writeFileSync(`${one}/disk.img`, noise(MIB));
    unlinkSync(`${other}/disk.img`);
    linkSync(`${one}/disk.img`, `${other}/disk.img`);
    const { images } = await diskUsage(session);
    expect(images.map(({ sharedBytes }) => sharedBytes)).toEqual([MIB, MIB]);
    const { allocatedBytes, files } = await measureTrees([session.home.cacheDirectory]);
    expect(allocatedBytes).toBeLessThan(2 * MIB);
    expect(files).toBe(5);
  });

  it('has what is unfinished, put aside and stored for stacked disks apart', async () => {
    const session = freshSession();
    for (const directory of [session.home.stagingDirectory, session.home.quarantineDirectory]) {
      mkdirSync(`${directory}/x`, { recursive: true });
      writeFileSync(`${directory}/x/disk.img`, noise(MIB));
    }
    const usage = await diskUsage(session);
    expect([usage.unfinished, usage.quarantine]).toEqual([
      { files: 1, allocatedBytes: MIB },
      { files: 1, allocatedBytes: MIB },
    ]);
    expect(usage).toMatchObject({ images: [], vms: [], content: { files: 0, allocatedBytes: 0 } });
  });

  it('is nothing in a home that does not exist', async () => {
    const usage = await diskUsage(freshSession());
    expect(usage).toMatchObject({ images: [], vms: [], occupiedBytes: 0 });
    expect(usage.freeBytes).toBeGreaterThan(0);
  });

  it('counts blocks that overlap once', () => {
    expect(unionBytes([])).toBe(0);
    expect(
      unionBytes([
        { start: 10, end: 20 },
        { start: 0, end: 5 },
        { start: 15, end: 30 },
        { start: 16, end: 17 },
      ]),
    ).toBe(25);
  });
});

describe.each(['xfs', 'btrfs'] as const)('on %s, where clones share blocks', (kind) => {
  it('tells what an image has alone, and each block once in all', async (context) => {
    needsMountedDisk(context, kind);
    const disk = MountedDisk.make(cleanup, kind);
    const session = new Session({ home: new Home(`${disk.directory}/home`) });
    const image = plantImage(session, 'r.example/team/vm', digestOf('a'), '1');
    writeFileSync(`${image}/disk.img`, noise(8 * MIB));
    for (const vm of ['one', 'two']) {
      plantVm(`${session.home.vmsDirectory}/${vm}`);
      const copy = `${session.home.vmsDirectory}/${vm}/disk.img`;
      copyFileSync(`${image}/disk.img`, copy, constants.COPYFILE_FICLONE_FORCE);
    }
    // What the file system has not written yet has no place that could be told.
    const before = disk.usedBytes;
    const { images, vms, occupiedBytes } = await diskUsage(session);
    expect(before).toBeGreaterThan(0);
    for (const each of [...images, ...vms]) {
      expect(each.sharedBytes).toBe(8 * MIB);
      expect(each.uniqueBytes).toBeLessThan(MIB);
      expect(each.reclaimableBytes).toBe(each.uniqueBytes);
    }
    expect(occupiedBytes).toBeGreaterThanOrEqual(8 * MIB);
    expect(occupiedBytes).toBeLessThan(9 * MIB);
  });
});
