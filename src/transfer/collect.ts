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
 * After tags moved: collects the images that lost their last one by that, as Tart does (tart-cli §4.6), and those that
 * an earlier command had to leave. Call without any image's lock. Never fails: what was pulled or pushed is there,
 * whatever became of the old image.
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

/**
 * Makes names lead to an image that is here, and records that it was used. Call while it is held, alone.
 *
 * @param names of one repository.
 * @returns the tags among them that led to another image before, for {@link collectAfterMove}.
 */
export async function nameImage(session: Session, names: readonly RemoteName[], digest: Digest): Promise<MovedTag[]> {
  const moved: MovedTag[] = [];
  for (const name of names) {
    const from = await session.images.nameImage(name, digest, session.now());
    if (from !== undefined) moved.push({ name, from });
  }
  return moved;
}
