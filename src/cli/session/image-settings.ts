import { isHeeded, type SeedContent } from '../../cloud-image/seed.ts';
import { TartletError } from '../../errors.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { readNamedFile } from '../../fs/small-file.ts';
import type { FromImageOptions } from '../../vm/disk-from-image.ts';
import { resolvePath, type Terminal } from '../terminal/terminal.ts';

/** The options of `create` about images, as they were typed. */
export interface ImageFlags {
  readonly fromImage?: string;
  readonly digest?: string;
  readonly cloudInit?: string;
  readonly networkConfig?: string;
}

/** User data has a few KiB; clouds allow 16 KiB. */
const MAX_SEED_FILE_BYTES = 4 * 1024 * 1024;

/** Whether an image is on the web. */
export function isUrl(text: string | undefined): boolean {
  return text !== undefined && /^https?:\/\//i.test(text);
}

/** @returns undefined for a VM with an empty disk. @throws TartletError `USAGE` */
export function parseImageFlags(
  terminal: Terminal,
  { fromImage, digest }: ImageFlags,
): Pick<FromImageOptions, 'source' | 'digest'> | undefined {
  if (fromImage === undefined) {
    if (digest === undefined) return undefined;
    throw new TartletError('USAGE', '--digest is of an image', {
      next: { kind: 'in-words', words: 'name the image by --from-image, or leave --digest out' },
    });
  }
  const parsed = digest === undefined ? undefined : withAlgorithm(digest);
  if (!isUrl(fromImage)) return { source: { kind: 'file', path: resolvePath(terminal, fromImage) }, digest: parsed };
  if (URL.canParse(fromImage)) return { source: { kind: 'web', url: new URL(fromImage) }, digest: parsed };
  throw new TartletError('USAGE', 'the address of the image is no URL', {
    next: { kind: 'in-words', words: 'write it as https://host/path, or give the path of a file' },
  });
}

/** Files like SHA256SUMS and SHA512SUMS have the digits alone: their number tells which they are. */
function withAlgorithm(text: string): string {
  if (/^[0-9a-f]{64}$/i.test(text)) return `sha256:${text.toLowerCase()}`;
  return /^[0-9a-f]{128}$/i.test(text) ? `sha512:${text.toLowerCase()}` : text;
}

/** @throws TartletError `USAGE`, `NOT_FOUND`, `DISK_*` */
export async function readSeed(
  terminal: Terminal,
  { cloudInit, networkConfig }: ImageFlags,
  say: (line: string) => void,
): Promise<SeedContent | undefined> {
  if (cloudInit === undefined) {
    if (networkConfig === undefined) return undefined;
    throw new TartletError('USAGE', '--network-config is a part of what cloud-init is told', {
      next: { kind: 'in-words', words: 'give the user data as well: --cloud-init FILE' },
    });
  }
  const userData = await readSeedFile(resolvePath(terminal, cloudInit));
  if (!isHeeded(userData)) {
    say('note: cloud-init passes over user data that does not begin with a line like #cloud-config or #!/bin/sh');
  }
  return {
    userData,
    networkConfig: networkConfig === undefined ? undefined : await readSeedFile(resolvePath(terminal, networkConfig)),
  };
}

async function readSeedFile(file: string): Promise<Uint8Array> {
  const read = await onDisk('read', file, async () => readNamedFile(file, MAX_SEED_FILE_BYTES));
  if (read?.kind === 'read') return read.bytes;
  const why = read === undefined ? 'does not exist' : read.kind === 'too-large' ? 'has more than 4 MiB' : 'is no file';
  throw new TartletError(read === undefined ? 'NOT_FOUND' : 'USAGE', `${file} ${why}`, {
    subject: file,
    next: { kind: 'in-words', words: 'name a file that begins with #cloud-config' },
  });
}
