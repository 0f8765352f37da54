import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import type { LocalVm } from '../home/vms/local-vms.ts';
import { readLazyRecord, replaceLazyRecord } from '../home/lazy-record.ts';
import { removeLazyFiles } from '../home/vms/lazy-files.ts';
import { openDisk } from '../fs/plain-file.ts';
import { rewriteJson } from '../fs/rewrite.ts';
import { readSmallFile } from '../fs/small-file.ts';
import { readAsOne } from '../home/still-there.ts';
import { isSuspended, isSuspendedByTart, type VmDirectory, VmFile } from '../home/vm-directory.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';
import { type VmConfig, withCpu, withDisplay, withDisplayRefit, withMac, withMemory } from './config.ts';
import { parseVmConfig, serializeVmConfig } from './config-file.ts';
import type { Display } from './display.ts';
import { MacAddress } from './mac-address.ts';
import { newMachineIdentifier } from './machine-identifier.ts';
import { ReplacementDisk, replacementBytes } from './replacement-disk.ts';

/** What to change about a VM. Whatever is absent stays as it is. */
export interface SetOptions {
  readonly cpuCount?: number | undefined;
  /** Bytes. */
  readonly memoryBytes?: number | undefined;
  readonly display?: Display | undefined;
  readonly displayRefit?: boolean | undefined;
  readonly randomMac?: boolean | undefined;
  /** Only macOS guests have a serial number; for others this does nothing, as in Tart. */
  readonly randomSerial?: boolean | undefined;
  /** A disk image whose content replaces the disk; absolute. It is copied, never moved or changed. */
  readonly disk?: string | undefined;
  /** The size that the disk shall have at the end, in bytes. Disks only grow. */
  readonly diskBytes?: number | undefined;
}

/** What a change left to know. */
export interface SetOutcome {
  /**
   * Whether a saved state is left that does not fit any more: `identity` is one of Tart, of another MAC address or
   * serial number, which may not start; `machine` one of QEMU, of another machine, which does not.
   */
  readonly staleState: 'none' | 'identity' | 'machine';
}

/** What will happen to a disk. */
type DiskChange =
  | { readonly kind: 'none' }
  | { readonly kind: 'grow'; readonly bytes: number }
  | { readonly kind: 'replace'; readonly from: string; readonly bytes: number };

interface Change {
  /** Undefined when it stays as it is, white space and all. */
  readonly config: VmConfig | undefined;
  readonly disk: DiskChange;
}

/**
 * Changes the configuration and the disk of a local VM. Everything is checked before anything is written, and commands
 * that change a configuration wait for each other: Tart's lose updates (tart-cli §4.3). The configuration of a running
 * VM can be changed, as in Tart, and counts from its next start; its disk cannot (tart-cli §7 #11), and neither can one
 * that a saved state belongs to.
 *
 * @throws TartletError `VM_NOT_FOUND`, `VM_INVALID`, `VM_RUNNING`, `CONFIG_INVALID`, `NEEDS_MACOS`, `NOT_FOUND`,
 * `DISK_*`
 */
export async function setVm(session: Session, name: LocalName, options: SetOptions): Promise<SetOutcome> {
  const { vm, change } = await readAsOne(
    async () => session.vms.require(name),
    async (there) => ({ vm: there, change: await planChange(session, there, options) }),
  );
  await session.vms.touch(vm, session.now());
  const replacement =
    change.disk.kind === 'replace'
      ? await ReplacementDisk.copy(session, change.disk.from, change.disk.bytes)
      : undefined;
  try {
    return await session.vms.underLock(session.signal, async () => {
      // What was true before the lock, and before a long copy, may not be true now.
      const current = await session.vms.require(name);
      const planned = await planChange(session, current, options);
      await apply(session, current, planned, replacement);
      return { staleState: planned.config === undefined ? 'none' : staleState(current.directory, options) };
    });
  } finally {
    await replacement?.dispose();
  }
}

/** What of a saved state does not fit any more. */
function staleState(vm: VmDirectory, options: SetOptions): SetOutcome['staleState'] {
  if (!isSuspended(vm)) return 'none';
  const { cpuCount, memoryBytes, display, randomMac, randomSerial } = options;
  // A guest that goes on in QEMU gets a card of the new address then.
  if (isSuspendedByTart(vm)) return randomMac === true || randomSerial === true ? 'identity' : 'none';
  return [cpuCount, memoryBytes, display].every((value) => value === undefined) ? 'none' : 'machine';
}

async function planChange(session: Session, vm: LocalVm, options: SetOptions): Promise<Change> {
  const file = configOf(vm);
  const config = parseVmConfig(await readSmallFile(file), vm.name.text);
  const disk = await planDisk(vm, config, options);
  if (disk.kind !== 'none') await refuseInUse(session, vm);
  const changed = changedConfig(config, options);
  return { config: changed === config ? undefined : changed, disk };
}

