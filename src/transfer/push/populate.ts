import { describeError, TartletError } from '../../errors.ts';
import { copyDisk, copySmallFile } from '../../fs/disk/disk-copy.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { writeNewFile } from '../../fs/fsync.ts';
import { exists } from '../../fs/stats.ts';
import { makeRepository } from '../../home/images/image-cache.ts';
import { whileHeld } from '../../home/images/image-lock.ts';
import { originOfImage, writeOrigin } from '../../home/origin.ts';
import { removeEntry } from '../../fs/remove.ts';
import { Staging } from '../../home/staging.ts';
import { VmFile } from '../../home/vm-directory.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { collectAfterMove, nameImage } from '../collect.ts';
import type { PushOutcome } from './push.ts';
import type { Session } from '../../session/session.ts';

/** The files of what was pushed. They must not change meanwhile. */
export interface PopulateSource {
  readonly directory: string;
  /** What was pushed as the VM's configuration, when it is not simply the file. */
  readonly config?: Uint8Array;
  /** Throws when the files are no longer what was pushed. Asked after they were copied. */
  readonly confirm?: () => Promise<void>;
}

/**
 * Puts what was just pushed into the cache, under the very names it was pushed to, port and all; no network is needed.
 * Disk blocks are shared with the source where the file system can. What is in the cache already is only named.
 *
 * @throws TartletError `NAME_COLLISION`, `DISK_*`; `kept` tells that the push itself is done.
 */
export async function populateCache(session: Session, source: PopulateSource, outcome: PushOutcome): Promise<void> {
  try {
    await populate(session, source, outcome);
  } catch (error) {
    session.signal.throwIfAborted();
    const code = error instanceof TartletError ? error.code : 'INTERNAL';
    const facts = error instanceof TartletError ? error.facts : {};
    throw new TartletError(code, `pushed, but not stored in the local cache: ${describeError(error)}`, {
      ...facts,
      kept: `${outcome.names.join(', ')} is in the registry`,
      cause: error,
    });
  }
}

async function populate(session: Session, source: PopulateSource, outcome: PushOutcome): Promise<void> {
  const [name] = outcome.names;
  const { digest } = outcome;
  if (name === undefined) return;
  await session.home.prepare();
  await makeRepository(session.home, name);
  const onWait = (): void =>
    session.emit({ kind: 'waiting', subject: name.toString(), reason: 'another command is using this image' });
  const moved = await whileHeld(
    session.images,
    digest,
    { mode: 'exclusive', wait: true, signal: session.signal, onWait },
    async () => session.images.find(name.withDigest(digest)),
    async (image) => {
      if (image === undefined) await store(session, source, outcome);
      return nameImage(session, outcome.names, digest);
    },
  );
  await collectAfterMove(session, moved);
}

/** Call under the digest's lock: what lies in its staging directory belongs to no living process. */
async function store(session: Session, source: PopulateSource, outcome: PushOutcome): Promise<void> {
  const [name] = outcome.names;
  const { digest, manifest } = outcome;
  if (name === undefined) return;
  const leftover = await Staging.open(session.home, digest);
  await onDisk('remove', leftover.directory, async () => removeEntry(leftover.directory));
  const staging = await Staging.open(session.home, digest);
  const files = await copyFiles(session, source, staging);
  await writeNewFile(staging.pathOf(VmFile.manifest), manifest);
  await writeOrigin(
    staging.directory,
    originOfImage({
      name,
      digest,
      mediaType: parseManifest(manifest).mediaType,
      manifestBytes: manifest.length,
      at: session.now(),
      via: 'push',
    }),
  );
  await staging.fsync([VmFile.manifest, ...files]);
  await source.confirm?.();
  session.signal.throwIfAborted();
  await session.images.publish(staging.directory, name, digest);
}

/** @returns the files that are there now; a stacked image has no disk of its own (tart-formats §1.3). */
async function copyFiles(session: Session, source: PopulateSource, staging: Staging): Promise<string[]> {
  const from = (file: string): string => `${source.directory}/${file}`;
  const small = source.config === undefined ? [VmFile.config, VmFile.nvram] : [VmFile.nvram];
  for (const file of small) {
    await copySmallFile(from(file), staging.pathOf(file));
  }
  if (source.config !== undefined) await writeNewFile(staging.pathOf(VmFile.config), source.config);
  if (!(await exists(from(VmFile.disk)))) return [VmFile.config, VmFile.nvram];
  await copyDisk(from(VmFile.disk), staging.pathOf(VmFile.disk), session);
  return [VmFile.config, VmFile.nvram, VmFile.disk];
}
