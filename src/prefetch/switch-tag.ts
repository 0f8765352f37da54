import { TO_READ, whileHeld } from '../home/images/image-lock.ts';
import { keepForPrefetch } from '../home/images/prefetch-mark.ts';
import type { Digest } from '../names/digest.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';
import { collectAfterMove } from '../transfer/collect.ts';
import { type PrefetchEntry, whileRecordIsHeld, withEntry } from './record.ts';
import { releaseUnneeded } from './release.ts';

/** What became of a tag. */
export type Switched =
  /** It leads to the digest; `from` is what it led to before, if that was another image. */
  | { readonly kind: 'switched'; readonly from: Digest | undefined }
  /** The user went back from that digest meanwhile, or wants the image no more. */
  | { readonly kind: 'not-wanted' };

/**
 * Makes a tag lead to an image that is here, in one step; whatever comes between, it leads to the old image or to the
 * new one, both whole. The order is what a kill must not tear: both images are kept, the record names both, the symlink
 * is replaced, and only then is the one before the old one let go.
 *
 * @param amend what the record says besides.
 * @throws TartletError `VM_NOT_FOUND` when the image has gone meanwhile, `DISK_*`
 */
export async function switchTag(
  session: Session,
  name: RemoteName,
  digest: Digest,
  amend: (entry: PrefetchEntry) => PrefetchEntry | undefined,
): Promise<Switched> {
  const key = name.toString();
  const outcome = await whileRecordIsHeld(session, async (record, write): Promise<Switched> => {
    const entry = record.images[key];
    const next = entry === undefined ? undefined : amend(entry);
    if (entry === undefined || next === undefined) return { kind: 'not-wanted' };
    const before = await session.images.find(name);
    const isMoving = name.tag !== undefined && before?.digest.equals(digest) === false;
    if (isMoving) await keepForPrefetch(before.directory.path);
    const previous = isMoving ? before.digest.toString() : previousOf(entry, digest);
    await write(withEntry(record, key, { ...next, digest: digest.toString(), previous, underWay: undefined }));
    const from = name.tag === undefined ? undefined : await linkHeld(session, name, digest);
    return { kind: 'switched', from };
  });
  if (outcome.kind === 'switched') {
    if (outcome.from !== undefined) await collectAfterMove(session, [{ name, from: outcome.from }]);
    await whileRecordIsHeld(session, async (record) => releaseUnneeded(session, record));
  }
  return outcome;
}

/**
 * Another command may have moved the tag to where it should lead: then what prefetch had made of it is what was before.
 */
function previousOf(entry: PrefetchEntry, digest: Digest): string | undefined {
  return entry.digest === digest.toString() ? entry.previous : (entry.digest ?? entry.previous);
}

async function linkHeld(session: Session, name: RemoteName, digest: Digest): Promise<Digest | undefined> {
  return whileHeld(
    session.images,
    digest,
    { ...TO_READ, signal: session.signal },
    async () => session.images.require(name.withDigest(digest), 'read'),
    async () => {
      // A symlink that says so already is not made anew.
      if (await session.images.isLinked(name, digest)) return undefined;
      return session.images.nameImage(name, digest, session.now());
    },
  );
}
