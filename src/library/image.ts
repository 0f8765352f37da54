import { type DiskReader, limitedReader } from '../cloud-image/disk-reader.ts';
import { type PartitionTable, readPartitionTable } from '../cloud-image/partition-table.ts';
import { TartletError } from '../errors.ts';
import { type ByteRange, openForReading, readRange, requireWithin } from '../fs/disk/read-range.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { Digest } from '../names/digest.ts';
import { LocalName } from '../names/local-name.ts';
import { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';
import { askForManifest, understandImage } from '../transfer/pull/asked-image.ts';
import { RemoteDisk } from '../transfer/pull/remote-disk.ts';

/** The disk of an image, as the guest would see it. */
export interface ImageDisk {
  /** Bytes. */
  readonly size: number;
  /**
   * Reads a part of the disk. From a registry, by pieces of a MiB where the image has an index of them, else by whole
   * chunks; each is verified before a byte of it is handed out. Of a cached image, the bytes were verified when it was
   * pulled.
   *
   * @returns exactly the bytes of the range.
   * @throws TartletError `USAGE` for a range that is not on the disk, `DIGEST_MISMATCH`, `CHUNK_CORRUPT`, `NET_*`,
   * `DISK_*`.
   */
  read(range: ByteRange): Promise<Uint8Array>;
  /** How it is divided, by its first sectors. What a table says is not trusted, and may be nonsense. */
  partitions(): Promise<PartitionTable>;
}

/** A disk that was opened to be looked into. */
export type OpenDisk = ImageDisk & { close(): Promise<void> };

/** An image that is looked into. */
export interface Image extends AsyncDisposable {
  readonly name: RemoteName;
  /** Of its manifest. */
  readonly digest: Digest;
  /** Whether all of it is on this machine. */
  readonly isCached: boolean;
  readonly disk: ImageDisk;
  /** Closes connections, and removes what was fetched for {@link ImageDisk.read}. */
  close(): Promise<void>;
}

/**
 * @throws TartletError `NOT_FOUND`, `MEDIA_UNSUPPORTED` for a disk that only macOS can read, and what the registry
 * client throws.
 */
export async function openImage(
  session: Session,
  name: RemoteName,
  insecure: boolean,
  where: 'here' | 'remote' = 'here',
): Promise<Image> {
  const cached = where === 'remote' ? undefined : await session.images.find(name);
  if (cached?.directory.layout === 'standalone') {
    const disk = await diskInFile(`${cached.directory.path}/${VmFile.disk}`);
    const close = async (): Promise<void> => disk.close();
    return { name, digest: cached.digest, isCached: true, disk, close, [Symbol.asyncDispose]: close };
  }
  const client = await session.source(name, insecure);
  try {
    const raw = await askForManifest(session, name, client);
    const image = understandImage(raw, name.toString(), 'flat');
    if (image.layout !== 'flat') throw onlyOnMacs(name.toString());
    const remote = new RemoteDisk(image, { subject: name.toString(), client, session });
    const { size } = remote;
    const disk = readable({ size, read: async (range) => remote.read(range), close: async () => remote.close() });
    const close = async (): Promise<void> => {
      await disk.close();
      await client.close();
    };
    return { name, digest: raw.digest, isCached: false, disk, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** Open from the beginning: an image that is deleted meanwhile can be read to its end. */
async function diskInFile(file: string): Promise<OpenDisk> {
  const handle = await openForReading(file);
  const { size } = await handle.stat();
  return readable({
    size,
    close: async () => handle.close(),
    read: async (range) => {
      requireWithin(range, size);
      const bytes = new Uint8Array(range.length);
      await readRange(handle, file, range.offset, bytes);
      return bytes;
    },
  });
}

function readable(disk: Omit<OpenDisk, 'partitions'>): OpenDisk {
  return { ...disk, partitions: async () => readPartitionTable(readerWithin(disk)) };
}

/** What lies beyond the end is missing from the answer, as in a file. */
function readerWithin({ size, read }: Pick<OpenDisk, 'size' | 'read'>): DiskReader {
  return limitedReader(async (offset, length) => {
    const there = Math.max(0, Math.min(length, size - offset));
    return Buffer.from(await read({ offset: Math.min(offset, size), length: there }));
  });
}

/**
 * Opens the disk of a VM of this machine, or of an image as {@link openImage} does; close it.
 * @param where `remote`: in its registry, also if it is cached.
 * @throws TartletError `VM_NOT_FOUND`, and as {@link openImage}
 */
export async function openDiskOf(
  session: Session,
  text: string,
  { where, insecure }: { readonly where: 'here' | 'remote'; readonly insecure: boolean },
): Promise<OpenDisk> {
  if (where === 'remote' || RemoteName.looksRemote(text)) {
    const image = await openImage(session, RemoteName.parse(text), insecure, where);
    return { ...image.disk, close: async () => image.close() };
  }
  const { directory } = await session.vms.require(LocalName.ofExisting(text));
  if (directory.layout !== 'standalone') throw onlyOnMacs(text);
  return diskInFile(`${directory.path}/${VmFile.disk}`);
}

function onlyOnMacs(name: string): TartletError {
  return new TartletError('MEDIA_UNSUPPORTED', `the disk of ${name} is a pile of ASIF files, which only macOS reads`, {
    subject: name,
  });
}
