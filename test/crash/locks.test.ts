import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWithParts } from '../support/real-parts.ts';
import { LOCKING_CALLS, readLocks } from './locks.ts';
import { type Operation, OPERATIONS } from './operation.ts';
import { Place } from './place.ts';
import { traceCalls } from './strace.ts';

describe('the reader of locks', () => {
  const home = '/h';
  const lock = (file: string): string => `7 flock(9<${file}>, LOCK_EX|LOCK_NB) = 0`;
  const scratch = '/h/cache/.locks/tartlet-1.lock';

  it('tells what was taken under what, until it was given back', () => {
    const log = [lock('/h/.lock'), lock(scratch), '8 close(9</h/.lock>) = 0', lock('/h/vms/a/config.json')].join('\n');
    const { nested, taken } = readLocks(log, home);
    expect([...nested]).toEqual(['names of VMs, then scratch', 'scratch, then vm']);
    expect(taken).toBe(3);
  });

  it('finds a scratch directory that is there before its lock', () => {
    const make = '7 mkdir("/h/tmp/tartlet-1", 0777) = 0';
    expect(readLocks([make, lock(scratch)].join('\n'), home).unlockedScratch).toEqual(['tartlet-1']);
    expect(readLocks([lock(scratch), make].join('\n'), home).unlockedScratch).toEqual([]);
    expect(readLocks([`${lock(scratch).slice(0, -1)}-1 EAGAIN`, make].join('\n'), home).unlockedScratch).toHaveLength(
      1,
    );
  });
});

/** A VM gets the disk that has not arrived yet, while its lock is held. */
const COMPLETION: Pick<Operation, 'prepare'> = {
  async prepare(place) {
    place.reset();
    const made = await place.user.run('clone', '--lazy=always', place.name('team/base:new'), 'lazy');
    expect(made.exitCode, made.stderr).toBe(0);
    return place.command('export', 'lazy', `${place.directory}/lazy.tar`);
  },
};

describeWithParts('locks (P20)', ['strace'], () => {
  let place: Place;

  beforeAll(async () => {
    place = await Place.make();
  });
  afterAll(async () => place.cleanup.run());

  it('are taken in one order by all commands, and a scratch directory is never there without its own', async () => {
    const nested = new Set<string>();
    const unlocked: string[] = [];
    for (const { prepare } of [...OPERATIONS, COMPLETION]) {
      const traced = await traceCalls(await prepare(place), LOCKING_CALLS, place.log());
      expect(traced.exitCode, traced.stderr).toBe(0);
      const read = readLocks(readFileSync(place.log(), 'utf8'), place.home);
      for (const pair of read.nested) nested.add(pair);
      unlocked.push(...read.unlockedScratch);
    }
    // None the other way round: two commands never wait for each other.
    expect([...nested].sort()).toEqual([
      'cache/.locks/migration.lock, then image',
      'cache/.locks/prefetch.lock, then image',
      'cache/.locks/prefetch.lock, then vm',
      'image, then names of VMs',
      'image, then scratch',
      'scratch, then names of VMs',
      // The lock of a VM is waited for by none.
      'vm, then image',
    ]);
    expect(unlocked).toEqual([]);
  });
});
