import { open } from 'node:fs/promises';
import type { TartletError } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { onDisk } from '../fs/disk-error.ts';
import { otherArchive } from './archive-error.ts';

/** So many bytes tell what a file is: the magic of tar is the last, at 257. */
export const MAGIC_BYTES = 512;

interface OtherKind {
  readonly magic: string;
  readonly what: string;
  readonly next: Hint;
}

/** How files of other kinds begin. */
const OTHER_KINDS: readonly OtherKind[] = [
  ...['pbze', 'pbzx', 'pbzz', 'pbz4', 'pbzb', 'pbz-', 'AA01', 'YAA1', 'AEA1'].map(
    (magic): OtherKind => ({
      magic,
      what: `an Apple Archive (it begins with "${magic}"), as tart export makes them; only macOS can read those`,
      next: { kind: 'export-elsewhere' },
    }),
  ),
  ...[
    { magic: '\x1f\x8b', what: 'compressed with gzip', tool: 'gzip -dc' },
    { magic: '\x28\xb5\x2f\xfd', what: 'compressed with zstd', tool: 'zstd -dc' },
    { magic: '\xfd7zXZ\0', what: 'compressed with xz', tool: 'xz -dc' },
    { magic: 'BZh', what: 'compressed with bzip2', tool: 'bzip2 -dc' },
  ].map(
    ({ magic, what, tool }): OtherKind => ({
      magic,
      what: `${what}, which is not read here`,
      next: { kind: 'unpack-on-the-way', tool },
    }),
  ),
  {
    magic: 'PK\x03\x04',
    what: 'a zip file',
    next: { kind: 'export-or-copy' },
  },
];

/**
 * Refuses what is known to be something else than a tar file, and says what to do with it; all that is left is for the
 * reader of tar files to judge.
 *
 * @param head the first {@link MAGIC_BYTES} of the file, or all of a shorter one.
 * @throws TartletError `MEDIA_UNSUPPORTED`
 */
export function refuseOtherKinds(archive: string, head: Uint8Array): void {
  const text = Buffer.from(head).toString('latin1');
  const kind = OTHER_KINDS.find(({ magic }) => text.startsWith(magic));
  if (kind !== undefined) throw otherArchive(archive, kind.what, kind.next);
  if (text.slice(257, 262) !== 'ustar') {
    throw otherArchive(archive, head.length === 0 ? 'empty' : 'not a tar file with an OCI image layout', {
      kind: 'import-what-was-exported',
    });
  }
}

/** Names of files that tell what a collection of files is, when it is no image layout. */
export const TELLTALES: ReadonlySet<string> = new Set(['manifest.json', 'disk.img', 'config.json']);

/** What files are that are no image layout, where their names tell. */
export function otherCollection(archive: string, names: ReadonlySet<string>): TartletError | undefined {
  if (names.has('disk.img')) {
    return otherArchive(archive, 'a copy of the directory of a VM, not an image', { kind: 'put-into-vms' });
  }
  if (!names.has('manifest.json')) return undefined;
  return otherArchive(
    archive,
    'an archive of docker save (or docker-archive), which holds containers: VM images never come in that format',
    { kind: 'copy-from-registry' },
  );
}

/** The first bytes of a file. */
export async function readHead(file: string): Promise<Uint8Array> {
  return onDisk('read', file, async () => {
    const handle = await open(file, 'r');
    try {
      const head = Buffer.alloc(MAGIC_BYTES);
      const { bytesRead } = await handle.read(head, 0, MAGIC_BYTES, 0);
      return head.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  });
}
