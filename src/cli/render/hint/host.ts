import type { HostHints } from '../../../hint.ts';
import type { HintTexts } from './texts.ts';

type Part = HostHints['install-part']['part'];
type Distribution = NonNullable<HostHints['install-part']['distribution']>;

const INSTALL = {
  debian: 'sudo apt install',
  fedora: 'sudo dnf install',
  arch: 'sudo pacman -S',
  alpine: 'doas apk add',
} as const satisfies Record<Distribution, string>;

/** Packages, by part and distribution. Debian 12 has virtiofsd within QEMU's packages. */
const PACKAGES: Readonly<Record<Part, Readonly<Record<Distribution, string>>>> = {
  'qemu-amd64': {
    debian: 'qemu-system-x86 ovmf',
    fedora: 'qemu-system-x86-core edk2-ovmf',
    arch: 'qemu-base edk2-ovmf',
    alpine: 'qemu-system-x86_64 ovmf',
  },
  'qemu-arm64': {
    debian: 'qemu-system-arm qemu-efi-aarch64',
    fedora: 'qemu-system-aarch64-core edk2-aarch64',
    arch: 'qemu-system-aarch64 edk2-aarch64',
    alpine: 'qemu-system-aarch64 aavmf',
  },
  'dies-with-run': { debian: 'util-linux', fedora: 'util-linux', arch: 'util-linux', alpine: 'setpriv' },
  bridge: { debian: 'qemu-system-common', fedora: 'qemu-common', arch: 'qemu-base', alpine: 'qemu-bridge-helper' },
  dnsmasq: { debian: 'dnsmasq-base', fedora: 'dnsmasq', arch: 'dnsmasq', alpine: 'dnsmasq' },
  virtiofsd: { debian: 'virtiofsd', fedora: 'virtiofsd', arch: 'virtiofsd', alpine: 'virtiofsd' },
  vsock: { debian: 'socat', fedora: 'socat', arch: 'socat', alpine: 'socat' },
  openssh: { debian: 'openssh-client', fedora: 'openssh-clients', arch: 'openssh', alpine: 'openssh-client' },
};

const NAMES = { debian: 'Debian', fedora: 'Fedora', arch: 'Arch', alpine: 'Alpine' } as const;

/** The command for this distribution; for one that we do not know, those of all. */
function installText({ part, distribution }: HostHints['install-part']): string {
  const command = (each: Distribution): string => `${INSTALL[each]} ${PACKAGES[part][each]}`;
  if (distribution !== undefined) return command(distribution);
  const all = (['debian', 'fedora', 'arch', 'alpine'] as const).map((each) => `${command(each)} (${NAMES[each]})`);
  return `${all.slice(0, -1).join(', ')} or ${all.at(-1)}`;
}

/** About what a machine lacks. */
export const HOST_TEXTS: HintTexts<HostHints> = {
  'install-part': installText,
  'install-tart': () => 'brew install cirruslabs/cli/tart',
  'load-kvm': () =>
    'sudo modprobe -a kvm_intel kvm_amd; where that does not help, enable virtualization in the settings ' +
    'of the firmware',
  'let-use-kvm': ({ user }) => `sudo usermod -aG kvm ${user}, and log in again`,
  'enable-virtualization': () =>
    'enable virtualization in the settings of the firmware or, where this machine is a VM itself, nested ' +
    'virtualization on its host',
  'load-vsock': () => 'sudo modprobe vhost_vsock',
  'let-use-vsock': () => 'sudo chgrp kvm /dev/vhost-vsock && sudo chmod g+rw /dev/vhost-vsock',
  'allow-low-ports': () =>
    'sudo sysctl net.ipv4.ip_unprivileged_port_start=22, or let the SSH server of this machine listen on ' +
    'its own addresses only',
  'set-up-network': () => 'sudo tartlet network setup, or name a bridge of yours with --net-bridged',
  'make-free-space': () => 'tartlet prune --free-space 10',
};
