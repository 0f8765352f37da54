import path from 'node:path';
import * as v from 'valibot';
import { parseRecord } from '../json/record.ts';
import type { Digest } from '../names/digest.ts';
import { RemoteName } from '../names/remote-name.ts';
import { haveSameChunks } from '../oci/disk-file.ts';
import { MAX_MANIFEST_BYTES, parseManifest, requireImage } from '../oci/manifest.ts';
import { parseTartImage, type TartImage } from '../oci/tart-image.ts';
import { onDisk } from '../fs/disk-error.ts';
import { moveEntry } from '../fs/entry.ts';
import { fsyncDirectory, writeNewFile } from '../fs/fsync.ts';
import { isOwnDirectory, readOwnFile, unlessUnusable } from '../fs/own-file.ts';
import { modeIn } from '../fs/sharing.ts';
import { OurFile } from './home-entry.ts';

/*
 * What was pushed of a VM, beside its disk: which blob each content became. Every blob in it was encoded here, or was
 * known to decode to its content before. It is believed without proof, so that it counts only where no other user can
 * have written it. Tart ignores both files.
 */

/** A mount that is refused costs two requests. */
const MOST_REPOSITORIES = 4;
const MAX_REPOSITORIES_BYTES = 16 * 1024;

/**
 * Readable for all as other files, writable for no other user whatever the umask says, unless a group shares the
 * directory.
 */
const RECORD_MODE = 0o644;

const pushedTo = v.object({
  version: v.literal(1),
  /** Digest of the manifest beside it. */
  manifest: v.string(),
  /** `host[:port]/repository`, the latest first. */
  repositories: v.array(v.string()),
});

/** What a VM was when it was pushed last. */
export interface PushRecord {
  readonly image: TartImage;
  /** Repositories that have, or had, all of its blobs. */
  readonly repositories: readonly RemoteName[];
}

/**
 * What was pushed of the VM in a directory.
 * @returns undefined for nothing, and for what cannot be believed: then the disk is encoded.
 */
export async function readPushRecord(directory: string): Promise<PushRecord | undefined> {
  return unlessUnusable(async () => {
    if (!(await isOwnDirectory(directory))) return undefined;
    const bytes = await readOwnFile(`${directory}/${OurFile.pushedManifest}`, MAX_MANIFEST_BYTES);
    if (bytes === undefined) return undefined;
    const image = understand(bytes, directory);
    return { image, repositories: await readRepositories(directory, image.manifest.digest) };
  });
}

async function readRepositories(directory: string, manifest: Digest): Promise<RemoteName[]> {
  const read = await unlessUnusable(async () => {
    const bytes = await readOwnFile(`${directory}/${OurFile.pushedTo}`, MAX_REPOSITORIES_BYTES);
    return parseRecord(pushedTo, bytes?.toString());
  });
  if (read?.manifest !== manifest.toString()) return [];
  return read.repositories.flatMap((each) => RemoteName.tryParse(each) ?? []);
}

/**
 * Records that a repository now has what a manifest names. Of a disk in the same chunks as before, only the repository
 * is added.
 *
 * @returns digest of the manifest that lies beside the disk now; undefined where others may write, and no record would
 * be believed.
 * @throws TartletError `DISK_*`
 */
export async function writePushRecord(
  directory: string,
  manifest: Uint8Array,
  name: RemoteName,
): Promise<Digest | undefined> {
  if (!(await isOwnDirectory(directory))) return undefined;
  const image = understand(manifest, directory);
  const former = await readPushRecord(directory);
  const isSame =
    former !== undefined && haveSameChunks(former.image.base, image.base) && tellsAsMuch(former.image, image);
  if (isSame && former.repositories[0]?.repositoryName === name.repositoryName) return former.image.manifest.digest;
  const { digest } = isSame ? former.image.manifest : image.manifest;
  if (!isSame) await replace(`${directory}/${OurFile.pushedManifest}`, manifest);
  await writeRepositories(directory, digest, [name, ...(isSame ? former.repositories : [])]);
  await fsyncDirectory(directory);
  return digest;
}

/** Whether a record says where the pieces of the blobs are, if the new one does. */
function tellsAsMuch(former: TartImage, image: TartImage): boolean {
  const wanted = image.layout === 'flat' ? image.pieces : undefined;
  return wanted === undefined || (former.layout === 'flat' && former.pieces?.digest.equals(wanted.digest) === true);
}

/**
 * Hands the record of a VM to its clone: which blob has which content stays true whatever becomes of the disk.
 * @throws TartletError `DISK_*`
 */
export async function copyPushRecord(from: string, to: string): Promise<void> {
  const record = await readPushRecord(from);
  if (record === undefined) return;
  const { bytes, digest } = record.image.manifest;
  await replace(`${to}/${OurFile.pushedManifest}`, bytes);
  await writeRepositories(to, digest, record.repositories);
}

async function writeRepositories(directory: string, manifest: Digest, names: readonly RemoteName[]): Promise<void> {
  const repositories = [...new Set(names.map(({ repositoryName }) => repositoryName))].slice(0, MOST_REPOSITORIES);
  const record = { version: 1, manifest: manifest.toString(), repositories };
  await replace(`${directory}/${OurFile.pushedTo}`, `${JSON.stringify(record, null, 2)}\n`);
}

function understand(manifest: Uint8Array, directory: string): TartImage {
  return parseTartImage(requireImage(parseManifest(manifest), directory), directory);
}

/** One that is there is replaced in one step. */
async function replace(file: string, bytes: Uint8Array | string): Promise<void> {
  const mode = await onDisk('look at', file, async () => modeIn(path.dirname(file), RECORD_MODE));
  await writeNewFile(`${file}.new`, bytes, mode);
  await onDisk('move into place', file, async () => moveEntry(`${file}.new`, file));
}
