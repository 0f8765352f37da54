import type { LocalVm, VmState } from '../home/vms/local-vms.ts';
import { readSmallFile } from '../fs/small-file.ts';
import { readAsOne } from '../home/still-there.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';
import { parseVmConfig } from './config-file.ts';
import { displayText } from './display.ts';

/** What `get` shows of a local VM. */
export interface VmDescription {
  readonly os: 'darwin' | 'linux';
  readonly cpuCount: number;
  /** MiB, rounded down. */
  readonly memoryMiB: number;
  readonly logicalBytes: number;
  readonly allocatedBytes: number;
  readonly diskFormat: 'raw' | 'asif';
  readonly display: string;
  readonly state: VmState;
}

/** @throws TartletError `VM_NOT_FOUND`, `VM_INVALID`, `CONFIG_INVALID`, `BUSY` */
export async function describeVm(session: Session, name: LocalName): Promise<VmDescription> {
  return readAsOne(
    async () => session.vms.require(name),
    async (vm) => describe(session, vm),
  );
}

async function describe(session: Session, vm: LocalVm): Promise<VmDescription> {
  const file = `${vm.directory.path}/${VmFile.config}`;
  const config = parseVmConfig(await readSmallFile(file), vm.name.text);
  const state = await session.vms.state(vm);
  await session.vms.touch(vm, session.now());
  return {
    os: config.os,
    cpuCount: config.cpuCount,
    memoryMiB: Math.floor(config.memorySize / (1024 * 1024)),
    logicalBytes: vm.directory.logicalBytes,
    allocatedBytes: vm.directory.allocatedBytes,
    diskFormat: config.diskFormat,
    display: displayText(config.display),
    state,
  };
}
