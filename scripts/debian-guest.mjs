/**
 * Builds a whole Debian as a Tart VM, for what the little guest (guest.mjs) cannot show: Debian's cloud kernel,
 * systemd-networkd with DHCP on `en*`, an SSH server (admin, admin), QEMU's guest agent, python3 and git. From Debian's
 * packages by mmdebstrap, as root, in about two minutes; the partitions are written as files are, without a loop
 * device.
 *
 *     node scripts/debian-guest.mjs DIRECTORY [PACKAGE...] [--tools PACKAGE,...] [--root-mib MIB]
 *
 * Makes DIRECTORY with config.json, disk.img and nvram.bin. PACKAGE: more of Debian's, like cloud-init. With `--tools`,
 * these packages and all that they need lie in /opt/tools, as the tools in images of CI do: much that no start reads.
 * MIB: the size of the file system, 1900 unless more belongs into it.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  options: { 'root-mib': { type: 'string', default: '1900' }, tools: { type: 'string' } },
  allowPositionals: true,
});
const [target, ...more] = positionals;
if (target === undefined) {
  console.error('usage: node scripts/debian-guest.mjs DIRECTORY [PACKAGE...] [--tools PACKAGE,...] [--root-mib MIB]');
  process.exit(64);
}

const MIB = 1024 * 1024;
const ESP = { start: 1, size: 96 };
const ROOT = { start: ESP.start + ESP.size, size: Number(values['root-mib']) };
const ROOT_UUID = '5d2c1e57-7a27-4b1c-8f4d-0a7a127e7001';
const PACKAGES = [
  'linux-image-cloud-amd64',
  'systemd-sysv',
  'dbus',
  'udev',
  'kmod',
  'initramfs-tools',
  'iproute2',
  'openssh-server',
  'sudo',
  'qemu-guest-agent',
  'python3',
  'git',
  'ca-certificates',
  'e2fsprogs',
];

/** What is written into the system, by path. */
const FILES = {
  'etc/hostname': 'debian\n',
  'etc/hosts': '127.0.0.1 localhost debian\n',
  'etc/fstab': `UUID=${ROOT_UUID} / ext4 defaults 0 1\n`,
  // By the card and not by the system: copies of a VM have one system, and each its own card.
  'etc/systemd/network/20-wired.network': '[Match]\nName=en*\n[Network]\nDHCP=ipv4\n[DHCPv4]\nClientIdentifier=mac\n',
  'etc/sudoers.d/admin': 'admin ALL=(ALL) NOPASSWD: ALL\n',
  'etc/resolv.conf': 'nameserver 10.0.2.3\n',
};

const SETTINGS = `
set -e
useradd --create-home --shell /bin/bash --groups sudo admin
echo admin:admin | chpasswd
systemctl enable systemd-networkd ssh qemu-guest-agent
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer systemd-networkd-wait-online.service
rm -f /etc/machine-id && touch /etc/machine-id
apt-get clean
`;

const work = mkdtempSync(path.join(tmpdir(), 'tartlet-debian-'));
try {
  build();
} finally {
  rmSync(work, { recursive: true, force: true });
}

function build() {
  const root = `${work}/root`;
  const options = {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  };
  execFileSync(
    'mmdebstrap',
    [
      '--quiet',
      '--mode=root',
      '--variant=minbase',
      `--include=${[...PACKAGES, ...more].join(',')}`,
      '--aptopt=Acquire::Languages "none"',
      '--aptopt=APT::Install-Recommends "false"',
      '--dpkgopt=path-exclude=/usr/share/man/*',
      '--dpkgopt=path-exclude=/usr/share/locale/*',
      '--dpkgopt=path-exclude=/usr/share/doc/*',
      'bookworm',
      root,
      ...mirror(),
    ],
    options,
  );
  for (const [name, text] of Object.entries(FILES)) {
    rmSync(`${root}/${name}`, { force: true });
    mkdirSync(path.dirname(`${root}/${name}`), { recursive: true });
    writeFileSync(`${root}/${name}`, text);
  }
  execFileSync('chroot', [root, '/bin/sh', '-c', SETTINGS], options);
  if (values.tools !== undefined) unpackTools(root, values.tools, options);
  mkdirSync(target, { recursive: true });
  disk(root, `${target}/disk.img`);
  cpSync('/usr/share/OVMF/OVMF_VARS_4M.fd', `${target}/nvram.bin`);
  writeFileSync(`${target}/config.json`, JSON.stringify(config()));
}

