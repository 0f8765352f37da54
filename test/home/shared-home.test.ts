import {
  chmodSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { copyDisk } from '../../src/fs/disk/disk-copy.ts';
import { Home } from '../../src/home/home.ts';
import { openDisk } from '../../src/fs/plain-file.ts';
import { readSmallFile, readSmallFileIfThereSync } from '../../src/fs/small-file.ts';
import { removeEntry } from '../../src/fs/remove.ts';
import { Scratch } from '../../src/home/scratch.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { leaveOut } from '../support/left-out.ts';

const OTHER_USER = 12_345;

function needsRoot(context: TestContext): void {
  leaveOut(context, process.geteuid?.() !== 0, 'only root can give a symlink to another user');
}

/** A home that others may write to, and a directory of the user outside of it. */
function sharedHome(root = temporaryDirectory()): { home: Home; outside: string } {
  const [home, outside] = [new Home(`${root}/home`), `${root}/outside`];
  for (const directory of [home.root, outside]) mkdirSync(directory);
  chmodSync(home.root, 0o2775);
  writeFileSync(`${outside}/config.json`, 'secret');
  return { home, outside };
}

function linkOfOther(to: string, at: string): void {
  symlinkSync(to, at);
  lchownSync(at, OTHER_USER, OTHER_USER);
}

describe('a shared home', () => {
  it.each([
    ['a symlink of this user', process.geteuid?.() ?? 0],
    ['a symlink of another user', OTHER_USER],
  ])('reads no file that is %s (S60)', async (_, uid) => {
    const { home, outside } = sharedHome();
    const file = `${home.root}/manifest.json`;
    symlinkSync(`${outside}/config.json`, file);
    if (process.geteuid?.() === 0) lchownSync(file, uid, uid);
    await expect(readSmallFile(file)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    expect(() => readSmallFileIfThereSync(file)).toThrow('is not a file');
  });

  it('reads nothing in a directory that is a symlink of another user (S60)', async (context) => {
    needsRoot(context);
    const { home, outside } = sharedHome();
    linkOfOther(outside, `${home.root}/image`);
    const file = `${home.root}/image/config.json`;
    await expect(readSmallFile(file)).rejects.toThrow('image is a symlink of another user');
    expect(() => readSmallFileIfThereSync(file)).toThrow('image is a symlink of another user');
    const options = { platform: process.platform };
    await expect(copyDisk(file, `${home.root}/copy`, options)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    expect(existsSync(`${home.root}/copy`)).toBe(false);
  });

  it('takes no disk by a symlink of another user, and one by a symlink of this user (S60)', async (context) => {
    needsRoot(context);
    const { home, outside } = sharedHome();
    linkOfOther(`${outside}/config.json`, `${home.root}/foreign.img`);
    symlinkSync(`${outside}/config.json`, `${home.root}/own.img`);
    await expect(openDisk(`${home.root}/foreign.img`)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    expect(await copyDisk(`${home.root}/own.img`, `${home.root}/copy`, { platform: process.platform })).toMatch(
      /reflink|sparse/,
    );
    expect(readFileSync(`${home.root}/copy`, 'utf8')).toBe('secret');
  });

  it('reads by symlinks of the owner of the home, and by all of a home that no other user may write to (S60)', async (context) => {
    needsRoot(context);
    // Not below a directory that everybody may write to, as the one for temporary files is.
    const root = mkdtempSync('/run/tartlet-test-');
    onTestFinished(() => rmSync(root, { recursive: true }));
    const { home, outside } = sharedHome(root);
    const file = `${home.root}/cache/config.json`;
    linkOfOther(outside, `${home.root}/cache`);
    lchownSync(home.root, OTHER_USER, OTHER_USER);
    expect((await readSmallFile(file)).toString()).toBe('secret');
    lchownSync(home.root, 0, 0);
    await expect(readSmallFile(file)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    chmodSync(home.root, 0o755);
    expect(readSmallFileIfThereSync(file)?.toString()).toBe('secret');
  });

  it('removes no scratch where `tmp` is a symlink of another user (S61)', async (context) => {
    needsRoot(context);
    const { home, outside } = sharedHome();
    mkdirSync(`${outside}/tartlet-sources`);
    writeFileSync(`${outside}/tartlet-sources/file`, '');
    linkOfOther(outside, home.scratchDirectory);
    await expect(Scratch.create(home, process.platform)).rejects.toThrow('tmp is a symlink of another user');
    expect(readdirSync(`${outside}/tartlet-sources`)).toEqual(['file']);
  });

  it('removes what a symlink is, and not what it leads to (S61)', async () => {
    const { home, outside } = sharedHome();
    mkdirSync(`${home.root}/tree/deep`, { recursive: true });
    symlinkSync(outside, `${home.root}/tree/deep/link`);
    symlinkSync(`${home.root}/nothing`, `${home.root}/tree/dangling`);
    await removeEntry(`${home.root}/tree`);
    await removeEntry(`${home.root}/tree`);
    await removeEntry(`${home.root}/absent/tree`);
    expect(readdirSync(home.root)).toEqual([]);
    expect(readdirSync(outside)).toEqual(['config.json']);
  });

  it.each(['.staging', '.locks', '.quarantine'])('refuses a symlink in the place of cache/%s (S60)', async (name) => {
    const { home, outside } = sharedHome();
    mkdirSync(home.cacheDirectory);
    symlinkSync(outside, `${home.cacheDirectory}/${name}`);
    await expect(home.prepare()).rejects.toMatchObject({
      code: 'STORE_DAMAGED',
      message: `${home.cacheDirectory}/${name} is a symlink, where a directory belongs`,
    });
  });
});
