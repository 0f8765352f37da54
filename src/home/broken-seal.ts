import { lstatSync, statSync } from 'node:fs';
import { isTartletError, systemCode } from '../errors.ts';
import { parseRecord } from '../json/record.ts';
import type { Digest } from '../names/digest.ts';
import { MAX_SEAL_BYTES, sealRecord } from './disk-seal.ts';
import { OurFile } from './home-entry.ts';
import { readSmallFileIfThereSync } from '../fs/small-file.ts';
import { VmFile } from './vm-folder.ts';

/**
 * Whether the disk of a cached image was changed since it was sealed: its length or one of its times is another one, or
 * another file was put into its place (issue 14, item 11). In a copy of the directory the disk is another file, too, of
 * which the seal says nothing. Without a seal nothing is known.
 *
 * Synchronous for the sake of thousands of images. Never fails: what cannot be looked at is told of elsewhere.
 *
 * @param manifest digest of what lies beside the disk.
 */
export function isSealBroken(folder: string, manifest: Digest): boolean {
  try {
    const bytes = readSmallFileIfThereSync(`${folder}/${OurFile.seal}`, MAX_SEAL_BYTES);
    const found = parseRecord(sealRecord, bytes?.toString());
    if (found?.manifest !== manifest.toString()) return false;
    const [, sealedFile, ...sealed] = found.state.split(' ');
    const { ino, size, mtimeNs, ctimeNs } = lstatSync(`${folder}/${VmFile.disk}`, { bigint: true });
    if (sealedFile !== String(ino)) return found.directory === String(statSync(folder, { bigint: true }).ino);
    return sealed.join(' ') !== `${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    if (isTartletError(error) || systemCode(error) !== undefined) return false;
    throw error;
  }
}