/** Not installed: only their files are there. */
function unpackTools(root, packages, options) {
  const how = ['--quiet', '--mode=root', '--variant=extract', '--aptopt=Acquire::Languages "none"'];
  const which = ['--aptopt=APT::Install-Recommends "false"', `--include=${packages}`, 'bookworm', `${root}/opt/tools`];
  execFileSync('mmdebstrap', [...how, ...which, ...mirror()], options);
}

/** The machine's own sources, whatever they are. */
function mirror() {
  const files = ['/etc/apt/sources.list', ...inDirectory('/etc/apt/sources.list.d')];
  return files.filter((file) => /\.(?:list|sources)$/.test(file) && exists(file));
}

function inDirectory(directory) {
  try {
    return readdirSync(directory).map((name) => `${directory}/${name}`);
  } catch {
    return [];
  }
}

function exists(file) {
  return inDirectory(path.dirname(file)).includes(file);
}

function config() {
  return {
    version: 1,
    os: 'linux',
    arch: 'amd64',
    cpuCountMin: 1,
    cpuCount: 2,
    memorySizeMin: 512 * MIB,
    memorySize: 1024 * MIB,
    macAddress: '52:55:0a:00:02:0a',
    diskFormat: 'raw',
    display: { width: 1024, height: 768 },
  };
}

function disk(root, file) {
  writeFileSync(file, '');
  truncateSync(file, (ROOT.start + ROOT.size + 1) * MIB);
  execFileSync('sfdisk', ['--quiet', file], {
    input: [
      'label: gpt',
      `start=${ESP.start}MiB, size=${ESP.size}MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B`,
      `start=${ROOT.start}MiB, size=${ROOT.size}MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4`,
    ].join('\n'),
  });
  const at = ['-i', `${file}@@${ESP.start}M`];
  execFileSync('mformat', [...at, '-T', String(ESP.size * 2048), '-F', '::']);
  execFileSync('mmd', [...at, '::/EFI', '::/EFI/BOOT', '::/loader', '::/loader/entries']);
  const inBoot = (prefix) => `${root}/boot/${readdirSync(`${root}/boot`).find((name) => name.startsWith(prefix))}`;
  writeFileSync(`${work}/loader.conf`, 'timeout 0\ndefault debian\n');
  // no_timer_check: emulated on a busy machine, the kernel finds its timer too slow, and panics.
  writeFileSync(
    `${work}/debian.conf`,
    `title Debian\nlinux /vmlinuz\ninitrd /initrd.img\noptions root=UUID=${ROOT_UUID} ro console=tty0 console=hvc0 console=ttyS0 no_timer_check\n`,
  );
  const copies = [
    [loader(), '::/EFI/BOOT/BOOTX64.EFI'],
    [inBoot('vmlinuz'), '::/vmlinuz'],
    [inBoot('initrd.img'), '::/initrd.img'],
    [`${work}/loader.conf`, '::/loader/loader.conf'],
    [`${work}/debian.conf`, '::/loader/entries/debian.conf'],
  ];
  for (const [from, to] of copies) execFileSync('mcopy', [...at, from, to]);
  // They are on the other partition, and need not be there twice.
  for (const name of readdirSync(`${root}/boot`)) rmSync(`${root}/boot/${name}`, { recursive: true });
  execFileSync(
    'mkfs.ext4',
    ['-q', '-F', '-U', ROOT_UUID, '-d', root, '-E', `offset=${ROOT.start * MIB}`, file, `${ROOT.size}M`],
    { stdio: 'ignore' },
  );
}

/** systemd-boot of the machine that this runs on, which `systemd-boot-efi` brings. */
function loader() {
  return '/usr/lib/systemd/boot/efi/systemd-bootx64.efi';
}
