import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readlinkSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
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

/** An unfinished pull that was not continued for so many days. */
function staging(at: Session, days: number): string {
  const directory = `${at.home.stagingDirectory}/${HEX}`;
  plantVm(directory);
  for (const name of [...readdirSync(directory).map((file) => `${directory}/${file}`), directory]) age(name, days);
  return directory;
}

function partial(at: Session, days: number): string {
  const directory = `${at.home.contentDirectory}/sha256`;
  mkdirSync(directory, { recursive: true });
  for (const kind of ['partial', 'verified']) {
    writeFileSync(`${directory}/.${HEX}.${kind}`, 'x');
    age(`${directory}/.${HEX}.${kind}`, days);
  }
  return directory;
}

function age(file: string, days: number): void {
  const date = new Date(NOW.getTime() - days * DAY);
  utimesSync(file, date, date);
}

describe('the sweep', () => {
  it('finishes deletions that were killed, of images and of VMs', async () => {
    const at = session();
    for (const directory of [at.home.stagingDirectory, at.home.scratchDirectory]) {
      plantVm(`${directory}/trash-${randomUUID()}`);
      mkdirSync(`${directory}/trash-of-mine`);
    }
    await sweep(at);
    expect(readdirSync(at.home.stagingDirectory)).toEqual(['trash-of-mine']);
    expect(readdirSync(at.home.scratchDirectory)).toEqual(['trash-of-mine']);
  });

  it('leaves a symlink alone that a living command may be moving, and takes it a minute later', async () => {
    let now = new Date();
    const at = freshSession({ now: () => now });
    const link = `${at.home.stagingDirectory}/trash-${randomUUID()}`;
    mkdirSync(at.home.stagingDirectory, { recursive: true });
    symlinkSync('/somewhere', link);
    await sweep(at);
    expect(readlinkSync(link)).toBe('/somewhere');
    now = new Date(now.getTime() + 61_000);
    await sweep(at);
    expect(readdirSync(at.home.stagingDirectory)).toEqual([]);
  });

  it('gives up an unfinished pull after a week, and not before', async () => {
    const at = session();
    const directory = staging(at, 6.9);
    await sweep(at);
    expect(existsSync(`${directory}/disk.img`)).toBe(true);
    staging(at, 7);
    await sweep(at);
    expect(readdirSync(at.home.stagingDirectory)).toEqual([]);
  });

  it('counts the latest change in it: a pull that writes its disk changes no directory', async () => {
    const at = session();
    const directory = staging(at, 30);
    age(`${directory}/disk.img`, 1);
    await sweep(at);
    expect(existsSync(directory)).toBe(true);
  });

  it('takes a change in the future for one of now (P25)', async () => {
    const at = session();
    const directory = staging(at, -400);
    await sweep(at);
    expect(existsSync(directory)).toBe(true);
  });

  it('spares a pull that a process holds, and the one that is about to go on', async () => {
    const at = session();
    const directory = staging(at, 30);
    const lock = await at.images.lock(Digest.sha256(HEX), { mode: 'exclusive', wait: false });
    await sweep(at);
    expect(existsSync(directory)).toBe(true);
    await lock?.release();
    await sweep(at, Digest.sha256(HEX));
    expect(existsSync(directory)).toBe(true);
    await sweep(at);
    expect(existsSync(directory)).toBe(false);
  });

  it('gives up unfinished files of the content store after a week, with their journals, unless a process holds them', async () => {
    const at = session();
    const directory = partial(at, 8);
    await at.contents.whileBuilding(Digest.sha256(HEX), { mode: 'exclusive', wait: true }, async () => sweep(at));
    expect(existsSync(`${directory}/.${HEX}.partial`)).toBe(true);
    await sweep(at);
    expect(readdirSync(directory)).toEqual([`.${HEX}.lock`]);
    partial(at, 6);
    await sweep(at);
    expect(existsSync(`${directory}/.${HEX}.verified`)).toBe(true);
  });

  it('looks at an unfinished file again when it has its lock: another command may have gone on with it just now', async () => {
    const at = freshSession({
      now: () => {
        // Asked for after the first look, and before the lock.
        age(`${at.home.contentDirectory}/sha256/.${HEX}.partial`, 0);
        return NOW;
      },
    });
    const directory = partial(at, 8);
    await sweep(at);
    expect(readdirSync(directory).sort()).toEqual([`.${HEX}.lock`, `.${HEX}.partial`, `.${HEX}.verified`]);
  });

  it('of a home that is not there makes none', async () => {
    const at = session();
    await sweep(at);
    expect(existsSync(at.home.root)).toBe(false);
  });
});
