import type { Console, Disk, DiskOptions, Forward, SoundDriver } from '../hypervisor/machine.ts';
import type { WantedShare } from '../hypervisor/share-options.ts';
import type { RemoteName } from '../names/remote-name.ts';

/** A copy of the disk of a cached image, which is thrown away with the run. */
export interface DiskOfImage {
  readonly kind: 'image';
  readonly name: RemoteName;
  readonly readOnly: boolean;
}

/** How a VM is to be run: what `run` was asked for, parsed. */
export interface RunSettings {
  /** The VM's own disk has not arrived yet. Default: it has. */
  readonly arrives?: boolean | undefined;
  /** Behind the VM's own disk. */
  readonly disks: readonly (Disk | DiskOfImage)[];
  /** Paths are absolute. */
  readonly shares: readonly WantedShare[];
  readonly rootDisk: DiskOptions;
  readonly network:
    | { readonly kind: 'user'; readonly isolated: boolean; readonly published: readonly Forward[] }
    | { readonly kind: 'bridged'; readonly bridges: readonly string[] };
  /** The largest packet that the guest is told to send, in bytes; undefined: as QEMU says. */
  readonly mtu: number | undefined;
  /** Directories below /sys of PCI devices that the guest gets. */
  readonly hostDevices: readonly string[];
  readonly console: Console;
  /** The password of VNC is made when it runs. */
  readonly screens: readonly ({ readonly kind: 'vnc' } | { readonly kind: 'window'; readonly grabsKeys: boolean })[];
  readonly clipboard: boolean;
  readonly sound: SoundDriver | undefined;
  readonly keyboard: boolean;
  readonly pointer: boolean;
  readonly nested: boolean;
  /** Also guests of another architecture, by emulation. */
  readonly allowEmulation: boolean;
}
