import { lstatSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { lastStir, lastUse, recordUse } from '../../src/home/last-use.ts';
import { temporaryFolder } from '../support/folder.ts';

const NOW = new Date('2026-06-15T12:00:00Z');
const YESTERDAY = new Date('2026-06-14T12:00:00Z');
const LAST_YEAR = new Date('2025-06-15T12:00:00Z');
const NEXT_YEAR = new Date('2027-06-15T12:00:00Z');
const on = (platform: NodeJS.Platform): { platform: NodeJS.Platform; now: () => Date } => ({
  platform,
  now: () => NOW,
});

/** A folder with a record of one date and access and change times of others. */
function used(dates: { record?: Date; access: Date; change?: Date }): string {
  const folder = temporaryFolder();
  if (dates.record !== undefined) {
    writeFileSync(`${folder}/.last-used`, '');
    utimesSync(`${folder}/.last-used`, dates.record, dates.record);
  }
  utimesSync(folder, dates.access, dates.change ?? LAST_YEAR);
  return folder;
}

describe('the last use', () => {
  test.each([
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

  test.each(['linux', 'darwin'] as const)('in the future is now, whatever says it (%s) (P25)', (platform) => {
    expect(lastUse(used({ record: NEXT_YEAR, access: LAST_YEAR }), on(platform))).toEqual(NOW);
    expect(lastUse(used({ access: NEXT_YEAR, change: NEXT_YEAR }), on(platform))).toEqual(NOW);
  });

  test('is not moved by a listing of the folder, whatever the file system does to its access time (D28)', async () => {
    const folder = used({ access: LAST_YEAR, change: YESTERDAY });
    await recordUse(folder, LAST_YEAR);
    readdirSync(folder);
    expect(lastUse(folder, on('linux'))).toEqual(LAST_YEAR);
  });

  test('of what has no record is not moved by a listing either: a cache from a Mac keeps its dates', () => {
    const folder = used({ access: LAST_YEAR, change: LAST_YEAR });
    readdirSync(folder);
    expect(lastUse(folder, on('linux'))).toEqual(LAST_YEAR);
  });

  test('of a file is when it was read', () => {
    const file = `${temporaryFolder()}/15.ipsw`;
    writeFileSync(file, '');
    utimesSync(file, YESTERDAY, LAST_YEAR);
    expect(lastUse(file, on('linux'))).toEqual(YESTERDAY);
  });

  test('of what is gone is unknown', () => {
    expect(lastUse(`${temporaryFolder()}/gone`, on('linux'))).toBeUndefined();
  });
});

describe('recording a use', () => {
  test('writes our own record, and the access time that Tart reads', async () => {
    const folder = temporaryFolder();
    await recordUse(folder, YESTERDAY);
    expect(lstatSync(`${folder}/.last-used`).mtime).toEqual(YESTERDAY);
    expect(lstatSync(folder).atime).toEqual(YESTERDAY);
  });

  test('again moves it, also back', async () => {
    const folder = temporaryFolder();
    await recordUse(folder, NOW);
    await recordUse(folder, LAST_YEAR);
    expect(lastUse(folder, on('linux'))).toEqual(LAST_YEAR);
  });

  test('of what is gone fails silently and makes nothing', async () => {
    const folder = temporaryFolder();
    await recordUse(`${folder}/gone`, NOW);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('the last stir', () => {
  test('of what has no record is its last change, if that is later: it may just have come', () => {
    expect(lastStir(used({ access: LAST_YEAR, change: YESTERDAY }), on('linux'))).toEqual(YESTERDAY);
    expect(lastStir(used({ access: YESTERDAY, change: LAST_YEAR }), on('darwin'))).toEqual(YESTERDAY);
  });

  test('of what has a record is its last use: a mark that was set later is none', () => {
    const folder = used({ record: LAST_YEAR, access: LAST_YEAR, change: LAST_YEAR });
    mkdirSync(`${folder}/changed`);
    expect(lastStir(folder, on('linux'))).toEqual(LAST_YEAR);
  });
});
