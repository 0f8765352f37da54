import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, openSync, closeSync, truncateSync, writeFileSync, writeSync } from 'node:fs';

const MIB = 1024 * 1024;

/** What a raw disk with an EFI partition is to be like. */
export interface CloudDisk {
  /** Files in EFI/BOOT. */
  readonly loaders: readonly string[];
  /** Default: gpt. */
  readonly table?: 'gpt' | 'mbr';
  /** Of the EFI partition; the kind of its FAT follows from it. Default: 16 MiB. */
  readonly espMib?: number;
}

/** All disks of {@link makeCloudDisk} are so large, in bytes. */
export const CLOUD_DISK_BYTES = 64 * MIB;

/** Makes a raw disk as distributions publish them, but with nothing to start on it. Data lies at its end. */
export function makeCloudDisk(file: string, { loaders, table = 'gpt', espMib = 16 }: CloudDisk): void {
  writeFileSync(file, '');
  truncateSync(file, CLOUD_DISK_BYTES);
  const label = table === 'gpt' ? 'gpt' : 'dos';
  const type = table === 'gpt' ? 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B' : 'ef';
  execFileSync('sfdisk', ['--quiet', file], {
    input: `label: ${label}\nstart=1MiB, size=${espMib}MiB, type=${type}\n`,
  });
  const at = ['-i', `${file}@@1M`];
  execFileSync('mformat', [...at, '-T', String(espMib * 2048), ...(espMib > 32 ? ['-F'] : []), '::']);
  execFileSync('mmd', [...at, '::/EFI', '::/EFI/debian', '::/EFI/BOOT']);
  for (const name of loaders) execFileSync('mcopy', [...at, '-', `::/EFI/BOOT/${name}`], { input: name });
  const disk = openSync(file, 'r+');
  writeSync(disk, Buffer.alloc(MIB, 'data'), 0, MIB, 60 * MIB);
  closeSync(disk);
}

/** SHA-256 of the first bytes of a file, in hex. */
export async function digestOfBeginning(file: string, bytes: number): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file, { end: bytes - 1 }) as AsyncIterable<Uint8Array>) hash.update(piece);
  return hash.digest('hex');
}
