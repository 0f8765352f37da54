import { isTartletError } from '../errors.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { MAX_MANIFEST_BYTES, parseManifest } from '../oci/manifest.ts';
import { onDisk } from '../fs/disk-error.ts';
import { moveEntry } from '../fs/entry.ts';
import { exists } from '../fs/stats.ts';
import { OurFile } from '../home/home-entry.ts';
import { addOrigin, type Origin, readOrigin } from '../home/origin.ts';
import { readSmallFile } from '../fs/small-file.ts';
import { VmFile } from '../home/vm-directory.ts';
import { type ImageFact, placeOf } from './cache-facts.ts';
import type { MigrationStore } from './store.ts';

/** Writes into an image where it is from, unless its record says so already. */
export async function writeRecord(
  image: ImageFact,
  name: RemoteName,
  { now }: Pick<MigrationStore, 'now'>,
): Promise<void> {
  const former = await formerRecord(image.path);
  if (former !== 'damaged' && former !== undefined && says(former, image, name)) return;
  const file = `${image.path}/${OurFile.origin}`;
  if (former !== undefined && !(await exists(`${image.path}/${OurFile.formerOrigin}`))) {
    await onDisk('move aside', file, async () => moveEntry(file, `${image.path}/${OurFile.formerOrigin}`));
  }
  await addOrigin(image.path, {
    version: 1,
    via: 'migration',
    registry: name.registry.toString(),
    repository: name.repository.text,
    digest: image.digest.toString(),
    ...(await manifestFacts(image.path)),
    movedFrom: placeOf(image.host, image.repository, image.digest.toString()),
    migratedAt: now().toISOString(),
  });
}

async function formerRecord(directory: string): Promise<Origin | 'damaged' | undefined> {
  try {
    return await readOrigin(directory);
  } catch (error) {
    if (isTartletError(error, 'STORE_DAMAGED')) return 'damaged';
    throw error;
  }
}

function says(record: Origin, image: ImageFact, name: RemoteName): boolean {
  if (!('registry' in record)) return false;
  return (
    record.registry === name.registry.toString() &&
    record.repository === name.repository.text &&
    record.digest === image.digest.toString()
  );
}

/**
 * Of the manifest beside it, if it has one: Tarts before 2.14 kept none, and some wrote it anew (tart-formats §1.6).
 */
async function manifestFacts(directory: string): Promise<{ mediaType?: string; size?: number }> {
  try {
    const bytes = await readSmallFile(`${directory}/${VmFile.manifest}`, MAX_MANIFEST_BYTES);
    return { mediaType: parseManifest(bytes).mediaType, size: bytes.length };
  } catch {
    return {};
  }
}