function changedConfig(config: VmConfig, options: SetOptions): VmConfig {
  let changed = config;
  if (options.cpuCount !== undefined) changed = withCpu(changed, options.cpuCount);
  if (options.memoryBytes !== undefined) changed = withMemory(changed, options.memoryBytes);
  if (options.display !== undefined) changed = withDisplay(changed, options.display);
  // Tart forgets the stored choice on every `set` without the flag (tart-cli §7 #34).
  if (options.displayRefit !== undefined) changed = withDisplayRefit(changed, options.displayRefit);
  if (options.randomMac === true) changed = withMac(changed, MacAddress.random(randomBytes));
  if (options.randomSerial === true && changed.os === 'darwin') {
    changed = { ...changed, ecid: newMachineIdentifier(randomBytes) };
  }
  return changed;
}

async function planDisk(vm: LocalVm, config: VmConfig, options: SetOptions): Promise<DiskChange> {
  if (options.disk === undefined && options.diskBytes === undefined) return { kind: 'none' };
  requireRawDisk(vm, config);
  if (options.disk !== undefined) {
    const bytes = await replacementBytes(options.disk);
    return { kind: 'replace', from: options.disk, bytes: requireNoLess(vm, bytes, options.diskBytes ?? bytes) };
  }
  const size = await diskBytesOf(vm);
  const bytes = requireNoLess(vm, size, options.diskBytes ?? size);
  return bytes === size ? { kind: 'none' } : { kind: 'grow', bytes };
}

/** As it is, or will be when it has arrived. */
async function diskBytesOf(vm: LocalVm): Promise<number> {
  const file = diskOf(vm);
  const lazy = vm.directory.layout === 'lazy' ? readLazyRecord(vm.directory.path) : undefined;
  return lazy?.diskBytes ?? (await onDisk('look at', file, async () => stat(file))).size;
}

function requireRawDisk(vm: LocalVm, config: VmConfig): void {
  const format = ['standalone', 'lazy'].includes(vm.directory.layout) ? config.diskFormat : 'stacked';
  if (format === 'raw') return;
  throw new TartletError('NEEDS_MACOS', `the disk of "${vm.name.text}" is ${format}, which only macOS can change`, {
    subject: vm.name.text,
    kept: 'nothing was changed',
    next: { kind: 'set-on-mac' },
  });
}

function requireNoLess(vm: LocalVm, has: number, wanted: number): number {
  if (Number.isSafeInteger(wanted) && wanted >= has) return wanted;
  throw new TartletError(
    'CONFIG_INVALID',
    `the disk of "${vm.name.text}" has ${has} bytes and cannot shrink to ${wanted}`,
    { subject: vm.name.text, expected: String(has), found: String(wanted), kept: 'nothing was changed' },
  );
}

async function refuseInUse(session: Session, vm: LocalVm): Promise<void> {
  await session.vms.refuseRunning(vm.name);
  if (!isSuspended(vm.directory)) return;
  throw new TartletError(
    'VM_RUNNING',
    `the VM "${vm.name.text}" is suspended: its saved state needs the disk as it is`,
    {
      subject: vm.name.text,
      kept: 'nothing was changed',
      next: { kind: 'drop-saved-state', vm: vm.name.text },
    },
  );
}

/** The disk first, because it is what can fail: a larger disk under an old configuration is harmless. */
async function apply(
  session: Session,
  vm: LocalVm,
  change: Change,
  replacement: ReplacementDisk | undefined,
): Promise<void> {
  if (change.disk.kind === 'none') {
    await writeConfig(vm, change.config);
    return;
  }
  const lock = await session.vms.hold(vm);
  try {
    // Asked again under its own lock: its disk may just have arrived.
    if (replacement === undefined) await growDisk(await session.vms.require(vm.name), change.disk.bytes);
    else {
      await replacement.moveInto(vm.directory.path);
      // From then on it waits for nothing more.
      await removeLazyFiles(vm.directory.path);
    }
    await writeConfig(vm, change.config);
  } finally {
    await lock.release();
  }
}

async function writeConfig(vm: LocalVm, config: VmConfig | undefined): Promise<void> {
  if (config !== undefined) await rewriteJson(configOf(vm), serializeVmConfig(config, 'file'));
}

/** Only the length changes: what is added is a hole. One that is still to arrive will have it. */
async function growDisk(vm: LocalVm, bytes: number): Promise<void> {
  const lazy = vm.directory.layout === 'lazy' ? readLazyRecord(vm.directory.path) : undefined;
  if (lazy !== undefined) {
    await replaceLazyRecord(vm.directory.path, { ...lazy, diskBytes: bytes });
    return;
  }
  const file = diskOf(vm);
  await onDisk('grow', file, async () => {
    const handle = await openDisk(file, 'write');
    try {
      await handle.truncate(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

function configOf(vm: LocalVm): string {
  return `${vm.directory.path}/${VmFile.config}`;
}

function diskOf(vm: LocalVm): string {
  return `${vm.directory.path}/${VmFile.disk}`;
}
