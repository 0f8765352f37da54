import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isTartletError, systemCode, TartletError } from '../../src/errors.ts';
import { ChunkJournal, noteBoundaries } from '../../src/home/chunk-journal.ts';
import { ContentStore } from '../../src/home/content/content-store.ts';
import { copyDisk, copySparsely, shareDisk } from '../../src/fs/disk/disk-copy.ts';
import { sizeDisk } from '../../src/fs/disk/disk-size.ts';
import { EarlyFsync } from '../../src/fs/disk/early-fsync.ts';
import { makeDirectoryTree, removeEmptyTree } from '../../src/fs/directory-tree.ts';
import { fsyncFile, writeNewFile } from '../../src/fs/fsync.ts';
import { exchangeDirectories, publishDirectory, removeDirectory } from '../../src/fs/publish.ts';
import { Home } from '../../src/home/home.ts';
import { setMark } from '../../src/home/images/image-mark.ts';
import { recordUse } from '../../src/home/last-use.ts';
import { removeLink, replaceLink, rewriteLink } from '../../src/home/link.ts';
import { FileLock } from '../../src/fs/lock/lock.ts';
import { removeIfEmpty } from '../../src/migration/empty-host.ts';
import { logKept } from '../../src/migration/log.ts';
import { writeMarker } from '../../src/migration/marker.ts';
import { addOrigin } from '../../src/home/origin.ts';
import { quarantine } from '../../src/home/quarantine.ts';
import { rewriteJson } from '../../src/fs/rewrite.ts';
import { shareFiles } from '../../src/fs/sharing.ts';
import { hasWriteLock } from '../../src/fs/lock/write-lock.ts';
import { Digest } from '../../src/names/digest.ts';
import { DiskWindow } from '../../src/chunks/disk-window.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { leaveOut } from '../support/left-out.ts';

/*
 * Each way in which something in a home is made, written, locked, moved or removed, while a symlink of another user is
 * in the place of the file, or of the directory around it. Nothing that the symlink leads to may change (S60, S75).
 */

const OTHER_USER = 12_345;
const OPTIONS = { platform: process.platform };
const ALONE = { mode: 'exclusive', wait: false } as const;

interface Scene {
  readonly home: Home;
  /** Where a symlink of another user leads, or is the file itself one. */
  readonly at: string;
}

/** A name, and what a command does; whether it then succeeds is up to it. */
type Attempt = readonly [what: string, attempt: (scene: Scene) => Promise<unknown>];

/** A directory of the victim's, and one of the home in which everybody may write. */
function scene(): Scene & { outside: string } {
  const root = temporaryDirectory();
  const [home, outside] = [new Home(`${root}/home`), `${root}/outside`];
  for (const directory of [
    home.root,
    home.cacheDirectory,
    home.stagingDirectory,
    home.vmsDirectory,
    outside,
    `${outside}/empty`,
  ])
    mkdirSync(directory);
  mkdirSync(`${home.root}/finished`);
  writeFileSync(`${home.root}/finished/disk.img`, 'a disk');
  for (const file of ['config.json', 'disk.img', '.verified', '.lock']) writeFileSync(`${outside}/${file}`, 'secret');
  symlinkSync('somewhere', `${outside}/tag`);
  chmodSync(home.root, 0o2775);
  return { home, outside, at: `${home.root}/at` };
}

function linkOfOther(to: string, at: string): void {
  symlinkSync(to, at);
  // In the place of a file none is followed, whosever it is.
  if (process.geteuid?.() === 0) lchownSync(at, OTHER_USER, OTHER_USER);
}

/** All that a user could miss. */
function look(place: string): unknown {
  const { ino, mode, mtimeMs, size } = lstatSync(place);
  if (lstatSync(place).isSymbolicLink()) return readlinkSync(place);
  if (!lstatSync(place).isDirectory()) return { ino, mode, mtimeMs, size, text: readFileSync(place, 'utf8') };
  return { ino, mode, mtimeMs, entries: readdirSync(place).map((name) => [name, look(`${place}/${name}`)]) };
}

