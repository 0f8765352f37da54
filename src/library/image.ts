import { TartletError } from '../errors.ts';
import { type ByteRange, openForReading, readRange, requireWithin } from '../fs/disk/read-range.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { Digest } from '../names/digest.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';
import { askForManifest, understandImage } from '../transfer/pull/asked-image.ts';
import { RemoteDisk } from '../transfer/pull/remote-disk.ts';

/** The disk of an image, as the guest would see it. */
export interface ImageDisk {
  /** Bytes. */
  readonly size: number;
  /**
   * Reads a part of the disk. From a registry, chunks are fetched as wholes and verified before a byte of them is
   * handed out; of a cached image, the bytes were verified when it was pulled.
   *
   * @returns exactly the bytes of the range.
   * @throws TartletError `USAGE` for a range that is not on the disk, `DIGEST_MISMATCH`, `CHUNK_CORRUPT`, `NET_*`,
   * `DISK_*`.
   */
  read(range: ByteRange): Promise<Uint8Array>;
}

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
export async function openImage(session: Session, name: RemoteName, insecure: boolean): Promise<Image> {
  const cached = await session.images.find(name);
  if (cached?.directory.layout === 'standalone') {
    const disk = await cachedDisk(`${cached.directory.path}/${VmFile.disk}`);
    const close = async (): Promise<void> => disk.close();
    return { name, digest: cached.digest, isCached: true, disk, close, [Symbol.asyncDispose]: close };
  }
  const client = await session.source(name, insecure);
  try {
    const raw = await askForManifest(session, name, client);
    const image = understandImage(raw, name.toString(), 'flat');
    if (image.layout !== 'flat') throw onlyOnMacs(name);
    const disk = new RemoteDisk(image, { subject: name.toString(), client, session });
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
async function cachedDisk(file: string): Promise<ImageDisk & { close(): Promise<void> }> {
  const handle = await openForReading(file);
  const { size } = await handle.stat();
  return {
    size,
    close: async () => handle.close(),
    read: async (range) => {
      requireWithin(range, size);
      const bytes = new Uint8Array(range.length);
      await readRange(handle, file, range.offset, bytes);
      return bytes;
    },
  };
}

function onlyOnMacs(name: RemoteName): TartletError {
  return new TartletError(
    'MEDIA_UNSUPPORTED',
    `the disk of ${name.toString()} is a pile of ASIF files, which only macOS reads`,
    {
      subject: name.toString(),
    },
  );
}
