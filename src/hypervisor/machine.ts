import type { Arch } from '../vm/config.ts';

/** What runs the guest's instructions: the processor, or a program, which is many times slower. */
export type Accelerator = 'kvm' | 'tcg';

/** How writes of the guest reach the disk: `none` drops its flushes, which is for disks that are thrown away. */
export type DiskSync = 'none' | 'fsync' | 'full';

/** Whether the host's page cache stands between guest and disk. */
export type DiskCaching = 'automatic' | 'cached' | 'uncached';

/** What stands behind the path of a disk in `--disk` and `--root-disk-opts` (tart-cli §1.3). */
export interface DiskOptions {
  readonly readOnly: boolean;
  readonly sync: DiskSync;
  readonly caching: DiskCaching;
}

export const DEFAULT_DISK_OPTIONS: DiskOptions = { readOnly: false, sync: 'full', caching: 'automatic' };

/** A disk of the guest. */
export type Disk = DiskOptions &
  (
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'block-device'; readonly path: string }
    | { readonly kind: 'nbd'; readonly url: URL }
    /**
     * What the guest wrote, in a qcow2 file, above what is read from an NBD server at a Unix socket; both by their
     * names in the machine's directory. A whole disk may take its place: `RunningMachine.replaceDisk`.
     */
    | { readonly kind: 'lazy'; readonly overlay: string; readonly socket: string }
  );

/** One port of the guest that a port of the host leads to. */
export interface Forward {
  readonly protocol: 'tcp' | 'udp';
  /** An IPv4 address of this host. */
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly guestPort: number;
}

/** A directory of the host in what a guest mounts. */
export interface SharedDirectory {
  /** Its name there; undefined: it is what is mounted. */
  readonly name: string | undefined;
  /** Absolute. */
  readonly path: string;
  readonly readOnly: boolean;
}

/** What a guest mounts under one tag: one directory without a name, or any number of directories with one each. */
export interface Share {
  /** At most 36 bytes. */
  readonly tag: string;
  readonly directories: readonly SharedDirectory[];
}

/** How the guest is connected. */
export type Network =
  /**
   * NAT by the hypervisor: the guest reaches what the host reaches, and is reached by what is forwarded. `isolated`: it
   * reaches the host only.
   */
  | { readonly kind: 'user'; readonly forwards: readonly Forward[]; readonly isolated: boolean }
  /** One interface for each bridge, all with the same MAC, as Tart does (run-fleet-demand §1). */
  | { readonly kind: 'bridged'; readonly bridges: readonly string[] };

/** The guest's console, besides the one that goes to `serial.log`. */
export type Console =
  | { readonly kind: 'none' }
  /** A terminal is made, and its path told. */
  | { readonly kind: 'pty' }
  | { readonly kind: 'device'; readonly path: string };

/** What shows the guest's screen. */
export type Screen =
  /** On the first free port from 5900 of 127.0.0.1. */
  | { readonly kind: 'vnc'; readonly password: string }
  /** On the desktop of this user. `grabsKeys`: it gets the desktop's shortcuts as well while the pointer is on it. */
  | { readonly kind: 'window'; readonly grabsKeys: boolean };

/** Where the sound of a guest goes: to a sound server, to the sound card, or nowhere. */
export type SoundDriver = 'pa' | 'alsa' | 'none';

/**
 * A machine to be run: what the guest sees, in bytes and numbers. Whose it is and how it is stored are the caller's
 * matter, except for the directory, in which sockets and logs get their relative names (absolute ones may be longer
 * than the 108 bytes of an address).
 */
export interface Machine {
  readonly name: string;
  readonly directory: string;
  readonly arch: Arch;
  readonly cpuCount: number;
  /** Bytes. */
  readonly memoryBytes: number;
  readonly mac: string;
  readonly display: { readonly width: number; readonly height: number };
  /** The first is what the guest starts from. */
  readonly disks: readonly [Disk, ...Disk[]];
  /** Each with a tag of its own. A guest that has any cannot be suspended: what it has open there cannot be saved. */
  readonly shares: readonly Share[];
  readonly network: Network;
  /** The largest packet that the guest is told to send, in bytes; undefined: as the hypervisor says. */
  readonly mtu?: number | undefined;
  /** PCI devices of the host that the guest has for itself, each by its directory below /sys. */
  readonly hostDevices?: readonly string[];
  readonly console: Console;
  /** Empty: no viewer is connected, and pictures can be taken all the same. */
  readonly screens: readonly Screen[];
  /**
   * Whether the guest has the clipboard of its viewer. The machine is the same without: only its other end is not
   * connected.
   */
  readonly clipboard: boolean;
  /** Of its sound card; undefined where it has none. */
  readonly sound: SoundDriver | undefined;
  readonly keyboard: boolean;
  readonly pointer: boolean;
  /** The guest runs machines itself. */
  readonly nested: boolean;
  /** The number of its vsock, over which Tart's agent in the guest is spoken to; undefined where this host has none. */
  readonly vsock: number | undefined;
  /** A number of its own for each copy of a suspended guest, so that it makes new secrets (vmgenid). */
  readonly generation: string;
}
