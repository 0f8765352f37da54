import { setImmediate } from 'node:timers/promises';
import { isTartletError } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { Home } from '../home/home.ts';
import { CacheEntry, RootEntry } from '../home/home-entry.ts';
import { LocalVms } from '../home/vms/local-vms.ts';
import { Unreadable } from '../fs/unreadable.ts';
import { FileLock, DIRECTORY_LOCK } from '../fs/lock/lock.ts';
import { lookAtVmDirectory } from '../home/vm-directory.ts';
import type { Store } from '../home/prune/prune-candidate.ts';
import { AccessCheck } from './access.ts';
import { type AddressReport, checkAddresses } from './address.ts';
import { checkContent } from './content.ts';
import { finding, type Finding, type ImagePlace, unreadable } from './finding.ts';
import { checkImageDirectory, type ImageContext } from './image-directory.ts';
import { checkLinks } from './link.ts';
import { checkLocalVms, type ConfigReader } from './local-vm.ts';
import { kindText, lookAt, lookInto } from '../fs/probe.ts';
import { checkQuarantine } from './quarantine.ts';
import { type CacheTree, walkTree } from './tree.ts';
import { checkUnfinished } from './unfinished.ts';
import { checkNames } from './unnamed.ts';

/** Image directories that are looked at between two looks at the signal. */
const IMAGES_PER_TURN = 64;

const ROOT_ENTRIES: ReadonlySet<string> = new Set([...Object.values(RootEntry), DIRECTORY_LOCK]);
const CACHE_ENTRIES: ReadonlySet<string> = new Set(Object.values(CacheEntry));

/** What there is in a home, in numbers. */
export interface HomeTotals {
  readonly images: number;
  readonly tags: number;
  readonly vms: number;
  /** Bytes of the images' files as they look, and as they occupy the disk; what stacked images share is not in it. */
  readonly imageBytes: number;
  readonly imageBytesOnDisk: number;
}

/** What a check of a home without any network and without reading disks found. */
export interface HomeCheck {
  readonly findings: readonly Finding[];
  readonly totals: HomeTotals;
  /** Every image directory, for the deep check. */
  readonly images: readonly ImagePlace[];
  readonly needsMigration: boolean;
}

/**
 * Checks a whole home: names, symlinks, image directories, records, the content store, local VMs, unfinished work,
 * locks and permissions. Changes nothing, not even a lock file, so that it works on read-only homes and full disks
 * (reliability D10, D29); commands at work are not disturbed, and what they are changing is not taken for damage
 * (reliability P18).
 *
 * @throws the reason of the signal.
 */
export async function checkHome(store: Store, readConfig: ConfigReader): Promise<HomeCheck> {
  const { contents, platform } = store;
  // Nothing is passed over here without a word: what cannot be looked at is a finding.
  const home = new Home(store.home.root);
  const access = new AccessCheck(home.root);
  const tree = walkTree(home.imagesDirectory);
  const links = checkLinks(home.imagesDirectory, tree);
  const addresses = lookAtAddresses(home);
  const findings: Finding[] = [
    ...checkEntries(home.root, ROOT_ENTRIES, access),
    ...checkEntries(home.cacheDirectory, CACHE_ENTRIES, access),
    ...tree.directories.flatMap((directory) => access.lookIfThere(directory)),
    ...tree.findings,
    ...addresses.findings,
    ...[...checkNames(home.imagesDirectory, tree), ...links.findings].filter(
      ({ path }) => !addresses.explained.has(path),
    ),
  ];
  const around: ImageContext = { contents, access, references: links.references };
  for (const [index, place] of tree.images.entries()) {
    if (index % IMAGES_PER_TURN === 0) {
      await setImmediate();
      store.signal?.throwIfAborted();
    }
    findings.push(...(await checkImage(store, place, around)));
  }
  findings.push(
    ...checkContent(home, access),
    ...checkLocalVms(home, contents, access, readConfig),
    ...(await checkUnfinished({ home, platform, now: store.now() })),
    ...checkQuarantine(home),
  );
  return {
    findings,
    totals: totalsOf(tree, new LocalVms(home, platform, contents)),
    images: tree.images,
    needsMigration: addresses.needsMigration,
  };
}

/** What cannot be read is reported by the walk already. */
function lookAtAddresses(home: Home): AddressReport {
  try {
    return checkAddresses(home);
  } catch (error) {
    if (isTartletError(error)) return { findings: [], explained: new Set(), needsMigration: false };
    throw error;
  }
}

/** Damage is looked at twice: another process may have been in the middle of replacing or deleting the image. */
async function checkImage(store: Store, place: ImagePlace, around: ImageContext): Promise<Finding[]> {
  const first = checkImageDirectory(place, around);
  if (!first.some((each) => each.severity === 'damage')) return first;
  if (await isBusy(store, place)) return [busyFinding(place)];
  return checkImageDirectory(place, around);
}

async function isBusy(store: Store, { digest }: ImagePlace): Promise<boolean> {
  try {
    return await FileLock.isHeld(store.home.lockFile(digest.hex));
  } catch {
    return false; // A lock that cannot be asked: a finding of its own.
  }
}

export function busyFinding(place: ImagePlace): Finding {
  const next: Hint = { kind: 'run-doctor-later' };
  return finding('image-busy', place.path, 'another command is changing it', { name: place.name?.toString(), next });
}

function checkEntries(directory: string, known: ReadonlySet<string>, access: AccessCheck): Finding[] {
  const entries = lookInto(directory);
  if (entries.kind === 'failed') return [unreadable(directory, entries.why)];
  if (entries.kind === 'gone') return [];
  const findings = access.lookIfThere(directory);
  for (const entry of entries.value) {
    const at = `${directory}/${entry.name}`;
    const look = known.has(entry.name) ? lookAt(at) : undefined;
    if (look === undefined) findings.push(finding('foreign-entry', at, `${kindText(entry)} that is not of Tart's`));
    else if (look.kind === 'found') findings.push(...access.look(at, look.value));
  }
  return findings;
}

/** None where the whole directory cannot be read, which is a finding. */
function countVms(vms: LocalVms): number {
  try {
    return vms.list().length;
  } catch (error) {
    if (isTartletError(error)) return 0;
    throw error;
  }
}

function totalsOf(tree: CacheTree, vms: LocalVms): HomeTotals {
  const unread = new Unreadable();
  let imageBytes = 0;
  let imageBytesOnDisk = 0;
  for (const place of tree.images) {
    const directory = unread.passOver(place.path, () => lookAtVmDirectory(place.path));
    imageBytes += directory?.logicalBytes ?? 0;
    imageBytesOnDisk += directory?.allocatedBytes ?? 0;
  }
  return {
    images: tree.images.length,
    tags: tree.links.filter((link) => !link.isLeftover).length,
    vms: countVms(vms),
    imageBytes,
    imageBytesOnDisk,
  };
}
