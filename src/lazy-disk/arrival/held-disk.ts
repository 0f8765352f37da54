import type { FileHandle } from 'node:fs/promises';
import { TartletError } from '../../errors.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { openPlainFile } from '../../fs/plain-file.ts';
import { exactLstatIfThere } from '../../fs/stats.ts';
import { throughThisProcess } from '../../fs/trusted-path.ts';
import { LazyFile } from '../../home/home-entry.ts';

/**
 * The disk that a VM gets, made just now, and held open until it has its name. QEMU reaches it by what is open here:
 * where others may write to the directory, another file can come into its place at any moment, or a symlink to one that
 * is none of theirs.
 */
export class HeldDisk {
  readonly #handle: FileHandle;
  readonly #file: string;

  private constructor(handle: FileHandle, file: string) {
    this.#handle = handle;
    this.#file = file;
  }

  /** @param directory of the VM. @throws TartletError `STORE_DAMAGED` for what was not made here, `DISK_*` */
  static async open(directory: string): Promise<HeldDisk> {
    const file = `${directory}/${LazyFile.disk}`;
    const handle = await onDisk('open', file, async () => openPlainFile(file, 'write'));
    const held = new HeldDisk(handle, file);
    if ((await handle.stat()).nlink === 1) return held;
    await held.close();
    throw replaced(file);
  }

  /** For a process that inherits it. */
  get descriptor(): number {
    return this.#handle.fd;
  }

  /** By what QEMU opens it: in the directory of the VM, or absolute. */
  get name(): string {
    return throughThisProcess(this.#handle.fd) ?? LazyFile.disk;
  }

  /** To be asked before it gets its name. @throws TartletError `STORE_DAMAGED` */
  async requireInPlace(): Promise<void> {
    const opened = await this.#handle.stat({ bigint: true });
    const there = await exactLstatIfThere(this.#file);
    if (there?.ino !== opened.ino || there.dev !== opened.dev) throw replaced(this.#file);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function replaced(file: string): TartletError {
  return new TartletError('STORE_DAMAGED', `another program has put something else into the place of ${file}`, {
    subject: file,
    kept: 'what lies there was not written to',
    next: { kind: 'find-maker' },
  });
}
