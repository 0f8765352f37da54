import { copyFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DEFAULT_DISK_OPTIONS, type Accelerator, type Machine } from '../hypervisor/machine.ts';
import type { QemuHost } from '../hypervisor/qemu/command-line.ts';
import { startQemu } from '../hypervisor/qemu/qemu.ts';
import type { Arch } from '../vm/config.ts';

const MEMORY_BYTES = 256 * 1024 * 1024;
const DISK_BYTES = 1024 * 1024;

/** What became of an empty machine that was started, and ended at once. */
export interface Started {
  readonly accelerator: Accelerator;
  /** Why it is emulated, where it is. */
  readonly reason: string | undefined;
}

/**
 * Starts a machine with nothing on its disk: whether KVM works is known by nothing else (vm-run.md §0).
 *
 * @param temporary a directory for its files, which are removed.
 * @throws TartletError as a `run` would.
 */
export async function startEmptyMachine(
  host: QemuHost,
  { arch, temporary, pid }: { readonly arch: Arch; readonly temporary: string; readonly pid: number },
): Promise<Started> {
  const directory = await mkdtemp(path.join(temporary, 'tartlet-host-'));
  try {
    await writeFile(`${directory}/disk.img`, '');
    await truncate(`${directory}/disk.img`, DISK_BYTES);
    await copyFile(host.firmware.storeTemplate, `${directory}/store.fd`);
    let reason: string | undefined;
    const running = await startQemu(emptyMachine(directory, arch), {
      host,
      accelerator: 'auto',
      store: 'store.fd',
      inherited: [],
      ourPid: pid,
      abandoned: new AbortController().signal,
      events: {},
      onEmulated: (why) => (reason = why),
      onNoWindow: () => undefined,
    });
    await running.end();
    await running.ended;
    return { accelerator: running.accelerator, reason };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function emptyMachine(directory: string, arch: Arch): Machine {
  return {
    name: 'empty',
    directory,
    arch,
    cpuCount: 1,
    memoryBytes: MEMORY_BYTES,
    mac: '52:54:00:00:00:01',
    display: { width: 800, height: 600 },
    disks: [{ kind: 'file', path: 'disk.img', ...DEFAULT_DISK_OPTIONS }],
    shares: [],
    network: { kind: 'user', isolated: true, forwards: [] },
    console: { kind: 'none' },
    vsock: undefined,
    screens: [],
    clipboard: false,
    sound: undefined,
    keyboard: false,
    pointer: false,
    nested: false,
    generation: '00000000-0000-4000-8000-000000000001',
  };
}
