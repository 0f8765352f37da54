import { describeError, isTartletError, TartletError } from '../errors.ts';
import { keepForPrefetch } from '../home/images/prefetch-mark.ts';
import { fitBudget } from '../home/prune/budget.ts';
import { makeRepository } from '../home/images/image-cache.ts';
import type { Digest } from '../names/digest.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';
import { tellDeleted } from '../transfer/collect.ts';
import { previewPull, type PullPreview } from '../transfer/pull/pull-preview.ts';
import { pullUnnamed } from '../transfer/pull/pull.ts';
import { changeEntry, noteEntry, type PrefetchEntry } from './record.ts';
import { switchTag } from './switch-tag.ts';
import type { WantedImage } from './wanted.ts';

/** How images are brought. */
export interface RefreshOptions {
  /** Most chunks at once; default 4. */
  readonly concurrency?: number | undefined;
  /** Most bytes that the whole cache may have. Default: what the disk has. */
  readonly diskBudgetBytes?: number | undefined;
}

/** What became of a wanted image. */
export type ImageOutcome = { readonly name: RemoteName } & (
  | {
      /** It is here, and its name leads to it. */
      readonly kind: 'ready';
      readonly digest: Digest;
      /** Whether the name leads elsewhere than before. */
      readonly isNew: boolean;
      /** Bytes that crossed the network. */
      readonly fetchedBytes: number;
    }
  | {
      /** The registry has the digest that the user went back from: nothing was changed. */
      readonly kind: 'held-back';
      readonly rejected: Digest;
    }
  /** Not now: these are quiet hours. What was fetched is kept. */
  | { readonly kind: 'quiet'; readonly until: Date }
  | { readonly kind: 'failed'; readonly error: TartletError }
);

/**
 * Brings what a wanted name means now: asks the registry for its digest, pulls that digest, verified, and then moves
 * the tag to it in one step. What the tag led to before stays, pinned, until the next one has come.
 *
 * @throws TartletError as `pull` does, and `DISK_FULL` for what does not fit into the budget.
 */
export async function refreshImage(
  session: Session,
  wanted: WantedImage,
  options: RefreshOptions,
): Promise<ImageOutcome> {
  const { name, insecure } = wanted;
  const key = name.toString();
  let rejected = false;
  await changeEntry(session, key, (entry) => ({
    ...entry,
    lastTry: session.now().toISOString(),
    nextTry: undefined,
  }));
  const preview = await previewPull(session, name, { insecure });
  const { digest } = preview;
  await changeEntry(session, key, (entry) => {
    rejected = entry.rejected === digest.toString();
    return rejected ? succeeded(session, entry) : { ...entry, underWay: digest.toString() };
  });
  if (rejected) return { kind: 'held-back', name, rejected: digest };
  const fetchedBytes = await bring(session, wanted, preview, options);
  const switched = await switchTag(session, name, digest, (entry) =>
    entry.rejected === digest.toString()
      ? undefined
      : {
          ...succeeded(session, entry),
          rejected: undefined,
          fetchedBytes: fetchedBytes > 0 ? fetchedBytes : entry.fetchedBytes,
        },
  );
  if (switched.kind === 'not-wanted') return { kind: 'held-back', name, rejected: digest };
  return { kind: 'ready', name, digest, isNew: preview.status !== 'present', fetchedBytes };
}

/** @returns bytes that crossed the network. */
async function bring(
  session: Session,
  { name, insecure }: WantedImage,
  preview: PullPreview,
  { concurrency, diskBudgetBytes }: RefreshOptions,
): Promise<number> {
  const subject = name.toString();
  if (preview.status === 'pulled' && diskBudgetBytes !== undefined) {
    const budget = { bytes: diskBudgetBytes, needed: preview.space.atMost, subject };
    for (const image of await fitBudget(session, budget)) tellDeleted(session, subject, image, 'room');
  }
  await session.home.prepare();
  await makeRepository(session.home, name);
  const options = { insecure, ...(concurrency === undefined ? {} : { concurrency }) };
  return (await pullUnnamed(session, name.withDigest(preview.digest), options, keepForPrefetch)).fetchedBytes;
}

function succeeded(session: Session, entry: PrefetchEntry): PrefetchEntry {
  return { ...entry, lastSuccess: session.now().toISOString(), error: undefined, failures: 0, underWay: undefined };
}

/** Remembers a failure; the next try may come sooner for it. */
export async function noteFailure(session: Session, name: RemoteName, error: unknown): Promise<TartletError> {
  const known = isTartletError(error)
    ? error
    : new TartletError('INTERNAL', describeError(error), { subject: name.toString(), cause: error });
  const said = { code: known.code, message: known.message };
  await noteEntry(session, name.toString(), (entry) => ({
    ...entry,
    error: said,
    failures: entry.failures + 1,
    underWay: undefined,
  }));
  return known;
}
