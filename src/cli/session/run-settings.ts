import { existsSync } from 'node:fs';
import { TartletError } from '../../errors.ts';
import { parseDiskOptions } from '../../hypervisor/disk-options.ts';
import { DEFAULT_DISK_OPTIONS, type Console, type SoundDriver } from '../../hypervisor/machine.ts';
import type { RunSettings } from '../../run/run-settings.ts';
import { resolvePath, type Terminal } from '../terminal/terminal.ts';
import { parseDisk, parseShares, refuseSuspendableShares } from './attachment-settings.ts';
import { parseHostDevice } from './host-device.ts';
import { type NetworkFlags, parseNetwork } from './network-settings.ts';

/** The options of `run`, as they were typed (tart-cli §1.3). */
export interface RunFlags extends NetworkFlags {
  readonly graphics?: boolean;
  readonly serial?: true;
  readonly serialPath?: string;
  readonly vnc?: true;
  readonly vncExperimental?: true;
  readonly clipboard: boolean;
  /** Undefined: no sound, as where it is refused. */
  readonly audio?: boolean;
  readonly recovery?: true;
  readonly nested?: true;
  readonly rootDiskOpts?: string;
  readonly suspendable?: true;
  readonly captureSystemKeys?: true;
  readonly trackpad: boolean;
  readonly pointer: boolean;
  readonly keyboard: boolean;
  readonly provisioningOpts?: string;
  readonly disk?: readonly string[];
  readonly rosetta?: string;
  readonly dir?: readonly string[];
  /** Bytes; in Vetu's dialect. */
  readonly netHostMtu?: number;
  /** PCI devices of this machine; in Vetu's dialect. */
  readonly device?: readonly string[];
  readonly allowEmulation?: true;
}

/**
 * @throws TartletError `USAGE` for what cannot be asked together, or here, each with its reason: nothing is passed over
 * in silence.
 */
export function parseRunFlags(terminal: Terminal, flags: RunFlags): RunSettings {
  refuseMacOnly(flags);
  // Isolation that cannot be had is said before what is wrong elsewhere.
  const network = parseNetwork(terminal, flags);
  refuseSuspendableShares(flags);
  return {
    network,
    disks: (flags.disk ?? []).map((text) => parseDisk(terminal, text)),
    shares: parseShares(terminal, flags.dir ?? []),
    rootDisk: parseRootDisk(flags.rootDiskOpts),
    mtu: flags.netHostMtu,
    hostDevices: (flags.device ?? []).map(parseHostDevice),
    console: parseConsole(terminal, flags),
    screens: parseScreens(terminal, flags),
    clipboard: flags.clipboard,
    sound: flags.audio === true ? soundDriver(terminal.environment) : undefined,
    keyboard: flags.keyboard,
    pointer: flags.pointer,
    nested: flags.nested ?? false,
    allowEmulation: flags.allowEmulation ?? false,
  };
}

function refuseMacOnly(flags: RunFlags): void {
  const macOnly = {
    '--recovery': flags.recovery,
    '--rosetta': flags.rosetta,
    '--provisioning-opts': flags.provisioningOpts,
    '--no-trackpad': flags.trackpad ? undefined : true,
  };
  for (const [flag, value] of Object.entries(macOnly)) {
    if (value === undefined) continue;
    throw new TartletError('USAGE', `${flag} is for guests or windows of macOS`, {
      next: { kind: 'in-words', words: `leave ${flag} out` },
    });
  }
}

function parseRootDisk(text: string | undefined): RunSettings['rootDisk'] {
  if (text === undefined) return DEFAULT_DISK_OPTIONS;
  const options = parseDiskOptions(text);
  if (options !== undefined) return options;
  throw new TartletError('USAGE', `"${text}" is no option of a disk`, {
    next: { kind: 'in-words', words: 'give ro, sync=none|fsync|full and caching=automatic|cached|uncached, by commas' },
  });
}

function parseConsole(terminal: Terminal, { serial, serialPath }: RunFlags): Console {
  if (serialPath !== undefined) return { kind: 'device', path: resolvePath(terminal, serialPath) };
  return { kind: serial === true ? 'pty' : 'none' };
}

/**
 * A window where there is a desktop. Where there is none the VM runs all the same: Packer asks for one always
 * (run-fleet-demand §5.1).
 */
function parseScreens(terminal: Terminal, flags: RunFlags): RunSettings['screens'] {
  const { graphics, vnc, vncExperimental, captureSystemKeys } = flags;
  if (vnc === true && vncExperimental === true) {
    throw new TartletError('USAGE', '--vnc and --vnc-experimental exclude each other', {
      next: { kind: 'in-words', words: 'choose one of them: here both are the VNC server of QEMU' },
    });
  }
  if (captureSystemKeys === true && graphics !== true) {
    throw new TartletError('USAGE', '--capture-system-keys is for a window, and there is none', {
      next: { kind: 'in-words', words: 'give --graphics as well' },
    });
  }
  const isVnc = vnc === true || vncExperimental === true;
  const isWindow = graphics === true && hasDesktop(terminal);
  return [
    ...(isWindow ? [{ kind: 'window', grabsKeys: captureSystemKeys === true } as const] : []),
    ...(isVnc ? [{ kind: 'vnc' } as const] : []),
  ];
}

/** Whether there is something to open a window on. That it lets us is found out by opening one. */
export function hasDesktop({ environment }: Terminal): boolean {
  return [environment['DISPLAY'], environment['WAYLAND_DISPLAY']].some((each) => each !== undefined && each !== '');
}

/** Of the sound servers of desktops, all speak as PulseAudio does. */
function soundDriver({ PULSE_SERVER, XDG_RUNTIME_DIR }: Terminal['environment']): SoundDriver {
  if (PULSE_SERVER !== undefined) return 'pa';
  if (XDG_RUNTIME_DIR !== undefined && existsSync(`${XDG_RUNTIME_DIR}/pulse/native`)) return 'pa';
  return existsSync('/dev/snd') ? 'alsa' : 'none';
}
