import { readlinkSync, realpathSync, type Stats } from 'node:fs';
import { diskError, isMissing } from '../fs/disk-error.ts';
import { lstatIfThereSync, statIfThereSync } from '../fs/stats.ts';
import { LazyFile, SavedState, VmFile } from './home-entry.ts';
import { readLazyRecord } from './lazy-record.ts';

export { VmFile };

/**
 * How the disk of a VM directory is stored; a directory that fits none of these holds no VM. `lazy`: the disk of a VM
 * of ours has not arrived yet; Tart sees no VM there.
 */
export type VmLayout = 'standalone' | 'stacked-local' | 'stacked-cached' | 'lazy';

/** What one look at a VM directory tells. */
export interface VmDirectory {
  readonly path: string;
  readonly layout: VmLayout;
  /** Bytes of config, NVRAM and disk as files. */
  readonly logicalBytes: number;
  /** Bytes that the directory's files occupy on the disk. */
  readonly allocatedBytes: number;
  /**
   * Where the disk of a local VM really is, when `disk.img` is a link to a file elsewhere, as people have it who lack
   * room.
   */
  readonly linkedDisk?: string;
}

/**
 * Looks at a directory without opening a file: by which files are there, the layout is decided (tart-formats §1.3).
 * Synchronous because `list` does this thousands of times, and each promise would cost more than the system call.
 *
 * @returns undefined when the directory holds no VM; symlinks and special files in it never count as its files
 * (reliability C29).
 */
export function lookAtVmDirectory(path: string): VmDirectory | undefined {
  return look(path, () => regularFile(`${path}/${VmFile.disk}`));
}

/**
 * {@link lookAtVmDirectory} for a VM of the user: its disk may be a link to a file on another disk, as Tart takes it
 * too. In the cache it may not: others may have made it, and it is no image then (reliability C29).
 */
export function lookAtLocalVm(path: string): VmDirectory | undefined {
  const file = `${path}/${VmFile.disk}`;
  let linkedDisk: string | undefined;
  const directory = look(path, () => {
    const own = regularFile(file);
    const linked = own === undefined ? behindLink(file) : undefined;
    linkedDisk = linked?.real;
    return own ?? linked?.stats;
  });
  return directory === undefined || linkedDisk === undefined ? directory : { ...directory, linkedDisk };
}

/** Why a directory with a configuration is no VM, in a sentence without a full stop. */
export function whyNoVm(path: string): string {
  const reasons = [VmFile.config, VmFile.nvram, VmFile.disk].flatMap((name) => {
    const file = `${path}/${name}`;
    const stats = lstatIfThereSync(file);
    if (stats === undefined) return `there is no ${name}`;
    if (stats.isFile() || (name === VmFile.disk && behindLink(file) !== undefined)) return [];
    if (!stats.isSymbolicLink()) return `${name} is no file`;
    return `${name} is a symlink to ${readlinkSync(file)}${name === VmFile.disk ? ', where no file is' : ''}`;
  });
  // Else its disk would be one that is still to arrive.
  if (lstatIfThereSync(`${path}/${LazyFile.record}`) !== undefined && readLazyRecord(path) === undefined)
    reasons.push(`${LazyFile.record} cannot be understood`);
  return reasons.join(', ') || 'its files do not belong together';
}

function look(path: string, findDisk: () => Stats | undefined): VmDirectory | undefined {
  const config = regularFile(`${path}/${VmFile.config}`);
  const nvram = config === undefined ? undefined : regularFile(`${path}/${VmFile.nvram}`);
  if (config === undefined || nvram === undefined) return undefined;
  const disk = findDisk();
  const overlay = regularFile(`${path}/${VmFile.overlay}`);
  const layout = decideLayout(path, disk !== undefined, overlay !== undefined);
  if (layout === undefined) return lookAtLazyVm(path, config, nvram);
  return {
    path,
    layout,
    logicalBytes: config.size + nvram.size + (disk?.size ?? 0) + (overlay?.size ?? 0),
    allocatedBytes: 512 * (config.blocks + nvram.blocks + (disk?.blocks ?? 0) + (overlay?.blocks ?? 0)),
  };
}

/** A VM whose disk is still to arrive: it is as large as it will be. */
function lookAtLazyVm(path: string, config: Stats, nvram: Stats): VmDirectory | undefined {
  const record = readLazyRecord(path);
  if (record === undefined) return undefined;
  const overlay = regularFile(`${path}/${LazyFile.overlay}`);
  return {
    path,
    layout: 'lazy',
    logicalBytes: config.size + nvram.size + record.diskBytes,
    allocatedBytes: 512 * (config.blocks + nvram.blocks + (overlay?.blocks ?? 0)),
  };
}

/** Whether a saved state lies beside the disk of a VM, Tart's or one of QEMU. */
export function isSuspended(vm: VmDirectory): boolean {
  return isSuspendedByTart(vm) || regularFile(`${vm.path}/${SavedState.memory}`) !== undefined;
}

/** Whether the saved state is one that only a Mac goes on from. */
export function isSuspendedByTart({ path }: VmDirectory): boolean {
  return regularFile(`${path}/${VmFile.state}`) !== undefined;
}

/** The decision of tart-formats §1.3, for a directory that has a configuration and an NVRAM. */
function decideLayout(path: string, disk: boolean, overlay: boolean): VmLayout | undefined {
  if (disk) return overlay ? undefined : 'standalone';
  if (regularFile(`${path}/${VmFile.manifest}`) === undefined) return undefined;
  return overlay ? 'stacked-local' : 'stacked-cached';
}

/** The file that a symlink leads to. @throws TartletError `DISK_*` when it cannot be looked at. */
function behindLink(link: string): { readonly real: string; readonly stats: Stats } | undefined {
  try {
    const stats = statIfThereSync(link);
    return stats?.isFile() === true ? { real: realpathSync(link), stats } : undefined;
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw diskError(cause, 'look at', link);
  }
}

function regularFile(file: string): Stats | undefined {
  const stats = lstatIfThereSync(file);
  return stats?.isFile() === true ? stats : undefined;
}
