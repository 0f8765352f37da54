import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { onDisk } from '../fs/disk-error.ts';
import { lookAt, namesIn } from '../fs/probe.ts';
import { moveEntry } from '../fs/entry.ts';
import { makeDirectoryTree } from '../fs/directory-tree.ts';
import { fsyncRemoval, fsyncUpTo, writeNewFile } from '../fs/fsync.ts';
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

/** A symlink that led to what was quarantined, and was removed with it. */
export interface FormerLink {
  readonly path: string;
  readonly text: string;
}

/**
 * Moves something out of the way by one rename, into a directory of its own with a record of where it was and why it is
 * here (reliability L3). The record is written first: a kill in between leaves an empty entry, and everything in its
 * place.
 *
 * @param symlinks written into the record; removing them is up to the caller.
 * @returns where it is now.
 * @throws TartletError `DISK_*`; it is then where it was, or at its new place and perhaps not there after a power cut.
 */
export async function quarantine(
  home: Home,
  { id, path: from, message }: Misfit,
  links: readonly FormerLink[],
  at: Date,
): Promise<string> {
  const day = at.toISOString().slice(0, 10);
  const directory = `${home.quarantineDirectory}/${day}-${randomUUID()}`;
  await makeDirectoryTree(directory);
  const record = { schema: 'tartlet.quarantine/v1', from, id, why: message, at: at.toISOString(), links };
  await writeNewFile(`${directory}/${RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  // Before anything is moved there: what is quarantined may be all there is.
  await fsyncUpTo(directory, home.root);
  const to = `${directory}/${path.basename(from)}`;
  try {
    await onDisk('quarantined', from, async () => moveEntry(from, to));
  } catch (error) {
    await removeEntry(directory);
    throw error;
  }
  await fsyncUpTo(directory, home.root);
  await fsyncRemoval(path.dirname(from));
  return to;
}

interface Quarantine {
  readonly path: string;
  /** The file that says where it was and why it is here. */
  readonly record: string | undefined;
}

/** Everything that was quarantined; what people put there themselves has no record. */
export function quarantinedItems(home: Home): Quarantine[] {
  return namesIn(home.quarantineDirectory).flatMap((name): Quarantine[] => {
    const at = `${home.quarantineDirectory}/${name}`;
    const record = `${at}/${RECORD}`;
    if (lookAt(record).kind !== 'found') return [{ path: at, record: undefined }];
    return namesIn(at).flatMap((each) => (each === RECORD ? [] : [{ path: `${at}/${each}`, record }]));
  });
}
