import { describeError } from '../errors.ts';
import { collectUnnamed, noteLostTag } from '../home/prune/collect.ts';
import type { Candidate } from '../home/prune/prune-candidate.ts';
import type { Digest } from '../names/digest.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';

/** A tag that leads, or is about to lead, to another image than before. */
export interface MovedTag {
  readonly name: RemoteName;
  readonly from: Digest;
}

/**
 * After tags moved: collects the images that lost their last one by that, as Tart does (tart-cli §4.6), and those that an earlier command had to
 * leave. Call without any image's lock. Never fails: what was pulled or pushed is there, whatever became of the old image.
 *
 * @param moved the tags, and what each led to before.
 */
export async function collectAfterMove(session: Session, moved: readonly MovedTag[]): Promise<void> {
  const [first] = moved;
  if (first === undefined) return;
  const subject = first.name.toString();
  try {
    for (const { name, from } of moved) await noteLostTag(session, name, from);
    const { deleted, spared } = await collectUnnamed(session);
    for (const image of deleted) tellDeleted(session, subject, image, 'replaced');
    for (const { error } of spared)
      session.emit({ kind: 'note', subject, text: `kept an old image: ${error.message}` });
  } catch (error) {
    session.emit({ kind: 'note', subject, text: `old images were not collected: ${describeError(error)}` });
  }
}

/** Nothing is deleted without a word. */
export function tellDeleted(session: Session, subject: string, candidate: Candidate, why: 'room' | 'replaced'): void {
  session.emit({
    kind: 'deleted',
    subject,
    name: candidate.name.toString(),
    bytes: candidate.bytes,
    unusedMs: session.now().getTime() - candidate.accessed.getTime(),
    why,
  });
}

/** What the tags among these names lead to now, where that is something else than `digest`. */
export async function tagsElsewhere(
  session: Session,
  names: readonly RemoteName[],
  digest: Digest,
): Promise<MovedTag[]> {
  const elsewhere: MovedTag[] = [];
  for (const name of names) {
    const from = name.tag === undefined ? undefined : await session.images.taggedDigest(name);
    if (from !== undefined && !from.equals(digest)) elsewhere.push({ name, from });
  }
  return elsewhere;
}
