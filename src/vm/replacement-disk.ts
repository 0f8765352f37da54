import { stat } from 'node:fs/promises';
import { TartletError } from '../errors.ts';
import { copyDisk } from '../fs/disk/disk-copy.ts';
import { onDisk } from '../fs/disk-error.ts';
import { sizeDisk } from '../fs/disk/disk-size.ts';
import { moveEntry } from '../fs/entry.ts';
import { fsyncFile, fsyncDirectory } from '../fs/fsync.ts';
import { Scratch } from '../home/scratch.ts';
import { modeIn, setMode } from '../fs/sharing.ts';
import { statIfThere } from '../fs/stats.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { Session } from '../session/session.ts';

/**
 * The size of a file that shall become a disk, in bytes.
 *
 * @throws TartletError `NOT_FOUND`, or `DISK_UNSUPPORTED` for a directory or a device.
 */
export async function replacementBytes(file: string): Promise<number> {
  const stats = await statIfThere(file);
  if (stats === undefined)
    throw new TartletError('NOT_FOUND', `the disk image ${file} does not exist`, { subject: file });
  if (stats.isFile()) return stats.size;
  throw new TartletError('DISK_UNSUPPORTED', `${file} is not a file, so it cannot become a disk`, {
    subject: file,
    kept: 'nothing was changed',
    next: { kind: 'name-raw-disk' },
  });
}

/**
 * A full copy of a disk image, ready to take the place of a VM's disk by one rename. Gone with {@link dispose}
 * otherwise.
 */
export class ReplacementDisk {
  readonly #scratch: Scratch;

  private constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  /**
   * @param bytes the size that the copy shall have, when it is more than the source's.
   * @throws TartletError `DISK_*`
   */
  static async copy(session: Session, from: string, bytes: number): Promise<ReplacementDisk> {
    const disk = new ReplacementDisk(await Scratch.createForVm(session.home, session.platform));
    try {
      await copyDisk(from, disk.#path, session);
      await sizeDisk(disk.#path, bytes);
      await fsyncFile(disk.#path);
      return disk;
    } catch (error) {
      await disk.dispose();
      throw error;
    }
  }

  get #path(): string {
    return `${this.#scratch.directory}/${VmFile.disk}`;
  }

  /**
   * Puts the copy where the disk of a VM is, with the permissions of the old one: the source may have been read-only.
   */
  async moveInto(directory: string): Promise<void> {
    const target = `${directory}/${VmFile.disk}`;
    await onDisk('replace', target, async () => {
      // Of a disk that has not arrived yet, its neighbour tells them.
      const { mode } = (await statIfThere(target)) ?? (await stat(`${directory}/${VmFile.nvram}`));
      await setMode(this.#path, await modeIn(directory, mode & 0o777));
      await moveEntry(this.#path, target);
    });
    await fsyncDirectory(directory);
  }

  async dispose(): Promise<void> {
    await this.#scratch.dispose();
  }
}
