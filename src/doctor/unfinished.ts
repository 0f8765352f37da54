import { isTartletError } from '../errors.ts';
import { HEX } from '../home/content/content-reference.ts';
import { REMOVAL_NAME } from '../fs/publish.ts';
import { mayBeOnItsWay } from '../home/prune/sweep.ts';
import type { Home } from '../home/home.ts';
import { FileLock } from '../fs/lock/lock.ts';
import { isOurScratch } from '../home/scratch.ts';
import { GIVEN_UP_MS } from '../home/prune/sweep.ts';
import { humanBytes } from '../names/byte-count.ts';
import { finding, type Finding, unreadable } from './finding.ts';
import { kindText, lookAt, lookInto, namesIn } from '../fs/probe.ts';

/** Locks of images, of scratch directories, and of the migration. */
const LOCK_NAME = /^(?:[0-9a-f]{64}|tartlet-[0-9a-f-]{36}|migration|prefetch)\.lock$/;

/** What the check of unfinished work needs to know. */
export interface Present {
  readonly home: Home;
  readonly platform: NodeJS.Platform;
  readonly now: Date;
}

/** Interrupted pulls, removals that were not finished, work in progress, and locks that are none. */
export async function checkUnfinished(present: Present): Promise<Finding[]> {
  const { home } = present;
  const findings: Finding[] = [];
  for (const name of namesIn(home.stagingDirectory)) findings.push(...(await judgeStaging(present, name)));
  for (const directory of home.scratchDirectories) {
    for (const name of namesIn(directory)) findings.push(...(await judgeScratch(present, directory, name)));
  }
  for (const directory of [home.stagingDirectory, home.scratchDirectory, home.locksDirectory]) {
    const inside = lookInto(directory);
    if (inside.kind === 'failed' && inside.isKept) findings.push(unreadable(directory, inside.why));
  }
  const locks = lookInto(home.locksDirectory);
  for (const entry of locks.kind === 'found' ? locks.value : []) {
    const at = `${home.locksDirectory}/${entry.name}`;
    if (!LOCK_NAME.test(entry.name)) findings.push(finding('foreign-entry', at, `${kindText(entry)} that is no lock`));
    else if (!entry.isFile()) {
      const message = `${kindText(entry)} where a lock belongs`;
      findings.push(finding('lock-odd', at, message, { remedy: { kind: 'quarantine' } }));
    }
  }
  return findings;
}

async function judgeStaging({ home, now }: Present, name: string): Promise<Finding[]> {
  const at = `${home.stagingDirectory}/${name}`;
  if (REMOVAL_NAME.test(name)) return mayBeOnItsWay(at, now) ? [] : [interruptedRemoval(at)];
  if (!HEX.test(name)) return [finding('foreign-entry', at, 'something that is no unfinished pull')];
  const lock = home.lockFile(name);
  if (await isHeld(lock)) {
    return [finding('scratch-live', at, 'a command is fetching this image')];
  }
  const { bytes, newest } = measure(at);
  if (now.getTime() - newest >= GIVEN_UP_MS) {
    const message = `${humanBytes(bytes, 1)} of a pull that was not continued since ${new Date(newest).toISOString()}`;
    return [finding('scratch-expired', at, message, { remedy: { kind: 'discard', lock } })];
  }
  return [finding('scratch-resumable', at, `${humanBytes(bytes, 1)} of an interrupted pull of sha256:${name}`)];
}

async function judgeScratch({ home, platform, now }: Present, directory: string, name: string): Promise<Finding[]> {
  const at = `${directory}/${name}`;
  if (REMOVAL_NAME.test(name)) return mayBeOnItsWay(at, now) ? [] : [interruptedRemoval(at)];
  const look = lookAt(at);
  if (look.kind !== 'found') return [];
  const lock = home.lockFile(name);
  // Tart locks the entry itself, and runs on macOS alone; what is no file and no directory is not opened.
  const isLockable = platform === 'darwin' && (look.value.isDirectory() || look.value.isFile());
  if (isOurScratch(name) ? await isHeld(lock) : isLockable && (await isHeld(at))) {
    return [finding('scratch-live', at, 'a command is at work here')];
  }
  if (!isOurScratch(name)) return [finding('scratch-odd', at, `${kindText(look.value)} of no command that runs`)];
  return [finding('scratch-abandoned', at, 'a command that was killed left it', { remedy: { kind: 'discard', lock } })];
}

function interruptedRemoval(at: string): Finding {
  return finding('trash-left', at, 'it was being removed when the command ended', {
    remedy: { kind: 'discard', lock: undefined },
  });
}

/** A lock that this user may not open belongs to another user, and counts as held. */
async function isHeld(lock: string): Promise<boolean> {
  try {
    return await FileLock.isHeld(lock);
  } catch (error) {
    if (isTartletError(error)) return true;
    throw error;
  }
}

/** What a directory of files occupies on the disk, and when it was written to last, in milliseconds. */
function measure(directory: string): { bytes: number; newest: number } {
  let bytes = 0;
  let newest = 0;
  for (const at of [directory, ...namesIn(directory).map((name) => `${directory}/${name}`)]) {
    const look = lookAt(at);
    if (look.kind !== 'found') continue;
    bytes += look.value.isFile() ? look.value.blocks * 512 : 0;
    newest = Math.max(newest, look.value.mtimeMs);
  }
  return { bytes, newest };
}
