import { randomBytes } from 'node:crypto';
import type { SeedContent } from '../cloud-image/seed.ts';
import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { createFile } from '../fs/entry.ts';
import { fsyncFile, writeNewFile } from '../fs/fsync.ts';
import { writeOrigin } from '../home/origin.ts';
import { Scratch } from '../home/scratch.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';
import { type Arch, newLinuxConfig } from './config.ts';
import { serializeVmConfig } from './config-file.ts';
import { diskFromImage, type FromImageOptions } from './disk-from-image.ts';
import { emptyEfiStore } from './efi-store.ts';
import { MacAddress } from './mac-address.ts';
import { writeSeedFile } from './seed-file.ts';

/** What a new VM has. */
export interface CreateOptions {
  /** Size of the disk; it occupies nothing until it is written to. */
  readonly diskBytes: number;
  readonly arch: Arch;
  /** What cloud-init is told in the guest. Default: the VM has no seed. */
  readonly seed?: SeedContent | undefined;
}

/** What a new VM has that begins with a cloud image. */
export interface CreateFromImageOptions extends FromImageOptions {
  /** What cloud-init is told in the guest. Default: the VM has no seed. */
  readonly seed?: SeedContent | undefined;
}

/** What came of making a VM. */
export interface CreateOutcome {
  /** Whether a stopped VM of that name went for it. */
  readonly replaced: boolean;
}

/**
 * Makes a Linux VM with Tart's defaults and an empty sparse disk. A stopped VM of that name is replaced, as Tart does.
 *
 * Apple's NVRAM format is Apple's secret: the store written here is edk2's, which other hypervisors use, and the origin
 * record says so, so that the program that runs the VM can tell them apart.
 *
 * @throws TartletError `VM_RUNNING`, `VM_EXISTS`, `DISK_*`
 */
export async function createLinuxVm(session: Session, name: LocalName, options: CreateOptions): Promise<CreateOutcome> {
  return createVm(session, name, options.seed, async (disk) => {
    await makeSparseFile(disk, options.diskBytes);
    return options.arch;
  });
}

/**
 * The same with the disk of a cloud image, which is not trusted: what it says of itself decides about nothing but its
 * own disk.
 *
 * @throws TartletError `VM_RUNNING`, `VM_EXISTS`, `MEDIA_UNSUPPORTED` for what is no such image, `SIZE_MISMATCH` for
 * one that is larger than the disk shall be, `DIGEST_MALFORMED`, `DIGEST_MISMATCH`, `HOST_LACKS` where a program is
 * missing, `USAGE` where the architecture is not clear, `NET_*`, `DISK_*`
 */
export async function createVmFromImage(
  session: Session,
  name: LocalName,
  options: CreateFromImageOptions,
): Promise<CreateOutcome> {
  return createVm(session, name, options.seed, async (disk, directory) =>
    diskFromImage(session, options, disk, directory),
  );
}

/**
 * Makes a VM in a scratch directory and publishes it whole.
 *
 * @param makeDisk makes the disk at a path, may use the directory for what it removes again, and says for which
 * processors the disk is.
 */
async function createVm(
  session: Session,
  name: LocalName,
  seed: SeedContent | undefined,
  makeDisk: (disk: string, directory: string) => Promise<Arch>,
): Promise<CreateOutcome> {
  await session.home.prepare();
  // Before anything is made: a running VM will not be replaced anyway.
  await session.vms.refuseRunning(name);
  const scratch = await Scratch.createForVm(session.home, session.platform);
  try {
    const { directory } = scratch;
    const arch = await makeDisk(`${directory}/${VmFile.disk}`, directory);
    const config = newLinuxConfig({ arch, mac: MacAddress.random(randomBytes) });
    await writeNewFile(`${directory}/${VmFile.config}`, serializeVmConfig(config, 'file'));
    await writeNewFile(`${directory}/${VmFile.nvram}`, emptyEfiStore(arch));
    await writeOrigin(directory, { version: 1, via: 'create', createdAt: session.now().toISOString(), nvram: 'edk2' });
    if (seed !== undefined) await writeSeedFile(directory, seed, name.text);
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
  await fsyncFile(path);
}
