import { randomBytes } from 'node:crypto';
import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { createFile } from '../fs/entry.ts';
import { flushFile, writeNewFile } from '../fs/fsync.ts';
import { writeOrigin } from '../home/origin.ts';
import { Scratch } from '../home/scratch.ts';
import { VmFile } from '../home/vm-folder.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';
import { type Arch, newLinuxConfig } from './config.ts';
import { serializeVmConfig } from './config-file.ts';
import { emptyEfiStore } from './efi-store.ts';
import { MacAddress } from './mac-address.ts';

/** What a new VM has. */
export interface CreateOptions {
  /** Size of the disk; it occupies nothing until somebody writes to it. */
  readonly diskBytes: number;
  readonly arch: Arch;
}

/** What came of making a VM. */
export interface CreateOutcome {
  /** Whether a stopped VM of that name went for it. */
  readonly replaced: boolean;
}

/**
 * Makes a Linux VM with Tart's defaults and an empty sparse disk. A stopped VM of that name is replaced, as Tart does.
 *
 * Apple's NVRAM format is Apple's secret: the store written here is edk2's, which other hypervisors use, and the origin record
 * says so, that whoever runs the VM can tell them apart.
 *
 * @throws TartletError `VM_RUNNING`, `VM_EXISTS`, `DISK_*`
 */
export async function createLinuxVm(session: Session, name: LocalName, options: CreateOptions): Promise<CreateOutcome> {
  await session.home.prepare();
  // Before anything is made: a running VM will not be replaced anyway.
  await session.vms.refuseRunning(name);
  const scratch = await Scratch.createForVm(session.home, session.platform);
  try {
    const config = newLinuxConfig({ arch: options.arch, mac: MacAddress.random(randomBytes) });
    await writeNewFile(`${scratch.folder}/${VmFile.config}`, serializeVmConfig(config, 'file'));
    await writeNewFile(`${scratch.folder}/${VmFile.nvram}`, emptyEfiStore(options.arch));
    await writeOrigin(scratch.folder, {
      version: 1,
      via: 'create',
      createdAt: session.now().toISOString(),
      nvram: 'edk2',
    });
    await makeSparseFile(`${scratch.folder}/${VmFile.disk}`, options.diskBytes);
    const replaced = await session.vms.underLock(session.signal, async () => session.vms.publish(scratch, name));
    return { replaced };
  } finally {
    await scratch.dispose();
  }
}

async function makeSparseFile(path: string, bytes: number): Promise<void> {
  if (!Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new TartletError('USAGE', `a disk cannot have ${bytes} bytes`, { found: String(bytes) });
  }
  await onDisk('create', path, async () => {
    const handle = await createFile(path, 'refuse');
    try {
      await handle.truncate(bytes);
    } finally {
      await handle.close();
    }
  });
  await flushFile(path);
}
