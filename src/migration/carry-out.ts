import { isTartletError } from '../errors.ts';
import { removeLink, replaceLink } from '../home/link.ts';
import { FileLock } from '../fs/lock/lock.ts';
import { kindOf, linkText } from '../fs/stats.ts';
import type { ImageFact } from './cache-facts.ts';
import { logPlan } from './log.ts';
import { protect } from '../home/images/explicit-mark.ts';
import { type Kept, recase, Relocator } from './relocate.ts';
import type { HostLinkMove, Plan, Relocation, StepHook } from './step.ts';
import type { MigrationStore } from './store.ts';

/** What was done of a plan. */
export interface CarriedOut {
  readonly done: readonly Relocation[];
  /** What another process uses now. The next command tries again. */
  readonly busy: readonly Relocation[];
  /** What is of another user. It stays where it is. */
  readonly denied: readonly ImageFact[];
  readonly kept: readonly Kept[];
}

/**
 * Carries out a plan, in an order in which a kill at any moment loses nothing: the log first, then marks against Tart's
 * collection, then records, which from then on prove where each image belongs, then image by image the symlinks and the
 * directory. Everything is looked at again right before it is changed; what changed meanwhile is left to the next look.
 *
 * @throws TartletError `DISK_*`
 */
export async function carryOut(store: MigrationStore, plan: Plan, step: StepHook): Promise<CarriedOut> {
  const denied = new Set<ImageFact>();
  const unlessDenied = async (image: ImageFact, work: () => Promise<void>): Promise<void> => {
    try {
      if (!denied.has(image)) await work();
    } catch (error) {
      if (!isTartletError(error, 'DISK_DENIED')) throw error;
      store.home.unreadable.note(image.path, error);
      denied.add(image);
    }
  };
  await step('log');
  await logPlan(store.home, plan, store.now());
  for (const image of plan.protect) {
    if ((await kindOf(image.path)) !== 'directory') continue;
    await step(`protect ${image.path}`);
    await unlessDenied(image, async () => protect(image.path));
  }
  const relocator = new Relocator(store, step);
  for (const relocation of plan.relocations)
    await unlessDenied(relocation.image, async () => relocator.record(relocation));
  for (const link of plan.inTheWay) {
    await step(`unlink ${link.path}`);
    await removeLink(link.path, link.text, store.home.stagingDirectory);
  }
  const outcome: { done: Relocation[]; busy: Relocation[] } = { done: [], busy: [] };
  const hosts = new HostLocks(store);
  try {
    for (const relocation of plan.relocations) {
      store.signal?.throwIfAborted();
      await unlessDenied(relocation.image, async () => {
        const isOurs = await hosts.take(relocation);
        if (isOurs) await recaseHost(store, relocation);
        if (isOurs && (await relocator.relocate(relocation))) outcome.done.push(relocation);
        else outcome.busy.push(relocation);
      });
    }
  } finally {
    await hosts.release();
  }
  for (const move of plan.hostLinks) await redirect(move, store, step);
  return { ...outcome, denied: [...denied], kept: relocator.kept };
}

async function redirect({ link, text }: HostLinkMove, { home }: MigrationStore, step: StepHook): Promise<void> {
  if (linkText(link.path) !== link.text) return;
  await step(`redirect ${link.path}`);
  await replaceLink(link.path, text, home);
}

async function recaseHost({ home }: MigrationStore, { image, to }: Relocation): Promise<void> {
  const directory = to?.path.slice(home.imagesDirectory.length + 1).split('/', 1)[0];
  if (directory === undefined || directory.toLowerCase() !== image.host.toLowerCase()) return;
  await recase(`${home.imagesDirectory}/${image.host}`, `${home.imagesDirectory}/${directory}`);
}

/**
 * The locks that Tart takes while it pulls from a registry (tart-formats §1.9). It runs only on macOS, and only there
 * can we see them.
 */
class HostLocks {
  readonly #store: MigrationStore;
  readonly #locks = new Map<string, FileLock | undefined>();

  constructor(store: MigrationStore) {
    this.#store = store;
  }

  /** @returns false while Tart pulls from the registry whose directory an image lies in. */
  async take({ image }: Relocation): Promise<boolean> {
    const { platform, home } = this.#store;
    if (platform !== 'darwin') return true;
    if (!this.#locks.has(image.host)) {
      const directory = `${home.imagesDirectory}/${image.host}`;
      this.#locks.set(
        image.host,
        await FileLock.acquireDirectory(directory, platform, { mode: 'exclusive', wait: false }),
      );
    }
    return this.#locks.get(image.host) !== undefined;
  }

  async release(): Promise<void> {
    for (const lock of this.#locks.values()) await lock?.release();
  }
}
