import { TartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';
import { type PrefetchEntry, readPrefetchRecord, whileRecordIsHeld } from './record.ts';
import { releaseUnneeded } from './release.ts';
import { switchTag } from './switch-tag.ts';

/** Where a tag was led back to. */
export interface RolledBack {
  readonly name: RemoteName;
  /** What it leads to now. */
  readonly digest: Digest;
  /** What it led to until now: not taken again, unless by another rollback. */
  readonly rejected: Digest | undefined;
}

/**
 * Leads a tag back to the image that it led to before, without any network and in one step. The image that it leads to
 * now is not taken again by prefetch, until the registry has another one; a second rollback undoes the first.
 *
 * @throws TartletError `NOT_FOUND` for a name that is not prefetched, or has no image before this one; `VM_NOT_FOUND`
 * when that has gone
 */
export async function rollBack(session: Session, name: RemoteName): Promise<RolledBack> {
  const key = name.toString();
  const entry = (await readPrefetchRecord(session.home)).images[key];
  const now = await session.images.taggedDigest(name);
  const previous = targetOf(name, entry, now?.toString());
  await session.images.require(name.withDigest(previous), 'read');
  const switched = await switchTag(session, name, previous, (each) =>
    each.digest === entry?.digest && each.previous === entry?.previous
      ? { ...each, rejected: rejectedBy(each, previous, now) }
      : undefined,
  );
  if (switched.kind === 'not-wanted') {
    throw new TartletError('BUSY', `another image of ${key} has come meanwhile`, { subject: key, retryable: true });
  }
  return { name, digest: previous, rejected: now?.equals(previous) === true ? undefined : now };
}

/** @param now what the tag leads to. */
function targetOf(name: RemoteName, entry: PrefetchEntry | undefined, now: string | undefined): Digest {
  const key = name.toString();
  if (entry === undefined) {
    throw new TartletError('NOT_FOUND', `${key} is not prefetched`, {
      subject: key,
      next: { kind: 'prefetch-first', image: key },
    });
  }
  const { digest, previous, rejected } = entry;
  // A rollback that was killed before its last step, or a tag that another command has moved.
  const isBeside = now !== digest && (now === rejected || now !== previous);
  const text = isBeside ? digest : previous;
  const target = text === undefined || text === now ? undefined : Digest.tryParse(text);
  if (target !== undefined) return target;
  throw new TartletError('NOT_FOUND', `no image of ${key} from before this one is kept`, {
    subject: key,
    next: { kind: 'list-images' },
  });
}

/** Going forward again to what was rejected rejects nothing. */
function rejectedBy(entry: PrefetchEntry, to: Digest, from: Digest | undefined): string | undefined {
  return entry.rejected === to.toString() ? undefined : from?.toString();
}

/**
 * Forgets an image: it is not refreshed any more, and what was kept for it is let go. Its tag and the image that it
 * leads to stay.
 *
 * @returns whether it was known.
 */
export async function forgetPrefetched(session: Session, name: RemoteName): Promise<boolean> {
  return whileRecordIsHeld(session, async (record, write) => {
    const { [name.toString()]: known, ...images } = record.images;
    if (known === undefined) return false;
    const next = { ...record, images };
    await write(next);
    await releaseUnneeded(session, next);
    return true;
  });
}
