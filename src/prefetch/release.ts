import { keepForPrefetch, isKeptForPrefetch, releaseFromPrefetch } from '../home/images/prefetch-mark.ts';
import { lookAtVmDirectory } from '../home/vm-directory.ts';
import { imagesInUse } from '../home/prune/images-in-use.ts';
import { Digest } from '../names/digest.ts';
import { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';
import { collectAfterMove, type MovedTag } from '../transfer/collect.ts';
import type { PrefetchEntry, PrefetchRecord } from './record.ts';

/**
 * Keeps what is wanted and here: the image that each tag leads to now, and the one before it. An ordinary pull may have
 * brought or moved it, and no deletion for room may take it.
 */
export async function keepWanted(session: Session, record: PrefetchRecord): Promise<void> {
  for (const directory of await neededBy(session, record)) {
    if (lookAtVmDirectory(directory) !== undefined) await keepForPrefetch(directory);
  }
}

/**
 * Lets go of every image that prefetch kept and that no entry of the record names any more, and collects those that no
 * tag leads to. The image of a VM that runs is kept for as long as it does. What was let go of before a kill is found
 * again: the images themselves say who keeps them.
 */
export async function releaseUnneeded(session: Session, record: PrefetchRecord): Promise<void> {
  const needed = await neededBy(session, record);
  const used = await imagesInUse(session);
  const released: MovedTag[] = [];
  for (const { kind, name, path: directory } of session.images.walk().entries) {
    const { digest } = name;
    if (kind === 'tag' || digest === undefined || needed.has(directory) || used.has(digest.toString())) continue;
    const isKept = await session.home.unreadable.passOverLater(directory, async () => isKeptForPrefetch(directory));
    if (isKept !== true) continue;
    await releaseFromPrefetch(directory);
    released.push({ name, from: digest });
  }
  await collectAfterMove(session, released);
}

/** Directories of images, whether or not they are there. */
async function neededBy(session: Session, record: PrefetchRecord): Promise<ReadonlySet<string>> {
  const needed = new Set<string>();
  for (const [key, entry] of Object.entries(record.images)) {
    const name = RemoteName.tryParse(key);
    if (name === undefined) continue;
    const now = name.digest ?? (await session.images.taggedDigest(name));
    for (const digest of [...digestsOf(entry), ...(now === undefined ? [] : [now])])
      needed.add(session.images.directoryOf(name, digest));
  }
  return needed;
}

function digestsOf({ digest, previous, underWay }: PrefetchEntry): Digest[] {
  return [digest, previous, underWay].flatMap((text) => (text === undefined ? [] : (Digest.tryParse(text) ?? [])));
}
