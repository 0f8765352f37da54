import type { FileHandle } from 'node:fs/promises';
import { openForReading, readRange, type ByteRange } from '../../fs/disk/read-range.ts';
import { isOwnSocket } from '../../fs/own-file.ts';
import { StagingEntry } from '../../home/home-entry.ts';
import type { Staging } from '../../home/staging.ts';
import { VmFile } from '../../home/vm-directory.ts';
import type { BlockDevice, Extent } from '../../nbd/block-device.ts';
import { NbdClient } from '../../nbd/nbd-client.ts';
import { NbdServer } from '../../nbd/nbd-server.ts';
import { ConnectionBroken } from '../../nbd/protocol.ts';
import type { FlatImage } from '../../oci/tart-image.ts';
import type { Session } from '../../session/session.ts';
import type { DiskFill } from './disk-fill.ts';

/**
 * Lets other processes read the disk of a pull as long as it is brought, by NBD at a socket in its staging directory.
 * So there is one fill for each image on a machine: the process that has the lock of the image fetches, and what a
 * guest of another process waits for comes first there. Such a process asks for ranges (`CMD_CACHE`), and reads them in
 * the file once they are verified.
 *
 * Only on Linux, where VMs run from images that are not whole. Where there can be no socket, the pull goes on without.
 */
export async function whileFillIsServed<T>(
  session: Session,
  staging: Staging,
  image: FlatImage,
  fill: DiskFill,
  work: () => Promise<T>,
): Promise<T> {
  if (session.platform !== 'linux') return work();
  const device = new StagedDisk(staging.pathOf(VmFile.disk), image.base.size, fill);
  const server = await NbdServer.listen(staging.pathOf(StagingEntry.fill), [{ name: '', device }]).catch(
    () => undefined,
  );
  try {
    return await work();
  } finally {
    await server?.close();
    await device.close();
  }
}

/**
 * Reaches the process that brings the disk in a staging directory.
 * @throws ConnectionBroken also where another user has placed the socket, whose word for what is verified does not
 * count; and the system's own error where there is none.
 */
export async function reachFill(staging: Staging): Promise<NbdClient> {
  const socket = staging.pathOf(StagingEntry.fill);
  if (await isOwnSocket(socket)) return NbdClient.connect(socket);
  throw new ConnectionBroken(`${socket} is not a socket of this user`);
}

/** A disk in a staging directory, of which only what is verified is ever read. */
class StagedDisk implements BlockDevice {
  readonly size: number;
  readonly #file: string;
  readonly #fill: DiskFill;
  #handle: Promise<FileHandle> | undefined;

  constructor(file: string, size: number, fill: DiskFill) {
    this.#file = file;
    this.size = size;
    this.#fill = fill;
  }

  async extents(range: ByteRange): Promise<readonly Extent[]> {
    return [{ ...range, kind: 'data' }];
  }

  async ready(range: ByteRange, signal: AbortSignal): Promise<void> {
    await this.#fill.ready(range, signal);
  }

  async read({ offset, length }: ByteRange): Promise<Uint8Array> {
    // Not before: until something of it is verified, the file may still be replaced by a clone of another disk.
    this.#handle ??= openForReading(this.#file);
    const bytes = Buffer.allocUnsafe(length);
    await readRange(await this.#handle, this.#file, offset, bytes);
    return bytes;
  }

  async close(): Promise<void> {
    const handle = await this.#handle?.catch(() => undefined);
    await handle?.close();
  }
}
