import { TartletError } from '../errors.ts';
import type { CachedImage } from '../home/images/image-cache.ts';
import { markedState } from '../home/unmodified-marker.ts';
import { fileState } from '../fs/file-state.ts';
import { readSmallFile } from '../fs/small-file.ts';
import { TO_READ, whileHeld } from '../home/images/image-lock.ts';
import { baseManifest } from '../home/images/known-manifest.ts';
import { readPushRecord } from '../home/push-record.ts';
import { isSuspended, VmFile } from '../home/vm-directory.ts';
import { requireWholeVm } from '../lazy-disk/arrival/whole-vm.ts';
import { LocalName } from '../names/local-name.ts';
import { RemoteName } from '../names/remote-name.ts';
import { refuseUpperCase } from '../names/upper-case.ts';
import { type PopulateSource, populateCache } from '../transfer/push/populate.ts';
import {
  type DiskHistory,
  type PushOptions,
  type PushOutcome,
  type PushSource,
  pushToRepository,
} from '../transfer/push/push.ts';
import { tellOfChangedDisk } from '../transfer/push/changed-disk.ts';
import { pushCachedImage } from '../transfer/push/push-cached.ts';
import type { Session } from '../session/session.ts';
import { diskChanged } from '../chunks/still-disk.ts';
import { parseVmConfig } from './config-file.ts';
import { tellMemoryStays } from './memory-stays.ts';
import { pushToAll } from './push-all.ts';

/** Names to push to, at least one. */
export type PushNames = readonly [RemoteName, ...RemoteName[]];

/** How a VM or a cached image is pushed. */
export interface PushVmOptions extends PushOptions {
  /** Leave the upload time out, so that the same VM always gives the same digest. */
  readonly reproducible?: boolean;
  /** Have the image in the local cache afterwards, under the names it was pushed to. */
  readonly populateCache?: boolean;
  /** Told of each repository as soon as it has everything: a later one may fail. */
  readonly onPushed?: (outcome: PushOutcome) => void;
}

/**
 * Uploads a local VM, or sends a cached image on as it is, under one or more names; names of one repository share one
 * upload. While it lasts a VM counts as running, so that no other process starts or deletes it (tart-cli §4.3), and an
 * image cannot be pulled over or deleted. A VM whose disk has not arrived yet gets it first.
 *
 * @returns one outcome per repository, in the order of the names.
 * @throws TartletError `VM_NOT_FOUND`, `BUSY` when the VM runs or is being pushed, and those of
 * {@link pushToRepository} and {@link pushCachedImage}. A repository that fails does not keep the others from being
 * served; `kept` then names those that were.
 */
export async function pushVm(
  session: Session,
  sourceText: string,
  names: PushNames,
  options: PushVmOptions = {},
): Promise<PushOutcome[]> {
  // All of them, before anything is sent to the first.
  for (const name of names) refuseUpperCase(name);
  if (options.populateCache === true) for (const name of names) await session.images.refuseCollision(name);
  return RemoteName.looksRemote(sourceText)
    ? pushImage(session, RemoteName.parse(sourceText), names, options)
    : pushLocal(session, LocalName.ofExisting(sourceText), names, options);
}

async function pushLocal(
  session: Session,
  name: LocalName,
  names: PushNames,
  options: PushVmOptions,
): Promise<PushOutcome[]> {
  const { concurrency } = options;
  const vm = await requireWholeVm(session, name, { what: 'pushed', concurrency });
  const lock = await session.vms.holdForReading(vm);
  try {
    await session.vms.touch(vm, session.now());
    if (isSuspended(vm.directory)) tellMemoryStays(session, name.text, 'pushed');
    const source = await openSource(session, vm.directory.path, vm.directory.layout, name, options);
    const files = options.populateCache === true ? await unchanging(source) : undefined;
    // What is stored without being read would be published on the word of an unmodified marker.
    const how = options.populateCache === true ? 'read' : 'believe-marker';
    return await pushToAll(session, names, options.onPushed, async (group) => {
      // Anew for each: one repository may mount what the one before it has.
      const history = await historyOf(session, vm.directory.path, how);
      const outcome = await pushToRepository(session, { ...source, history }, group, options);
      if (files !== undefined) await populateCache(session, files, outcome);
      return outcome;
    });
  } finally {
    await lock?.release();
  }
}

