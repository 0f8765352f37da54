import { open } from 'node:fs/promises';
import type { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { otherArchive } from './archive-error.ts';

/** So many bytes tell what a file is: the magic of tar is the last, at 257. */
export const MAGIC_BYTES = 512;

/** How files of other kinds begin. */
const OTHER_KINDS: readonly { readonly magic: string; readonly what: string; readonly next: string }[] = [
  ...['pbze', 'pbzx', 'pbzz', 'pbz4', 'pbzb', 'pbz-', 'AA01', 'YAA1', 'AEA1'].map((magic) => ({
    magic,
    what: `an Apple Archive (it begins with "${magic}"), as tart export makes them; only macOS can read those`,
    next: 'on the Mac that has the VM: tart push it to a registry and pull it here, or run tartlet export there instead of tart export',
  })),
  ...[
    { magic: '\x1f\x8b', what: 'compressed with gzip', tool: 'gzip -dc' },
    { magic: '\x28\xb5\x2f\xfd', what: 'compressed with zstd', tool: 'zstd -dc' },
    { magic: '\xfd7zXZ\0', what: 'compressed with xz', tool: 'xz -dc' },
    { magic: 'BZh', what: 'compressed with bzip2', tool: 'bzip2 -dc' },
  ].map(({ magic, what, tool }) => ({
    magic,
    what: `${what}, which is not read here`,
    next: `unpack it on the way: ${tool} FILE | tartlet import - NAME`,
  })),
  {
    magic: 'PK\x03\x04',
    what: 'a zip file',
    next: 'export the VM with tartlet export, or copy the image with skopeo to oci-archive:FILE',
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
    throw otherArchive(
      archive,
      head.length === 0 ? 'empty' : 'not a tar file with an OCI image layout',
      'import what tartlet export wrote, or what skopeo copy wrote to oci-archive:FILE or oci:FOLDER',
    );
  }
}

/** Names of files that tell what a collection of files is, when it is no image layout. */
export const TELLTALES: ReadonlySet<string> = new Set(['manifest.json', 'disk.img', 'config.json']);

/** What files are that are no image layout, where their names tell. */
export function otherCollection(archive: string, names: ReadonlySet<string>): TartletError | undefined {
  if (names.has('disk.img')) {
    return otherArchive(
      archive,
      'a copy of the folder of a VM, not an image',
      'put config.json, disk.img and nvram.bin into a folder of their own in TART_HOME/vms; its name is the name of the VM',
    );
  }
  if (!names.has('manifest.json')) return undefined;
  return otherArchive(
    archive,
    'an archive of docker save (or docker-archive), which holds containers: VM images never come in that format',
    'if the image is a VM image, copy it from its registry with skopeo to oci-archive:FILE',
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
