import { watch } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createFile, moveEntry } from '../../fs/entry.ts';
import { openPlainFile } from '../../fs/plain-file.ts';
import { removeEntry } from '../../fs/remove.ts';
import { modeIn } from '../../fs/sharing.ts';
import { statIfThere } from '../../fs/stats.ts';

/** What a guest says is for its user. */
const LOG_MODE = 0o600;

/** So many bytes a log may have, about: what is older is in the one before it, and what is older than that is gone. */
const MAX_BYTES = 8 * 1024 * 1024;

/** Between a word of the guest and the look at what the log has come to, in milliseconds. */
const LOOK_AFTER_MS = 1000;

/** Where the system tells of no changes, the log is looked at so often, in milliseconds. */
const LOOK_EVERY_MS = 30_000;

/**
 * Keeps a log from filling the disk, whatever the guest writes for as long as it runs. QEMU has the file open and
 * appends to it: so it cannot be moved away, and is copied and emptied. A guest that is silent costs nothing.
 *
 * @returns ends it.
 */
export function limitLog(log: string, maxBytes = MAX_BYTES): () => void {
  let looking: NodeJS.Timeout | undefined;
  const lookSoon = (): void => {
    looking ??= setTimeout(() => {
      // Its size is looked at before it is asked for the next time: no two are at work at once.
      void shorten(log, maxBytes).finally(() => (looking = undefined));
    }, LOOK_AFTER_MS).unref();
  };
  const stopWatching = watchFile(log, lookSoon);
  return () => {
    stopWatching();
    clearTimeout(looking);
  };
}

function watchFile(file: string, onChange: () => void): () => void {
  try {
    const watcher = watch(file, { persistent: false }, onChange);
    watcher.on('error', () => watcher.close());
    return () => watcher.close();
  } catch {
    // Too many are watched on this machine already, for instance (inotify(7)).
    const timer = setInterval(onChange, LOOK_EVERY_MS).unref();
    return () => clearInterval(timer);
  }
}

/** Where there is no room for what is old, it is lost: there would be none for what comes. */
async function shorten(log: string, maxBytes: number): Promise<void> {
  try {
    if (((await statIfThere(log))?.size ?? 0) <= maxBytes) return;
    await keepOld(log).catch(async () => removeEntry(`${log}.1.new`));
    const handle = await openPlainFile(log, 'write');
    try {
      await handle.truncate(0);
    } finally {
      await handle.close();
    }
  } catch {
    // It is looked at again with the guest's next word.
  }
}

async function keepOld(log: string): Promise<void> {
  const kept = `${log}.1.new`;
  await removeEntry(kept);
  const source = await openPlainFile(log);
  const target = await createFile(kept, 'refuse', await modeIn(path.dirname(log), LOG_MODE));
  await pipeline(source.createReadStream(), target.createWriteStream());
  await moveEntry(kept, `${log}.1`);
}
