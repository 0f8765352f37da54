import { TartletError, unreachable } from '../../errors.ts';
import type { Arch } from '../../vm/config.ts';
import type { Accelerator, Console, Disk, Machine } from '../machine.ts';
import { CLIPBOARD } from './clipboard.ts';
import { blockNode, diskNode } from './disk-node.ts';
import type { Firmware } from './firmware.ts';
import { networkCards } from './network-card.ts';
import { shareSocket } from './share-server.ts';

/** What the host brings, looked up before anything is decided. */
export interface QemuHost {
  /** The program for the guest's architecture, an absolute path. */
  readonly program: string;
  /** What it says of itself: a saved guest goes on only in the same. */
  readonly version: string;
  readonly firmware: Firmware;
  /** QEMU's helper that connects to a bridge without root; undefined where it is not installed. */
  readonly bridgeHelper: string | undefined;
  /** Starts another program so that it dies with us (util-linux); undefined where nothing can. */
  readonly dieWithUs: string | undefined;
}

/** What of the plan is decided while the machine is started. */
export interface StartFacts {
  readonly accelerator: Accelerator;
  /** The firmware's variables, a file that may be written. */
  readonly store: string;
  /** Names of the sockets, below the machine's directory. */
  readonly sockets: { readonly monitor: string; readonly requests: string; readonly agent: string };
  /** The guest's messages, appended to. */
  readonly log: string;
  /** It waits for the memory that the guest goes on from. */
  readonly isResumed: boolean;
}

/** Versioned, so that a guest that was suspended finds the same machine after an update of QEMU. */
const MACHINE = { amd64: 'pc-q35-7.2', arm64: 'virt-7.2' } as const satisfies Record<Arch, string>;

/** Of models without hardware behind them these are the fastest that today's guests start on (vm-run.md §1). */
const EMULATED_CPU = { amd64: 'Nehalem', arm64: 'cortex-a72' } as const satisfies Record<Arch, string>;

const MIB = 1024 * 1024;

/** An option and its value, if it has one. */
type Option = readonly [string] | readonly [string, string];

/**
 * The arguments for QEMU: a pure function of the machine and of what was found on the host (run-fleet-demand §b.2). All
 * devices are named by us: what QEMU adds by itself differs between versions.
 *
 * @throws TartletError `CONFIG_INVALID` for values that would be read as something else.
 */
