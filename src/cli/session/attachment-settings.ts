import { statSync } from 'node:fs';
import path from 'node:path';
import { TartletError } from '../../errors.ts';
import { parseDiskText } from '../../hypervisor/disk-options.ts';
import type { DiskOptions } from '../../hypervisor/machine.ts';
import { parseShareText, sharesByTag } from '../../hypervisor/share-options.ts';
import { RemoteName } from '../../names/remote-name.ts';
import type { DiskOfImage, RunSettings } from '../../run/run-settings.ts';
import { resolvePath, type Terminal } from '../terminal/terminal.ts';

/** What is open in a shared directory cannot be saved with a guest's memory. @throws TartletError `USAGE` */
export function refuseSuspendableShares({
  suspendable,
  dir,
}: {
  readonly suspendable?: true;
  readonly dir?: unknown;
}): void {
  if (suspendable === undefined || dir === undefined) return;
  throw new TartletError('USAGE', 'a VM with shared directories cannot be suspended', {
    next: { kind: 'in-words', words: 'leave --dir or --suspendable out' },
  });
}

/** The values of `--dir`, with whole paths. @throws TartletError `USAGE` */
export function parseShares(terminal: Terminal, texts: readonly string[]): RunSettings['shares'] {
  const shares = texts.map(parseShareText);
  sharesByTag(shares); // Refused before anything begins.
  return shares.map((share) =>
    share.source.kind === 'path'
      ? { ...share, source: { kind: 'path', path: resolvePath(terminal, share.source.path) } }
      : share,
  );
}

/**
 * A value of `--disk`. @throws TartletError `NOT_FOUND`, `NAME_MALFORMED` for what can only be the name of an image,
 * and is none.
 */
export function parseDisk(terminal: Terminal, text: string): RunSettings['disks'][number] {
  const { path: file, options } = parseDiskText(text);
  if (/^nbds?(?:\+unix)?:/.test(file)) return { kind: 'nbd', url: parseNbd(file), ...options };
  const absolute = resolvePath(terminal, file);
  const stats = statSync(absolute, { throwIfNoEntry: false });
  if (stats === undefined) return diskOfImage(file, absolute, options);
  if (!stats.isFile() && !stats.isBlockDevice()) {
    throw noDisk(absolute, `${absolute} is neither a file nor a block device`);
  }
  const isReadOnly = options.readOnly || path.extname(absolute) === '.iso';
  return {
    kind: stats.isBlockDevice() ? 'block-device' : 'file',
    path: absolute,
    ...options,
    readOnly: isReadOnly,
  };
}

/** What is not a file may be the name of an image (tart-cli §1.3). */
function diskOfImage(text: string, absolute: string, { readOnly }: DiskOptions): DiskOfImage {
  if (!text.startsWith('/') && !text.startsWith('.') && RemoteName.looksRemote(text)) {
    return { kind: 'image', name: RemoteName.parse(text), readOnly };
  }
  throw noDisk(absolute, `there is no disk at ${absolute}`);
}

function noDisk(absolute: string, why: string): TartletError {
  return new TartletError('NOT_FOUND', why, {
    subject: absolute,
    next: {
      kind: 'in-words',
      words: 'give the path of a file or a block device, an nbd: address, or the name of a cached image',
    },
  });
}

/**
 * The address of a server of disks, as QEMU and libnbd write it. By TLS none is reached: a connection that is not
 * encrypted is never made in the place of one that was to be. @throws TartletError `USAGE`
 */
function parseNbd(text: string): URL {
  if (text.startsWith('nbds')) {
    throw new TartletError('USAGE', `"${text}" asks for TLS, which is not there for disks`, {
      next: { kind: 'in-words', words: 'use nbd+unix: with a tunnel of yours, or nbd: in a network that you trust' },
    });
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const server = text.startsWith('nbd+unix:') ? url?.searchParams.get('socket') : url?.hostname;
  if (url !== undefined && server && isDecodable(url.pathname)) return url;
  throw new TartletError('USAGE', `"${text}" is no address of a disk`, {
    next: { kind: 'in-words', words: 'write it like nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH' },
  });
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
