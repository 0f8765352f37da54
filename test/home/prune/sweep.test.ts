import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readlinkSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { sweep } from '../../../src/home/prune/sweep.ts';
import { Digest } from '../../../src/names/digest.ts';
import type { Session } from '../../../src/session/session.ts';
import { freshSession, plantVm } from '../../support/home.ts';

const NOW = new Date('2026-06-15T12:00:00Z');
const DAY = 24 * 60 * 60 * 1000;
const HEX = 'a'.repeat(64);

function session(): Session {
  return freshSession({ now: () => NOW });
}

/** An unfinished pull that nobody continued for so many days. */
function staging(at: Session, days: number): string {
  const folder = `${at.home.stagingFolder}/${HEX}`;
  plantVm(folder);
  for (const name of [...readdirSync(folder).map((file) => `${folder}/${file}`), folder]) age(name, days);
  return folder;
}

function partial(at: Session, days: number): string {
  const folder = `${at.home.contentFolder}/sha256`;
  mkdirSync(folder, { recursive: true });
  for (const kind of ['partial', 'verified']) {
    writeFileSync(`${folder}/.${HEX}.${kind}`, 'x');
    age(`${folder}/.${HEX}.${kind}`, days);
  }
  return folder;
}

function age(file: string, days: number): void {
  const date = new Date(NOW.getTime() - days * DAY);
  utimesSync(file, date, date);
}

describe('the sweep', () => {
  test('finishes deletions that were killed, of images and of VMs', async () => {
    const at = session();
    for (const folder of [at.home.stagingFolder, at.home.scratchFolder]) {
      plantVm(`${folder}/trash-${randomUUID()}`);
      mkdirSync(`${folder}/trash-of-mine`);
    }
    await sweep(at);
    expect(readdirSync(at.home.stagingFolder)).toEqual(['trash-of-mine']);
    expect(readdirSync(at.home.scratchFolder)).toEqual(['trash-of-mine']);
  });

  test('leaves a link alone that a living command may be moving, and takes it a minute later', async () => {
    let now = new Date();
    const at = freshSession({ now: () => now });
    const link = `${at.home.stagingFolder}/trash-${randomUUID()}`;
    mkdirSync(at.home.stagingFolder, { recursive: true });
    symlinkSync('/somewhere', link);
    await sweep(at);
    expect(readlinkSync(link)).toBe('/somewhere');
    now = new Date(now.getTime() + 61_000);
    await sweep(at);
    expect(readdirSync(at.home.stagingFolder)).toEqual([]);
  });

  test('gives up an unfinished pull after a week, and not before', async () => {
    const at = session();
    const folder = staging(at, 6.9);
    await sweep(at);
    expect(existsSync(`${folder}/disk.img`)).toBe(true);
    staging(at, 7);
    await sweep(at);
    expect(readdirSync(at.home.stagingFolder)).toEqual([]);
  });

  test('counts the latest change in it: a pull that writes its disk changes no folder', async () => {
    const at = session();
    const folder = staging(at, 30);
    age(`${folder}/disk.img`, 1);
    await sweep(at);
    expect(existsSync(folder)).toBe(true);
  });

  test('takes a change in the future for one of now (P25)', async () => {
    const at = session();
    const folder = staging(at, -400);
    await sweep(at);
    expect(existsSync(folder)).toBe(true);
  });

  test('spares a pull that somebody holds, and the one that is about to go on', async () => {
    const at = session();
    const folder = staging(at, 30);
    const lock = await at.images.lock(Digest.sha256(HEX), { mode: 'exclusive', wait: false });
    await sweep(at);
    expect(existsSync(folder)).toBe(true);
    await lock?.release();
    await sweep(at, Digest.sha256(HEX));
    expect(existsSync(folder)).toBe(true);
    await sweep(at);
    expect(existsSync(folder)).toBe(false);
  });

  test('gives up unfinished files of the content store after a week, with their journals, unless somebody holds them', async () => {
    const at = session();
    const folder = partial(at, 8);
    await at.contents.whileBuilding(Digest.sha256(HEX), { mode: 'exclusive', wait: true }, async () => sweep(at));
    expect(existsSync(`${folder}/.${HEX}.partial`)).toBe(true);
    await sweep(at);
    expect(readdirSync(folder)).toEqual([`.${HEX}.lock`]);
    partial(at, 6);
    await sweep(at);
    expect(existsSync(`${folder}/.${HEX}.verified`)).toBe(true);
  });

  test('looks at an unfinished file again when it has its lock: another command may have gone on with it just now', async () => {
    const at = freshSession({
      now: () => {
        // Asked for after the first look, and before the lock.
        age(`${at.home.contentFolder}/sha256/.${HEX}.partial`, 0);
        return NOW;
      },
    });
    const folder = partial(at, 8);
    await sweep(at);
    expect(readdirSync(folder).sort()).toEqual([`.${HEX}.lock`, `.${HEX}.partial`, `.${HEX}.verified`]);
  });

  test('of a home that is not there makes none', async () => {
    const at = session();
    await sweep(at);
    expect(existsSync(at.home.root)).toBe(false);
  });
});