async function openSource(
  session: Session,
  directory: string,
  layout: string,
  name: LocalName,
  options: PushVmOptions,
): Promise<Omit<PushSource, 'history'>> {
  if (layout !== 'standalone') {
    throw new TartletError('NEEDS_MACOS', `"${name.text}" is a stacked VM: only macOS 27 can read its disk`, {
      subject: name.text,
    });
  }
  // The very bytes of the file: a clone of the pulled image is then the same to the last byte, unknown keys included.
  const bytes = await readSmallFile(`${directory}/${VmFile.config}`);
  const { os, arch, diskFormat } = parseVmConfig(bytes, name.text);
  // One time for all repositories: they then get one digest.
  const uploadTime = options.reproducible === true ? undefined : session.now();
  return { directory, vm: { os, arch, diskFormat }, config: bytes, uploadTime };
}

/** What the disk of a VM was before, and whether it is known to be just that. */
async function historyOf(
  { platform }: Session,
  directory: string,
  how: 'read' | 'believe-marker',
): Promise<DiskHistory> {
  const base = baseManifest(directory);
  const pushed = await readPushRecord(directory);
  const history = { base: base?.base, pushed };
  if (how === 'read') return history;
  for (const image of [base, pushed?.image]) {
    const state = image === undefined ? undefined : await markedState(directory, image.manifest.digest, platform);
    if (image !== undefined && state !== undefined) return { ...history, unmodified: { disk: image.base, state } };
  }
  return history;
}

/**
 * The files of a VM as they are now, and a way to find out later that another process wrote to them in spite of the
 * lock.
 */
async function unchanging({ directory, config }: Omit<PushSource, 'history'>): Promise<PopulateSource> {
  const files = [VmFile.disk, VmFile.nvram].map((file) => `${directory}/${file}`);
  const look = async (): Promise<string[]> => Promise.all(files.map(async (file) => (await fileState(file)).written));
  const before = await look();
  const confirm = async (): Promise<void> => {
    const now = await look();
    const at = files.find((_, index) => now[index] !== before[index]);
    if (at !== undefined) throw diskChanged(at, 'push', 'the image is in the registry');
  };
  return { directory, config, confirm };
}

async function pushImage(
  session: Session,
  source: RemoteName,
  names: PushNames,
  options: PushVmOptions,
): Promise<PushOutcome[]> {
  const ignored = options.labels !== undefined && options.labels.size > 0;
  const isCutAnew = options.diskChunkBytes !== undefined || options.pieces === true;
  if (ignored || isCutAnew || options.reproducible === true) {
    const text = 'a cached image is sent as it is: labels, layer size and the like do not apply';
    session.emit({ kind: 'note', subject: names[0].toString(), text });
  }
  const image = await session.images.require(source, 'push');
  tellOfChangedDisk(
    session,
    { text: source.toString(), directory: image.directory.path, digest: image.digest },
    'what is sent is the image as it was pulled, without the changes',
  );
  return pushToAll(session, names, options.onPushed, async (group) => {
    const outcome = await underLock(session, image, async () => pushCachedImage(session, image, group, options));
    // After the lock is released: storing takes it exclusively.
    if (options.populateCache === true) await populateCache(session, { directory: image.directory.path }, outcome);
    return outcome;
  });
}

/** Holds the image's lock for reading: what is being sent cannot be pulled over, deleted or collected. */
async function underLock<T>(session: Session, image: CachedImage, work: () => Promise<T>): Promise<T> {
  return whileHeld(
    session.images,
    image.digest,
    { ...TO_READ, signal: session.signal },
    async () => session.images.require(image.name.withDigest(image.digest), 'push'),
    async () => {
      await session.images.touch(image.directory.path, session.now());
      return work();
    },
  );
}
