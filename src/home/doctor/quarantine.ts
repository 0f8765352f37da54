import { randomUUID } from 'node:crypto';
import { rename } from 'node:fs/promises';
import path from 'node:path';
import { onDisk } from '../disk-error.ts';
import { flushFolder, makeFolder, writeNewFile } from '../folder.ts';
import type { Home } from '../home.ts';
import { finding, type Finding } from './finding.ts';
import { lookAt, namesIn } from './look.ts';

const RECORD = 'record.json';

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
 * @throws TartletError `DISK_*`; it is then where it was.
 */
export async function setAside(
  home: Home,
  { id, path: from, message }: Pick<Finding, 'id' | 'path' | 'message'>,
  links: readonly FormerLink[],
  at: Date,
): Promise<string> {
  const day = at.toISOString().slice(0, 10);
  const folder = `${home.quarantineFolder}/${day}-${randomUUID()}`;
  await makeFolder(folder);
  const record = { schema: 'tartlet.quarantine/v1', from, id, why: message, at: at.toISOString(), links };
  await writeNewFile(`${folder}/${RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  await flushFolder(folder);
  const to = `${folder}/${path.basename(from)}`;
  await onDisk('set aside', from, async () => rename(from, to));
  await flushFolder(folder);
  await flushFolder(path.dirname(from));
  return to;
}

interface SetAside {
  readonly path: string;
  /** The file that says where it was and why it is here. */
  readonly record: string | undefined;
}

/** Everything that was set aside: with a record, or as migration leaves what is in its way, without. */
export function quarantinedItems(home: Home): SetAside[] {
  return namesIn(home.quarantineFolder).flatMap((name): SetAside[] => {
    const at = `${home.quarantineFolder}/${name}`;
    const record = `${at}/${RECORD}`;
    if (lookAt(record).kind !== 'found') return [{ path: at, record: undefined }];
    return namesIn(at).flatMap((each) => (each === RECORD ? [] : [{ path: `${at}/${each}`, record }]));
  });
}

/** What was set aside earlier, for people to decide about. */
export function checkQuarantine(home: Home): Finding[] {
  return quarantinedItems(home).map(({ path: at, record }) => {
    const where = record ?? `${home.cacheFolder}/.migrations.log`;
    const next = `read ${where}; delete it when nobody needs it`;
    return finding('quarantined', at, 'it was set aside', { next });
  });
}
