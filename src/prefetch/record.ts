import * as v from 'valibot';
import { isDiskError, TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { moveEntry } from '../fs/entry.ts';
import { fsyncDirectory, writeNewFile } from '../fs/fsync.ts';
import { FileLock } from '../fs/lock/lock.ts';
import { readSmallFileIfThere } from '../fs/small-file.ts';
import type { Home } from '../home/home.ts';
import { parseRecord } from '../json/record.ts';
import type { Session } from '../session/session.ts';

/*
 * What prefetch remembers: one file of the home, replaced as a whole, so that a kill leaves what was or what is. What a
 * tag leads to is not believed from here: the symlink says it.
 */

const entry = v.object({
  /** Which lists want it: `arguments`, `file:PATH`, `url:URL`, `orchard:URL`. */
  sources: v.array(v.string()),
  /** Whether plain HTTP was asked for. */
  insecure: v.boolean(),
  /** Digest that the tag was made to lead to last. */
  digest: v.optional(v.string()),
  /** Digest that it led to before: kept until the next one has come. */
  previous: v.optional(v.string()),
  /** Digest that the user went back from: not taken again. */
  rejected: v.optional(v.string()),
  /** Digest that was being brought when this was written. */
  underWay: v.optional(v.string()),
  /** Times in ISO 8601. */
  lastTry: v.optional(v.string()),
  lastSuccess: v.optional(v.string()),
  nextTry: v.optional(v.string()),
  /** What went wrong last; absent after a success. */
  error: v.optional(v.object({ code: v.string(), message: v.string() })),
  /** Tries that failed since the last success. */
  failures: v.number(),
  /** Bytes that crossed the network for the last image that came. */
  fetchedBytes: v.number(),
});

const record = v.object({
  version: v.literal(1),
  /** By the canonical name. */
  images: v.record(v.string(), entry),
});

/** What is remembered of one image. */
export type PrefetchEntry = v.InferOutput<typeof entry>;
/** What is remembered of all. */
export type PrefetchRecord = v.InferOutput<typeof record>;

const MAX_BYTES = 8 * 1024 * 1024;

/** What an image begins with. */
export const NEW_ENTRY: PrefetchEntry = { sources: [], insecure: false, failures: 0, fetchedBytes: 0 };

/** @throws TartletError `STORE_DAMAGED` for a record that is none, or of another version; `DISK_*` */
export async function readPrefetchRecord(home: Home): Promise<PrefetchRecord> {
  const file = home.prefetchRecord;
  const bytes = await readSmallFileIfThere(file, MAX_BYTES);
  if (bytes === undefined) return { version: 1, images: {} };
  const read = parseRecord(record, bytes.toString());
  if (read !== undefined) return read;
  throw new TartletError('STORE_DAMAGED', `${file} is no record of prefetched images, or one of another version`, {
    subject: file,
    kept: 'it was left alone, and so were all images',
    next: { kind: 'move-record-away' },
  });
}

/**
 * Changes the record while no other command does.
 *
 * @param change is given the record, and what puts another one in its place, durably. It holds up all other commands
 * that prefetch: nothing is fetched meanwhile.
 */
export async function whileRecordIsHeld<T>(
  session: Session,
  change: (now: PrefetchRecord, write: (next: PrefetchRecord) => Promise<void>) => Promise<T>,
): Promise<T> {
  await session.home.prepare();
  const lock = await FileLock.acquire(session.home.lockFile('prefetch'), {
    mode: 'exclusive',
    wait: true,
    signal: session.signal,
  });
  try {
    return await change(await readPrefetchRecord(session.home), async (next) => replace(session.home, next));
  } finally {
    await lock?.release();
  }
}

/** Changes what is remembered of one image. One that is not wanted any more stays forgotten. */
export async function changeEntry(
  session: Session,
  key: string,
  change: (now: PrefetchEntry) => PrefetchEntry,
): Promise<void> {
  await whileRecordIsHeld(session, async (now, write) => {
    const before = now.images[key];
    if (before !== undefined) await write(withEntry(now, key, change(before)));
  });
}

/**
 * As {@link changeEntry}, for what is good to know and changes no image. A disk that takes no record, a full one above
 * all, is no failure here: it is most often what is to be noted, and the other images must have their tries.
 */
export async function noteEntry(
  session: Session,
  key: string,
  change: (now: PrefetchEntry) => PrefetchEntry,
): Promise<void> {
  try {
    await changeEntry(session, key, change);
  } catch (error) {
    session.signal.throwIfAborted();
    if (!isDiskError(error)) throw error;
  }
}

/** The record with another entry for an image. */
export function withEntry(before: PrefetchRecord, key: string, next: PrefetchEntry): PrefetchRecord {
  return { ...before, images: { ...before.images, [key]: next } };
}

async function replace(home: Home, next: PrefetchRecord): Promise<void> {
  const file = home.prefetchRecord;
  const text = `${JSON.stringify(next, null, 2)}\n`;
  // What could not be read again would stop every further prefetch.
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw new TartletError('USAGE', `${Object.keys(next.images).length} images are more than can be prefetched`, {
      subject: file,
      kept: 'the record was left as it was',
    });
  }
  await writeNewFile(`${file}.new`, text);
  await onDisk('move into place', file, async () => moveEntry(`${file}.new`, file));
  await fsyncDirectory(home.cacheDirectory);
}
