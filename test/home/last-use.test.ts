import { lstatSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { lastStir, lastUse, recordUse } from '../../src/home/last-use.ts';
import { temporaryDirectory } from '../support/directory.ts';

const NOW = new Date('2026-06-15T12:00:00Z');
const YESTERDAY = new Date('2026-06-14T12:00:00Z');
const LAST_YEAR = new Date('2025-06-15T12:00:00Z');
const NEXT_YEAR = new Date('2027-06-15T12:00:00Z');
const on = (platform: NodeJS.Platform): { platform: NodeJS.Platform; now: () => Date } => ({
  platform,
  now: () => NOW,
});

/** A directory with a record of one date and access and change times of others. */
function used(dates: { record?: Date; access: Date; change?: Date }): string {
  const directory = temporaryDirectory();
  if (dates.record !== undefined) {
    writeFileSync(`${directory}/.last-used`, '');
    utimesSync(`${directory}/.last-used`, dates.record, dates.record);
  }
  utimesSync(directory, dates.access, dates.change ?? LAST_YEAR);
  return directory;
}

describe('the last use', () => {
  it.each([
    ['linux', { record: LAST_YEAR, access: YESTERDAY }, LAST_YEAR],
    ['linux', { access: YESTERDAY, change: LAST_YEAR }, LAST_YEAR],
    ['linux', { access: LAST_YEAR, change: YESTERDAY }, LAST_YEAR],
    ['linux', { record: YESTERDAY, access: LAST_YEAR }, YESTERDAY],
    ['darwin', { record: LAST_YEAR, access: YESTERDAY }, YESTERDAY],
    ['darwin', { record: YESTERDAY, access: LAST_YEAR }, YESTERDAY],
    ['darwin', { access: LAST_YEAR }, LAST_YEAR],
  ] as const)('on %s, of %j, is %s', (platform, dates, expected) => {
    expect(lastUse(used(dates), on(platform))).toEqual(expected);
  });

  it.each(['linux', 'darwin'] as const)('in the future is now, whatever says it (%s) (P25)', (platform) => {
    expect(lastUse(used({ record: NEXT_YEAR, access: LAST_YEAR }), on(platform))).toEqual(NOW);
    expect(lastUse(used({ access: NEXT_YEAR, change: NEXT_YEAR }), on(platform))).toEqual(NOW);
  });

  it('is not moved by a listing of the directory, whatever the file system does to its access time (D28)', async () => {
    const directory = used({ access: LAST_YEAR, change: YESTERDAY });
    await recordUse(directory, LAST_YEAR);
    readdirSync(directory);
    expect(lastUse(directory, on('linux'))).toEqual(LAST_YEAR);
  });

  it('of what has no record is not moved by a listing either: a cache from a Mac keeps its dates', () => {
    const directory = used({ access: LAST_YEAR, change: LAST_YEAR });
    readdirSync(directory);
    expect(lastUse(directory, on('linux'))).toEqual(LAST_YEAR);
  });

  it('of a file is when it was read', () => {
    const file = `${temporaryDirectory()}/15.ipsw`;
    writeFileSync(file, '');
    utimesSync(file, YESTERDAY, LAST_YEAR);
    expect(lastUse(file, on('linux'))).toEqual(YESTERDAY);
  });

  it('of what is gone is unknown', () => {
    expect(lastUse(`${temporaryDirectory()}/gone`, on('linux'))).toBeUndefined();
  });
});

describe('recording a use', () => {
  it('writes our own record, and the access time that Tart reads', async () => {
    const directory = temporaryDirectory();
    await recordUse(directory, YESTERDAY);
    expect(lstatSync(`${directory}/.last-used`).mtime).toEqual(YESTERDAY);
    expect(lstatSync(directory).atime).toEqual(YESTERDAY);
  });

  it('again moves it, also back', async () => {
    const directory = temporaryDirectory();
    await recordUse(directory, NOW);
    await recordUse(directory, LAST_YEAR);
    expect(lastUse(directory, on('linux'))).toEqual(LAST_YEAR);
  });

  it('of what is gone fails silently and makes nothing', async () => {
    const directory = temporaryDirectory();
    await recordUse(`${directory}/gone`, NOW);
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('the last stir', () => {
  it('of what has no record is its last change, if that is later: it may just have come', () => {
    expect(lastStir(used({ access: LAST_YEAR, change: YESTERDAY }), on('linux'))).toEqual(YESTERDAY);
    expect(lastStir(used({ access: YESTERDAY, change: LAST_YEAR }), on('darwin'))).toEqual(YESTERDAY);
  });

  it('of what has a record is its last use: a mark that was set later is none', () => {
    const directory = used({ record: LAST_YEAR, access: LAST_YEAR, change: LAST_YEAR });
    mkdirSync(`${directory}/changed`);
    expect(lastStir(directory, on('linux'))).toEqual(LAST_YEAR);
  });
});
