import { existsSync } from 'node:fs';
import { RegistryAddress } from '../names/registry-address.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { Home } from '../home/home.ts';
import { encodeRegistry } from '../home/layout.ts';
import { FileLock } from '../fs/lock/lock.ts';
import { type CarriedOut, carryOut } from './carry-out.ts';
import type { CacheFacts } from './cache-facts.ts';
import type { EvidenceSource } from './evidence.ts';
import type { UserOverride } from './ownership.ts';
import { planMigration } from './plan.ts';
import type { Kept } from './relocate.ts';
import { removeEmptyHosts } from './empty-host.ts';
import { finishRemovals } from '../home/prune/sweep.ts';
import { isInOrder, listTop, readMarker, withoutHosts, writeMarker } from './marker.ts';
import { hasWork, type Plan, type Skipped, type StepHook } from './step.ts';
import type { MigrationStore } from './store.ts';
import { surveyImages } from './survey.ts';

/**
 * What comes of one round may make room for the next, e.g. when two tags change places. More rounds than this mean that
 * another process keeps changing the cache.
 */
const MAX_ROUNDS = 8;

/** An image that got, or would get, its true name. */
export interface MovedImage {
  /** Path where it lay. */
  readonly from: string;
  readonly to: RemoteName;
  readonly because: EvidenceSource;
}

/** What migration did. */
export interface MigrationReport {
  readonly moved: readonly MovedImage[];
  /** How many symlinks were written anew. */
  readonly tags: number;
  /** How many images nothing leads to were marked, so that Tart's collection keeps them. */
  readonly protected: number;
  /** Paths of images that another process used; the next command tries again. */
  readonly busy: readonly string[];
  /** Images that were quarantined: another one of their digest has their place, and might not be the same. */
  readonly kept: readonly Kept[];
  readonly stays: readonly Skipped[];
}

/** What migration would do. */
export interface CacheSurvey {
  readonly needed: boolean;
  readonly moves: readonly MovedImage[];
  readonly links: readonly { readonly from: string; readonly to: string; readonly text: string }[];
  /** Paths of images that would be marked. */
  readonly protects: readonly string[];
  readonly stays: readonly Skipped[];
}

export interface MigrationOptions {
  /** Look at everything, even when the cache looks at its top as it was left. Default: no. */
  readonly thorough?: boolean;
  /** Called once when another command is migrating this cache, and we wait. */
  readonly onWait?: () => void;
  /** @internal for tests, which end everything at a step. */
  readonly onStep?: StepHook;
}

/**
 * Brings a cache of any Tart, or one that was renamed, merged or moved by hand, to the names and symlinks that Tart
 * writes today. Nothing complete is deleted, nothing is guessed, and after a kill in the middle the next call
 * continues. A cache that is in order costs one look at its top. Call it before anything that could collect.
 *
 * @throws TartletError `DISK_*`; a cache that cannot be written to stays usable as it is.
 */
export async function migrateCache(store: MigrationStore, options: MigrationOptions = {}): Promise<MigrationReport> {
  if (options.thorough === true ? listTop(store.home).length === 0 : isInOrder(store.home)) return NOTHING;
  return settle(store, undefined, options);
}

/** What {@link migrateCache} would do now, and what it would leave. Changes nothing. @throws TartletError `DISK_*` */
export function surveyCache(store: Pick<MigrationStore, 'home'>): CacheSurvey {
  const { plan } = look(store, undefined);
  return {
    needed: hasWork(plan),
    moves: movedImages(plan),
    links: plan.relocations.flatMap(({ links }) => links.map(({ link, to, text }) => ({ from: link.path, to, text }))),
    protects: plan.protect.map(({ path }) => path),
    stays: plan.stays,
  };
}

/**
 * Moves what lies in a registry's directory to another registry, by the user's override: what no record and no symlink
 * proves to be from elsewhere.
 *
 * @param from an address, `host` or `host:port`, or the very name of a directory below `cache/OCIs` that no address
 * has.
 * @throws TartletError `DISK_*`
 */
export async function assignRegistry(
  store: MigrationStore,
  from: string,
  to: RegistryAddress,
  options: MigrationOptions = {},
): Promise<MigrationReport> {
  return settle(store, { directory: directoryNamed(from), registry: to }, options);
}

/** Whether there is anything to {@link assignRegistry}. */
export function isRegistryCached(home: Home, from: string): boolean {
  return existsSync(`${home.imagesDirectory}/${directoryNamed(from)}`);
}

function directoryNamed(from: string): string {
  const address = RegistryAddress.tryParse(from);
  return address === undefined ? from : encodeRegistry(address);
}

async function settle(
  store: MigrationStore,
  override: UserOverride | undefined,
  options: MigrationOptions,
): Promise<MigrationReport> {
  const top = listTop(store.home);
  // What an earlier migration was removing when it was killed.
  await finishRemovals(store);
  const { facts, plan } = look(store, override);
  if (!hasWork(plan)) {
    await writeMarker(store.home, withoutHosts(top, [...facts.unseenHosts]));
    return { ...NOTHING, stays: plan.stays };
  }
  let isTold = false;
  const lock = await FileLock.acquire(store.home.lockFile('migration'), {
    mode: 'exclusive',
    wait: true,
    signal: store.signal,
    onWait: () => {
      if (!isTold) options.onWait?.();
      isTold = true;
    },
  });
  try {
    return await carryOutAll(store, override, options.onStep ?? (() => undefined));
  } finally {
    await lock?.release();
  }
}

async function carryOutAll(
  store: MigrationStore,
  override: UserOverride | undefined,
  step: StepHook,
): Promise<MigrationReport> {
  let report = NOTHING;
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const top = listTop(store.home);
    const { facts, plan } = look(store, override);
    report = { ...report, stays: plan.stays };
    if (!hasWork(plan)) {
      const gone = await removeEmptyHosts(facts, step);
      await step('marker');
      await writeMarker(store.home, withoutHosts(top, [...gone, ...facts.unseenHosts]));
      return report;
    }
    const outcome = await carryOut(store, plan, step);
    report = add(report, plan, outcome);
    if (outcome.done.length === 0 && outcome.busy.length + outcome.denied.length > 0) return report;
  }
  return report;
}

function look(
  { home }: Pick<MigrationStore, 'home'>,
  override: UserOverride | undefined,
): { facts: CacheFacts; plan: Plan } {
  const firstLook = readMarker(home, listTop(home)) === 'never';
  const facts = surveyImages(home, { overridden: override?.directory });
  return { facts, plan: planMigration(facts, { override, firstLook }) };
}

const NOTHING: MigrationReport = { moved: [], tags: 0, protected: 0, busy: [], kept: [], stays: [] };

function add(report: MigrationReport, plan: Plan, { done, busy, kept }: CarriedOut): MigrationReport {
  const lasting = plan.protect.filter((image) =>
    plan.relocations.every((each) => each.image !== image || !each.isLinked),
  );
  return {
    moved: [...report.moved, ...movedImages({ relocations: done })],
    tags: report.tags + done.reduce((sum, { links }) => sum + links.length, 0),
    protected: report.protected + lasting.length,
    busy: busy.map(({ image }) => image.path),
    kept: [...report.kept, ...kept],
    stays: report.stays,
  };
}

function movedImages({ relocations }: Pick<Plan, 'relocations'>): MovedImage[] {
  return relocations.flatMap(({ image, to }) =>
    to === undefined ? [] : [{ from: image.path, to: to.name, because: to.by }],
  );
}
