import { lstatSync, statSync } from 'node:fs';
import { isTartletError, systemCode } from '../errors.ts';
import { parseRecord } from '../json/record.ts';
import type { Digest } from '../names/digest.ts';
import { MAX_SEAL_BYTES, markerRecord } from './unmodified-marker.ts';
import { OurFile } from './home-entry.ts';
import { readSmallFileIfThereSync } from '../fs/small-file.ts';
import { VmFile } from './vm-directory.ts';

/**
 * Whether the disk of a cached image was changed since it was marked as unmodified: its length or one of its times is
 * another one, or another file was put into its place (issue 14, item 11). In a copy of the directory the disk is
 * another file, too, of which the unmodified marker says nothing. Without an unmodified marker nothing is known.
 *
 * Synchronous for the sake of thousands of images. Never fails: what cannot be looked at is told of elsewhere.
 *
 * @param manifest digest of what lies beside the disk.
 */
export function isModified(directory: string, manifest: Digest): boolean {
  try {
    const bytes = readSmallFileIfThereSync(`${directory}/${OurFile.marker}`, MAX_SEAL_BYTES);
    const found = parseRecord(markerRecord, bytes?.toString());
    if (found?.manifest !== manifest.toString()) return false;
    const [, markedFile, ...marked] = found.state.split(' ');
    const { ino, size, mtimeNs, ctimeNs } = lstatSync(`${directory}/${VmFile.disk}`, { bigint: true });
    if (markedFile !== String(ino)) return found.directory === String(statSync(directory, { bigint: true }).ino);
    return marked.join(' ') !== `${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    if (isTartletError(error) || systemCode(error) !== undefined) return false;
    throw error;
  }
}
