import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { onDisk } from '../fs/disk-error.ts';
import { lookAt, namesIn } from '../fs/probe.ts';
import { moveEntry } from '../fs/entry.ts';
import { makeFolder } from '../fs/directory-tree.ts';
import { flushRemoval, flushUpTo, writeNewFile } from '../fs/fsync.ts';
import type { Home } from './home.ts';
import { removeEntry } from '../fs/remove.ts';

const RECORD = 'record.json';

/** Something that cannot stay where it is, and why. */
export interface Misfit {
  readonly path: string;
  /** The kind of finding (`doctor/finding-kind.ts`), or what migration did. */
  readonly id: string;
  readonly message: string;
}

/** A link that led to what was set aside, and was removed with it. */
export interface FormerLink {
  readonly path: string;
  readonly text: string;
}

/**
 * Moves something out of the way by one rename, into a folder of its own with a record of where it was and why it is here (reliability
 * L3). The record is written first: a kill in between leaves an empty entry, and everything in its place.
 *
 * @param links written into the record; removing them is up to the caller.
 * @returns where it is now.
 * @throws TartletError `DISK_*`; it is then where it was, or at its new place and perhaps not there after a power cut.
 */
export async function setAside(
  home: Home,
  { id, path: from, message }: Misfit,
  links: readonly FormerLink[],
  at: Date,
): Promise<string> {
  const day = at.toISOString().slice(0, 10);
  const folder = `${home.quarantineFolder}/${day}-${randomUUID()}`;
  await makeFolder(folder);
  const record = { schema: 'tartlet.quarantine/v1', from, id, why: message, at: at.toISOString(), links };
  await writeNewFile(`${folder}/${RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  // Before anything is moved there: what is set aside may be all there is.
  await flushUpTo(folder, home.root);
  const to = `${folder}/${path.basename(from)}`;
  try {
    await onDisk('set aside', from, async () => moveEntry(from, to));
  } catch (error) {
    await removeEntry(folder);
    throw error;
  }
  await flushUpTo(folder, home.root);
  await flushRemoval(path.dirname(from));
  return to;
}

interface SetAside {
  readonly path: string;
  /** The file that says where it was and why it is here. */
  readonly record: string | undefined;
}

/** Everything that was set aside; what people put there themselves has no record. */
export function quarantinedItems(home: Home): SetAside[] {
  return namesIn(home.quarantineFolder).flatMap((name): SetAside[] => {
    const at = `${home.quarantineFolder}/${name}`;
    const record = `${at}/${RECORD}`;
    if (lookAt(record).kind !== 'found') return [{ path: at, record: undefined }];
    return namesIn(at).flatMap((each) => (each === RECORD ? [] : [{ path: `${at}/${each}`, record }]));
  });
}
