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
  if (/^nbds?(?:\+unix)?:/.test(file) && URL.canParse(file)) return { kind: 'nbd', url: new URL(file), ...options };
  const absolute = resolvePath(terminal, file);
  const stats = statSync(absolute, { throwIfNoEntry: false });
  if (stats === undefined) return diskOfImage(file, absolute, options);
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
  throw new TartletError('NOT_FOUND', `there is no disk at ${absolute}`, {
    subject: absolute,
    next: {
      kind: 'in-words',
      words: 'give the path of a file or a block device, an nbd: address, or the name of a cached image',
    },
  });
}