export function qemuArguments(machine: Machine, host: QemuHost, start: StartFacts): string[] {
  const options: Option[] = [
    ['-nodefaults'],
    ['-no-user-config'],
    ['-name', `guest=${escaped(machine.name)}`],
    ...machineOptions(machine, start),
    ['-smp', `${machine.cpuCount},sockets=1,cores=${machine.cpuCount}`],
    ['-m', megabytesOf(machine)],
    ['-rtc', `base=utc,clock=host${machine.arch === 'amd64' ? ',driftfix=slew' : ''}`],
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${escaped(host.firmware.code)}`],
    ['-drive', `if=pflash,unit=1,format=raw,file=${escaped(start.store)}`],
    ['-device', 'virtio-rng-pci'],
    ['-device', 'virtio-balloon-pci,free-page-reporting=on'],
    // A kernel that panics says so by it, and the machine ends (run-fleet-demand §b.3, 8).
    ['-device', 'pvpanic-pci'],
    ...machine.disks.flatMap(diskOptions),
    ...shareOptions(machine),
    ...networkOptions(machine, host),
    ...(machine.hostDevices ?? []).map((path) => ['-device', `vfio-pci,sysfsdev=${escaped(path)}`] as const),
    ...portOptions(machine, start),
    ...consoleOptions(machine.console, start.log),
    ...screenOptions(machine),
    ...soundOptions(machine),
    ['-qmp', `unix:${start.sockets.monitor},server=on,wait=off`],
    // It takes one conversation at a time, and the first is `run`'s as long as the machine runs.
    ['-qmp', `unix:${start.sockets.requests},server=on,wait=off`],
    ...sandboxOptions(machine),
    ...(start.isResumed ? [['-incoming', 'defer'] as const] : []),
  ];
  return options.flat();
}

function machineOptions({ arch, nested, generation, shares }: Machine, { accelerator }: StartFacts): Option[] {
  const gic = arch === 'arm64' ? ',gic-version=max' : '';
  const nestedArm = arch === 'arm64' && nested && accelerator === 'tcg' ? ',virtualization=on' : '';
  return [
    [
      '-machine',
      `${MACHINE[arch]},accel=${accelerator}${gic}${nestedArm}${shares.length > 0 ? ',memory-backend=memory' : ''}`,
    ],
    ['-cpu', accelerator === 'kvm' ? 'host' : EMULATED_CPU[arch]],
    ...(arch === 'amd64' ? [['-device', `vmgenid,guid=${generation}`] as const] : []),
  ];
}

function megabytesOf({ memoryBytes }: Machine): string {
  return `${Math.ceil(memoryBytes / MIB)}M`;
}

/**
 * What serves a guest's directories reads and writes its memory: that lies in a file without a name, which both map.
 */
function shareOptions(machine: Machine): Option[] {
  const { shares } = machine;
  if (shares.length === 0) return [];
  return [
    ['-object', `memory-backend-memfd,id=memory,size=${megabytesOf(machine)},share=on`],
    ...shares.flatMap(({ tag }, index): Option[] => [
      ['-chardev', `socket,id=share${index},path=${shareSocket(index)}`],
      ['-device', `vhost-user-fs-pci,chardev=share${index},tag=${escaped(tag)}`],
    ]),
  ];
}

/**
 * One disk: the file, what makes a disk of it, and the device. A full or broken disk of the host stops the guest
 * instead of breaking its file system; it goes on when the cause has gone.
 */
function diskOptions(disk: Disk, index: number): Option[] {
  const node = diskNode(index);
  const first = index === 0 ? ',bootindex=0' : '';
  return [
    ['-blockdev', JSON.stringify(blockNode(disk, node))],
    ['-device', `virtio-blk-pci,drive=${node},id=${node}-device,rerror=stop,werror=stop${first}`],
  ];
}

function networkOptions(machine: Machine, host: QemuHost): Option[] {
  return networkCards(machine, host.bridgeHelper).flatMap(({ port, network, device }) => [
    ['-netdev', JSON.stringify(network)],
    ['-device', JSON.stringify(port)],
    ['-device', JSON.stringify(device)],
  ]);
}

/**
 * The port of QEMU's guest agent; the one by which Tart's agent in the guest tells which Tart it runs in
 * (run-fleet-demand §1); and the one of the clipboard, which leads nowhere until a viewer can connect (`clipboard.ts`).
 */
function portOptions({ vsock }: Machine, { sockets }: StartFacts): Option[] {
  return [
    ...(vsock === undefined ? [] : [['-device', `vhost-vsock-pci,guest-cid=${vsock}`] as const]),
    ['-device', 'virtio-serial-pci,id=ports'],
    ['-chardev', `socket,id=agent,path=${sockets.agent},server=on,wait=off`],
    ['-device', 'virtserialport,bus=ports.0,chardev=agent,name=org.qemu.guest_agent.0'],
    ['-chardev', 'null,id=tart-version'],
    ['-device', 'virtserialport,bus=ports.0,chardev=tart-version,name=tart-version-2.35.0'],
    ['-chardev', `null,id=${CLIPBOARD}`],
    ['-device', `virtserialport,bus=ports.0,chardev=${CLIPBOARD},name=com.redhat.spice.0`],
  ];
}

/** Images of VMs log to hvc0 as a rule, and those made for servers to the UART: the log has the latter always. */
function consoleOptions(console: Console, log: string): Option[] {
  const options: Option[] = [
    ['-chardev', `file,id=log,path=${log},append=on`],
    ['-serial', 'chardev:log'],
  ];
  switch (console.kind) {
    case 'none':
      return options;
    case 'pty':
      return [...options, ['-chardev', 'pty,id=console'], CONSOLE_DEVICE];
    case 'device':
      return [...options, ['-chardev', `serial,id=console,path=${escaped(console.path)}`], CONSOLE_DEVICE];
    default:
      return unreachable(console);
  }
}

const CONSOLE_DEVICE: Option = ['-device', 'virtconsole,bus=ports.0,chardev=console'];

function screenOptions({ arch, screens, display, keyboard, pointer }: Machine): Option[] {
  const card = arch === 'amd64' ? 'virtio-vga' : 'virtio-gpu-pci';
  const options: Option[] = [['-device', `${card},xres=${display.width},yres=${display.height}`]];
  if (keyboard || pointer) options.push(['-device', 'qemu-xhci,id=usb']);
  if (keyboard) options.push(['-device', 'usb-kbd,bus=usb.0']);
  if (pointer) options.push(['-device', 'usb-tablet,bus=usb.0']);
  const window = screens.find((screen) => screen.kind === 'window');
  // Without a window nothing else may be opened by default either.
  options.push(['-display', window === undefined ? 'none' : `gtk${window.grabsKeys ? ',grab-on-hover=on' : ''}`]);
  if (screens.some(({ kind }) => kind === 'vnc')) options.push(['-vnc', '127.0.0.1:0,to=99,password=on']);
  return options;
}

/** Of what Linux has drivers for, this is what QEMU 7.2 has as well (run-fleet-demand §b.2). */
function soundOptions({ sound }: Machine): Option[] {
  if (sound === undefined) return [];
  return [
    ['-audiodev', `${sound},id=sound`],
    ['-device', 'ich9-intel-hda'],
    ['-device', 'hda-output,audiodev=sound'],
  ];
}

/**
 * QEMU may start no program. The helper for bridges is one, and has its rights by the setuid bit, which no process
 * below a seccomp filter gets (prctl(2), `PR_SET_NO_NEW_PRIVS`): with bridges there is no filter. The library that
 * draws windows starts helpers of its own, and the kernel would kill QEMU for it.
 */
function sandboxOptions({ network, screens }: Machine): Option[] {
  if (network.kind === 'bridged') return [];
  const spawns = screens.some(({ kind }) => kind === 'window') ? 'allow' : 'deny';
  return [['-sandbox', `on,obsolete=deny,elevateprivileges=deny,spawn=${spawns},resourcecontrol=deny`]];
}

/** A comma is doubled inside of an option's value. */
function escaped(value: string): string {
  if (value.includes('\0')) throw new TartletError('CONFIG_INVALID', 'a path cannot contain a NUL character');
  return value.replaceAll(',', ',,');
}
