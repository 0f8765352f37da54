import { randomBytes } from 'node:crypto';
import { isTartletError, TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import type { FileLock } from '../fs/lock/lock.ts';
import { openDisk } from '../fs/plain-file.ts';
import { rewriteJson } from '../fs/rewrite.ts';
import { readSmallFile } from '../fs/small-file.ts';
import { isSuspendedByTart, VmFile } from '../home/vm-directory.ts';
import { removeLazyFiles } from '../home/vms/lazy-files.ts';
import type { LocalVm } from '../home/vms/local-vms.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';
import { type VmConfig, withMac } from '../vm/config.ts';
import { parseVmConfig, serializeVmConfig } from '../vm/config-file.ts';
import { MacAddress } from '../vm/mac-address.ts';
import { isMacTaken } from '../vm/mac-collision.ts';

/** A VM that nothing else can run, change or delete now. */
export interface TakenVm {
  readonly name: string;
  readonly directory: string;
  readonly config: VmConfig;
  /** Whether its disk has still to arrive. */
  readonly isLazy: boolean;
  /** While it is held, the VM counts as running. */
  readonly lock: FileLock;
}

/**
 * Takes a VM to run it.
 *
 * @throws TartletError `VM_NOT_FOUND`, `VM_RUNNING`, `VM_INVALID`, `NEEDS_MACOS`, `STORE_DAMAGED` and `DISK_*` for its
 * disk
 */
export async function takeVm(session: Session, name: LocalName): Promise<TakenVm> {
  const vm = await session.vms.require(name);
  await session.vms.touch(vm, session.now());
  // Two that begin at once see each other: each counts as running before the next one looks.
  return session.vms.underLock(session.signal, async () => takeUnderLock(session, vm));
}

async function takeUnderLock(session: Session, vm: LocalVm): Promise<TakenVm> {
  const { name } = vm;
  const lock = await session.vms.hold(vm).catch(async (error: unknown) => {
    // Another `run` has it, as a rule; a push would say of itself that it is at work.
    if (isTartletError(error, 'BUSY')) await session.vms.refuseRunning(name);
    throw error;
  });
  try {
    const file = `${vm.directory.path}/${VmFile.config}`;
    const stored = parseVmConfig(await onDisk('read', file, async () => readSmallFile(file)), name.text);
    // Asked again under the lock: the run before may just have made it whole.
    const isLazy = (await session.vms.require(name)).directory.layout === 'lazy';
    const isStacked = !isLazy && vm.directory.layout.startsWith('stacked');
    refuseForeign(name.text, isStacked, isSuspendedByTart(vm.directory));
    if (!isLazy) {
      await requireDisk(`${vm.directory.path}/${VmFile.disk}`);
      await removeLazyFiles(vm.directory.path);
    }
    const config = await withOwnMac(session, vm, stored);
    return { name: name.text, directory: vm.directory.path, config, isLazy, lock };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/**
 * QEMU opens whatever lies there, for reading and writing: behind a symlink that another user put there it would be any
 * file of this user. @throws TartletError `STORE_DAMAGED`, `DISK_*`
 */
async function requireDisk(disk: string): Promise<void> {
  const handle = await onDisk('read', disk, async () => openDisk(disk));
  await handle.close();
}

/**
 * One VM, one address: of two that run with one, both would get one IP address. As in Tart the later one gets another
 * (tart-cli §1.3).
 */
async function withOwnMac(session: Session, { name, directory }: LocalVm, config: VmConfig): Promise<VmConfig> {
  if (!(await isMacTaken(session, config.mac, name, 'running'))) return config;
  const changed = withMac(config, MacAddress.random(randomBytes));
  await rewriteJson(`${directory.path}/${VmFile.config}`, serializeVmConfig(changed, 'file'));
  const text =
    `${name.text} gets another MAC address, ${changed.mac.toString()}: ` +
    'a VM that runs has the one that it had until now';
  session.emit({ kind: 'note', subject: name.text, text });
  return changed;
}

/** What only macOS can go on with. */
function refuseForeign(name: string, isStacked: boolean, hasAppleState: boolean): void {
  if (isStacked) {
    throw new TartletError('NEEDS_MACOS', `the disk of the VM "${name}" is stacked, in Apple's format ASIF`, {
      subject: name,
    });
  }
  if (!hasAppleState) return;
  throw new TartletError('VM_INVALID', `the VM "${name}" was suspended by Tart on a Mac`, {
    subject: name,
    kept: 'it was left alone',
    next: { kind: 'resume-on-mac', vm: name },
  });
}