const origin = { version: 1, via: 'create', createdAt: '', nvram: 'edk2' } as const;

const IN_A_DIRECTORY: readonly Attempt[] = [
  ['rewrite a configuration', async ({ at }) => rewriteJson(`${at}/config.json`, Buffer.from('{}'))],
  ['lock by a new file', async ({ at }) => release(await FileLock.acquire(`${at}/new.lock`, ALONE))],
  ['lock a directory', async ({ at }) => release(await FileLock.acquireDirectory(at, 'linux', ALONE))],
  ['begin a journal', async ({ at }) => new ChunkJournal(`${at}/.new`).begin()],
  ['go on with a journal', async ({ at }) => new ChunkJournal(`${at}/.verified`).record(7)],
  ['note a boundary', async ({ at }) => note(`${at}/.verified`)],
  ['write a file', async ({ at }) => writeNewFile(`${at}/config.json`, '')],
  ['write a new file', async ({ at }) => writeNewFile(`${at}/new`, '')],
  ['write an origin record', async ({ at }) => addOrigin(at, origin)],
  ['set a mark', async ({ at }) => setMark(at, 'pinned')],
  ['record a use', async ({ at }) => recordUse(at, new Date(0))],
  ['size a disk', async ({ at }) => sizeDisk(`${at}/disk.img`, 4096)],
  ['size a new disk', async ({ at }) => sizeDisk(`${at}/new`, 4096)],
  ['write a disk', async ({ at }) => writeDisk(`${at}/disk.img`)],
  ['copy a disk', async ({ home, at }) => copyDisk(`${home.root}/finished/disk.img`, `${at}/new`, OPTIONS)],
  ['copy a disk piece by piece', async ({ home, at }) => copySparsely(`${home.root}/finished/disk.img`, `${at}/new`)],
  ['share a disk', async ({ home, at }) => shareDisk(`${home.root}/finished/disk.img`, `${at}/new`)],
  ['publish into it', async ({ home, at }) => publishDirectory(`${home.root}/finished`, `${at}/new`, home.root)],
  ['publish out of it', async ({ home, at }) => publishDirectory(`${at}/empty`, `${home.root}/new`, home.root)],
  ['exchange', async ({ home, at }) => exchangeDirectories(`${home.root}/finished`, `${at}/empty`, home.root)],
  ['remove a directory', async ({ home, at }) => removeDirectory(`${at}/empty`, home.stagingDirectory, home.root)],
  ['remove a directory by it', async ({ home, at }) => removeDirectory(`${home.root}/finished`, at, home.root)],
  ['remove an empty directory', async ({ at }) => removeIfEmpty(`${at}/empty`)],
  ['remove empty directories', async ({ at }) => removeEmptyTree(`${at}/empty`)],
  ['make a directory', async ({ at }) => makeDirectoryTree(`${at}/new/deep`)],
  ['set a tag', async ({ home, at }) => replaceLink(`${at}/tag`, 'elsewhere', home)],
  ['set a new tag', async ({ home, at }) => replaceLink(`${at}/new`, 'elsewhere', home)],
  ['rewrite a tag', async ({ home, at }) => rewriteLink(`${at}/tag`, 'somewhere', 'elsewhere', home.stagingDirectory)],
  ['remove a tag', async ({ home, at }) => removeLink(`${at}/tag`, 'somewhere', home.stagingDirectory)],
  [
    'quarantined',
    async ({ home, at }) => quarantine(home, { path: `${at}/empty`, id: 'x', message: '' }, [], new Date(0)),
  ],
];

