import { lstatSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isTartletError, systemCode } from '../errors.ts';
import { decodeDigestFolder } from '../home/layout.ts';
import type { FileLock } from '../home/lock.ts';
import { lookAtVmFolder, VmFile } from '../home/vm-folder.ts';
import type { DiskFile } from '../oci/disk-file.ts';
import { parseManifest, requireImage } from '../oci/manifest.ts';
import { type DiskChunk, parseTartImage } from '../oci/tart-image.ts';
import type { Session } from './session.ts';

/** A disk of this machine that was made from the very same chunks, held so that nobody deletes it. */
export interface DiskDonor {
  readonly disk: string;
  release(): Promise<void>;
}

/**
 * Looks for a cached flat image that is the base we are about to fetch (tart-formats §4.7): `clone --stacked` makes stacked images
 * from such. Its bytes are a hope, to be hashed. One that somebody changes right now is passed over.
 */
export async function findDonor(session: Session, base: DiskFile): Promise<DiskDonor | undefined> {
  for (const { kind, path } of session.images.walk().entries) {
    const digest = kind === 'digest' ? decodeDigestFolder(path.slice(path.lastIndexOf('/') + 1)) : undefined;
    if (digest === undefined || !(await isSameDisk(path, base))) continue;
    const lock = await session.images.lock(digest, { mode: 'shared', wait: false });
    if (lock === undefined) continue;
    if (isDiskOf(path, base.size)) return donor(path, lock);
    await lock.release(); // Deleted between the look and the lock.
  }
  return undefined;
}

function donor(folder: string, lock: FileLock): DiskDonor {
  return { disk: `${folder}/${VmFile.disk}`, release: async () => lock.release() };
}

/** Lengths are compared first: most manifests need not be read. */
async function isSameDisk(folder: string, base: DiskFile): Promise<boolean> {
  if (!isDiskOf(folder, base.size)) return false;
  try {
    const bytes = await readFile(`${folder}/${VmFile.manifest}`);
    const image = parseTartImage(requireImage(parseManifest(bytes), folder), folder);
    const { chunks } = image.base;
    return (
      chunks.length === base.chunks.length && chunks.every((chunk, index) => isSameChunk(chunk, base.chunks[index]))
    );
  } catch (error) {
    // No manifest, or one that is not understood: no donor.
    if (isTartletError(error) || systemCode(error) !== undefined) return false;
    throw error;
  }
}

function isDiskOf(folder: string, size: number): boolean {
  if (lookAtVmFolder(folder)?.layout !== 'standalone') return false;
  return lstatSync(`${folder}/${VmFile.disk}`, { throwIfNoEntry: false })?.size === size;
}

function isSameChunk(a: DiskChunk, b: DiskChunk | undefined): boolean {
  return (
    b !== undefined &&
    a.descriptor.mediaType === b.descriptor.mediaType &&
    a.descriptor.size === b.descriptor.size &&
    a.descriptor.digest.equals(b.descriptor.digest) &&
    a.size === b.size &&
    a.contentDigest.equals(b.contentDigest)
  );
}
