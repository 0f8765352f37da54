import { TartletError } from '../errors.ts';
import { SEED } from '../home/home-entry.ts';
import { VmFile } from '../home/vm-directory.ts';
import { DEFAULT_DISK_OPTIONS, type Disk, type Forward, type Machine, type Network } from '../hypervisor/machine.ts';
import type { SshDoor } from '../network/own-address.ts';
import type { Arch, LinuxConfig, VmConfig } from '../vm/config.ts';
import type { Attachments } from './attachments.ts';
import type { RunSettings } from './run-settings.ts';

/** What is decided for this start of a VM. */
export interface StartDecisions {
  /** Where the guest's port 22 is reached; undefined on a bridge. */
  readonly ssh: SshDoor | undefined;
  readonly vncPassword: string;
  readonly generation: string;
  /** Whether something for cloud-init lies beside the disk. */
  readonly hasSeed: boolean;
  /** The number of the guest's vsock, if it gets one. */
  readonly vsock: number | undefined;
}

const SSH_PORT = 22;

/**
 * The machine, without the {@link Attachments} of this run, that a VM's configuration and the settings of this run come
 * to.
 *
 * @param directory of the VM.
 */
export function machineOf(
  vm: { readonly name: string; readonly directory: string; readonly config: LinuxConfig },
  settings: RunSettings,
  decided: StartDecisions,
): Machine {
  const { config } = vm;
  return {
    name: vm.name,
    directory: vm.directory,
    arch: config.arch,
    cpuCount: config.cpuCount,
    memoryBytes: config.memorySize,
    mac: config.mac.toString(),
    display: config.display,
    // By its name in the directory: there QEMU works, whatever the length of the path.
    // What cloud-init looks for by its label comes last: the names of the disks in between do not depend on it.
    disks: [
      { kind: 'file', path: VmFile.disk, ...settings.rootDisk },
      ...(decided.hasSeed ? [{ kind: 'file', path: SEED, ...DEFAULT_DISK_OPTIONS, readOnly: true } as const] : []),
    ],
    shares: [],
    network: networkOf(settings, decided.ssh),
    mtu: settings.mtu,
    hostDevices: settings.hostDevices,
    console: settings.console,
    screens: settings.screens.map((screen) =>
      screen.kind === 'vnc' ? { ...screen, password: decided.vncPassword } : screen,
    ),
    clipboard: settings.clipboard,
    sound: settings.sound,
    keyboard: settings.keyboard,
    pointer: settings.pointer,
    nested: settings.nested,
    vsock: decided.vsock,
    generation: decided.generation,
  };
}

/** The machine with another disk than the file that is its own, if there is one. */
export function withRootDisk(machine: Machine, disk: Disk | undefined): Machine {
  const [own, ...others] = machine.disks;
  return { ...machine, disks: [disk ?? own, ...others] };
}

/** The machine with the disks and directories of this run. */
export function withAttachments(machine: Machine, { disks, shares }: Attachments): Machine {
  const [own, ...others] = machine.disks;
  return { ...machine, disks: [own, ...disks, ...others], shares };
}

function networkOf({ network }: RunSettings, ssh: SshDoor | undefined): Network {
  if (network.kind === 'bridged') return network;
  const door: Forward[] =
    ssh === undefined ? [] : [{ protocol: 'tcp', hostAddress: ssh.address, hostPort: ssh.port, guestPort: SSH_PORT }];
  return { kind: 'user', isolated: network.isolated, forwards: [...door, ...network.published] };
}

/**
 * What Linux can run of Tart's VMs.
 *
 * @param hostArch of this machine.
 * @throws TartletError `NEEDS_MACOS`, or `HOST_LACKS` for a guest of another architecture without `allowEmulation`.
 */
export function requireRunnable(
  config: VmConfig,
  name: string,
  { hostArch, allowEmulation }: { readonly hostArch: Arch | undefined; readonly allowEmulation: boolean },
): asserts config is LinuxConfig {
  if (config.os === 'darwin') {
    throw new TartletError('NEEDS_MACOS', `the VM "${name}" runs macOS, which Apple allows on its own machines only`, {
      subject: name,
      next: { kind: 'run-on-mac' },
    });
  }
  if (config.diskFormat === 'asif') {
    throw new TartletError('NEEDS_MACOS', `the disk of the VM "${name}" is in Apple's format ASIF`, {
      subject: name,
      next: { kind: 'convert-to-raw' },
    });
  }
  if (config.arch !== hostArch && !allowEmulation) {
    throw new TartletError(
      'HOST_LACKS',
      `the VM "${name}" is made for ${config.arch}, and this machine is ${hostArch ?? 'neither arm64 nor amd64'}`,
      {
        subject: name,
        next: { kind: 'run-on-own-kind' },
      },
    );
  }
}
