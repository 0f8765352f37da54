import type { Severity } from '../doctor/finding-kind.ts';

interface Kind {
  /** How bad it is where it is not as it should be. */
  readonly severity: Severity;
  /** What is looked at, as a clause. */
  readonly meaning: string;
}

/**
 * What a machine is looked at for that is to run VMs. The table in docs/guide/running.md is this one; an id never
 * changes its meaning.
 */
export const HOST_FINDINGS = {
  qemu: {
    severity: 'damage',
    meaning: 'QEMU 7.2 or newer and a UEFI firmware for guests of the architecture of this machine',
  },
  'qemu-foreign': { severity: 'note', meaning: 'the same for guests of the other architecture, which are emulated' },
  start: { severity: 'damage', meaning: 'an empty VM starts' },
  kvm: { severity: 'warning', meaning: 'the processor runs the guests; found out by starting the empty VM' },
  'dies-with-run': {
    severity: 'note',
    meaning: '`setpriv` of util-linux, which lets QEMU die with `run`; without, a shell watches',
  },
  ports: { severity: 'note', meaning: 'port 22 of an address of its own can be had for a VM' },
  bridge: { severity: 'note', meaning: "QEMU's helper for bridges, and a bridge that it may connect guests to" },
  dnsmasq: { severity: 'note', meaning: 'dnsmasq, which gives guests on a bridge of ours their addresses' },
  virtiofsd: { severity: 'note', meaning: 'virtiofsd, which shares directories with guests' },
  vsock: { severity: 'note', meaning: "`/dev/vhost-vsock` and `socat`, over which Tart's guest agent is spoken to" },
  openssh: { severity: 'note', meaning: 'OpenSSH, for `ssh`' },
  space: { severity: 'warning', meaning: 'at least 10 GB are free where the VMs are' },
  tart: { severity: 'damage', meaning: 'on a Mac: Tart, which runs the VMs there' },
} as const satisfies Readonly<Record<string, Kind>>;

/** Stable: programs may decide on it. */
export type HostFindingId = keyof typeof HOST_FINDINGS;