const IN_PLACE_OF_A_FILE: readonly Attempt[] = [
  ['rewrite a configuration', async ({ at }) => rewriteJson(at, Buffer.from('{}'))],
  ['lock a configuration', async ({ at }) => release(await FileLock.acquireExisting(at))],
  ['lock', async ({ at }) => release(await FileLock.acquire(at, ALONE))],
  ['ask for a lock', async ({ at }) => FileLock.isHeld(at)],
  ['ask for the lock of a VM', async ({ at }) => hasWriteLock(at, process.platform)],
  ['begin a journal', async ({ at }) => new ChunkJournal(at).begin()],
  ['go on with a journal', async ({ at }) => new ChunkJournal(at).record(7)],
  ['note a boundary', async ({ at }) => note(at)],
  ['write a file', async ({ at }) => writeNewFile(at, '')],
  ['size a disk', async ({ at }) => sizeDisk(at, 4096)],
  ['write a disk', async ({ at }) => writeDisk(at)],
  ['flush', async ({ at }) => fsyncFile(at)],
  ['flush while it is written', async ({ at }) => (await EarlyFsync.of(at)).end()],
  ['copy a disk', async ({ home, at }) => copyDisk(`${home.root}/finished/disk.img`, at, OPTIONS)],
  ['share the files', async ({ home }) => shareFiles(home.root)],
];

/** Files that have one place only. */
const FIXED: readonly (readonly [file: string, attempt: (home: Home) => Promise<unknown>])[] = [
  ['cache/.migrations.log', async (home) => logKept(home, `${home.imagesDirectory}/x`, 'y', new Date(0))],
  ['cache/.migrated.json', async (home) => writeMarker(home, [])],
  ['cache/content/.gc.lock', async (home) => new ContentStore(home, 'linux').change(undefined, async () => undefined)],
  [
    'cache/content/sha256/7777777777777777777777777777777777777777777777777777777777777777',
    async (home) => new ContentStore(home, 'linux').touch(DIGEST, new Date(0)),
  ],
];

const DIGEST = Digest.sha256('7'.repeat(64));

async function release(lock: FileLock | undefined): Promise<void> {
  await lock?.release();
}

function note(journal: string): void {
  const notes = noteBoundaries({ journal, index: 7 });
  notes.note({ encoded: 1, decoded: 2 });
  notes.close();
}

function writeDisk(disk: string): void {
  const window = new DiskWindow(disk, [0], 4, false);
  window.write(Buffer.from('evil'), false);
  window.close();
}

describe('where a symlink of another user is', () => {
  it.for(IN_A_DIRECTORY)(
    'in the place of a directory: to %s changes nothing behind it (S60)',
    async ([, attempt], context) => {
      leaveOut(context, process.geteuid?.() !== 0, 'only root can give a symlink to another user');
      const { home, at, outside } = scene();
      linkOfOther(outside, at);
      const before = look(outside);
      await ended(async () => attempt({ home, at }));
      expect(look(outside)).toEqual(before);
    },
  );

  it.each(IN_PLACE_OF_A_FILE)('in the place of a file: to %s changes nothing behind it (S60)', async (_, attempt) => {
    const { home, at, outside } = scene();
    linkOfOther(`${outside}/config.json`, at);
    const before = look(outside);
    await ended(async () => attempt({ home, at }));
    expect(look(outside)).toEqual(before);
  });

  it.each(IN_PLACE_OF_A_FILE)('to a file that is not there: to %s makes none (S60)', async (_, attempt) => {
    const { home, at, outside } = scene();
    linkOfOther(`${outside}/new`, at);
    await ended(async () => attempt({ home, at }));
    expect(readdirSync(outside)).not.toContain('new');
  });

  it.each(FIXED)('in the place of %s: what it leads to stays (S60)', async (file, attempt) => {
    const { home, outside } = scene();
    mkdirSync(`${home.contentDirectory}/sha256`, { recursive: true });
    linkOfOther(`${outside}/config.json`, `${home.root}/${file}`);
    const before = look(outside);
    await ended(async () => attempt(home));
    expect(look(outside)).toEqual(before);
  });
});

/** Whether it is done or refused: what was changed is looked at. */
async function ended(attempt: () => Promise<unknown>): Promise<void> {
  try {
    await attempt();
  } catch (error) {
    // What fails for another reason proves nothing.
    const isThere = error instanceof TartletError && systemCode(error.cause) === 'EEXIST';
    if (!isThere && !isTartletError(error, 'STORE_DAMAGED')) throw error;
  }
}
