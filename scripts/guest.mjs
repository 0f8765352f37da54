/**
 * Builds the little guest of the tests: a Tart VM of a few megabytes with Debian's kernel, busybox, an SSH server
 * (admin, admin), QEMU's guest agent and nothing else, which is up within seconds even where it is emulated. From
 * Debian's packages, without root and without mounting anything.
 *
 *     node scripts/guest.mjs DIRECTORY [amd64|arm64] [--padding MIB]
 *
 * Makes DIRECTORY with config.json, disk.img and nvram.bin. MIB: so much that does not compress lies behind, of which
 * the guest reads a few blocks all over it before it is up, as larger systems do.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { arch as hostArch, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { INIT, ON_UEVENT, UDHCPC } from './guest/init.mjs';
import { modulesInOrder, Packages } from './guest/packages.mjs';
import { writePadding } from './guest/padding.mjs';

const { values, positionals } = parseArgs({
  options: { padding: { type: 'string', default: '0' } },
  allowPositionals: true,
});
const [target, architecture = hostArch() === 'arm64' ? 'arm64' : 'amd64'] = positionals;
if (target === undefined) {
  console.error('usage: node scripts/guest.mjs DIRECTORY [amd64|arm64] [--padding MIB]');
  process.exit(64);
}

const FACTS = {
  amd64: {
    boot: 'systemd-bootx64.efi',
    removable: 'BOOTX64.EFI',
    console: 'ttyS0',
    vars: '/usr/share/OVMF/OVMF_VARS_4M.fd',
  },
  arm64: { boot: 'systemd-bootaa64.efi', removable: 'BOOTAA64.EFI', console: 'ttyAMA0', vars: undefined },
}[architecture];

const MODULES =
  'virtio_pci virtio_blk virtio_net virtio_console virtio_rng virtio_balloon evdev button ext4 virtiofs vmw_vsock_virtio_transport af_packet pvpanic-pci isofs'.split(
    ' ',
  );

const MIB = 1024 * 1024;
const ESP = { start: 1, size: 62 };
const DATA = { start: 63, size: 16 };
const PADDING = { start: 80, size: Number(values.padding) };

const work = mkdtempSync(path.join(tmpdir(), 'tartlet-guest-'));
try {
  build();
} finally {
  rmSync(work, { recursive: true, force: true });
}

function build() {
  const packages = new Packages(`${work}/apt`, architecture);
  packages.update();
  const kernel = packages.meaning(`linux-image-cloud-${architecture}`, /^linux-image-[0-9]/);
  const programs = ['busybox-static', 'dropbear-bin', 'openssh-sftp-server', 'qemu-guest-agent'];
  packages.unpack(
    [kernel, ...programs, 'systemd-boot-efi', ...packages.libraries(['dropbear-bin', 'qemu-guest-agent'])],
    `${work}/all`,
  );
  mkdirSync(target, { recursive: true });
  writeFileSync(`${work}/initrd.img`, initrd());
  disk(`${target}/disk.img`);
  nvram();
  writeFileSync(`${target}/config.json`, JSON.stringify(config()));
}

function config() {
  return {
    version: 1,
    os: 'linux',
    arch: architecture,
    cpuCountMin: 1,
    cpuCount: 1,
    memorySizeMin: 256 * MIB,
    memorySize: 256 * MIB,
    macAddress: '52:55:0a:00:02:01',
    diskFormat: 'raw',
    display: { width: 800, height: 600 },
  };
}

/** Everything in memory: the guest has no root file system but this. */
function initrd() {
  const root = `${work}/root`;
  for (const name of [
    'bin',
    'dev',
    'proc',
    'sys',
    'tmp',
    'run',
    'etc/acpi/PWRF',
    'etc/dropbear',
    'root',
    'home/admin',
    'data',
    'usr/lib',
    'usr/share/udhcpc',
    'opt',
    'mnt',
    'var/run',
    'var/log',
    'usr/var/run',
    'lib/modules',
  ]) {
    mkdirSync(`${root}/${name}`, { recursive: true });
  }
  cpSync(`${work}/all/bin/busybox`, `${root}/bin/busybox`);
  cpSync(`${work}/all/usr/sbin/dropbear`, `${root}/bin/dropbear`);
  cpSync(`${work}/all/usr/bin/dropbearkey`, `${root}/bin/dropbearkey`);
  cpSync(`${work}/all/usr/sbin/qemu-ga`, `${root}/bin/qemu-ga`);
  // Where dropbear looks for it.
  cpSync(`${work}/all/usr/lib/openssh/sftp-server`, `${root}/usr/lib/sftp-server`);
  // admin is root here; drivers say sudo all the same.
  script(`${root}/bin/sudo`, '#!/bin/sh\nexec "$@"\n');
  copyLibraries(root);
  const loading = copyModules(root);
  script(`${root}/init`, INIT.replace('@MODULES@', loading.join(' ')).replaceAll('@CONSOLE@', FACTS.console));
  script(
    `${root}/etc/acpi/PWRF/00000080`,
    '#!/bin/sh\necho "guest: power button" >/dev/console\nsync\numount /data\npoweroff -f\n',
  );
  script(`${root}/usr/share/udhcpc/default.script`, UDHCPC);
  script(`${root}/bin/on-uevent`, ON_UEVENT);
  // admin, by crypt(3) with a fixed salt.
  const hash = '$1$tartlet$'.concat(
    execFileSync('openssl', ['passwd', '-1', '-salt', 'tartlet', 'admin'], { encoding: 'utf8' }).trim().split('$')[3],
  );
  writeFileSync(
    `${root}/etc/passwd`,
    `root:${hash}:0:0:root:/root:/bin/sh\nadmin:${hash}:0:0:admin:/home/admin:/bin/sh\n`,
  );
  writeFileSync(`${root}/etc/group`, 'root:x:0:\nadmin:x:0:\n');
  writeFileSync(`${root}/etc/shells`, '/bin/sh\n/bin/bash\n');
  const names = execFileSync('find', ['.', '-print0'], { cwd: root });
  const archive = execFileSync('cpio', ['--null', '--create', '--format=newc', '--quiet', '--owner=0:0'], {
    cwd: root,
    input: names,
    maxBuffer: 256 * MIB,
  });
  return execFileSync('gzip', ['-1', '-n'], { input: archive, maxBuffer: 256 * MIB });
}

function copyLibraries(root) {
  const triplet = architecture === 'amd64' ? 'x86_64-linux-gnu' : 'aarch64-linux-gnu';
  for (const from of [`lib/${triplet}`, `usr/lib/${triplet}`]) {
    const directory = `${work}/all/${from}`;
    if (!existsSync(directory)) continue;
    mkdirSync(`${root}/lib/${triplet}`, { recursive: true });
    for (const name of readdirSync(directory)) {
      if (/\.so(?:\.|$)/.test(name))
        cpSync(`${directory}/${name}`, `${root}/lib/${triplet}/${name}`, { verbatimSymlinks: true });
    }
  }
  const loader = architecture === 'amd64' ? 'lib64/ld-linux-x86-64.so.2' : 'lib/ld-linux-aarch64.so.1';
  mkdirSync(`${root}/${path.dirname(loader)}`, { recursive: true });
  cpSync(`${work}/all/${loader}`, `${root}/${loader}`, { dereference: true });
}

function copyModules(root) {
  const base = `${work}/all/lib/modules`;
  const version = readdirSync(base)[0];
  execFileSync('depmod', ['--basedir', `${work}/all`, version]);
  return modulesInOrder(`${base}/${version}`, MODULES).map((file) => {
    cpSync(`${base}/${version}/${file}`, `${root}/lib/modules/${path.basename(file)}`);
    return path.basename(file);
  });
}

/** A GPT with an EFI partition, an ext4 one and padding, written as files are: no loop device, no mount. */
function disk(file) {
  const all = `${work}/all`;
  writeFileSync(file, '');
  truncateSync(file, (PADDING.size === 0 ? PADDING.start : PADDING.start + PADDING.size + 1) * MIB);
  const partitions = [DATA, ...(PADDING.size === 0 ? [] : [PADDING])].map(
    ({ start, size }) => `start=${start}MiB, size=${size}MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4`,
  );
  execFileSync('sfdisk', ['--quiet', file], {
    input: [
      'label: gpt',
      `start=${ESP.start}MiB, size=${ESP.size}MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B`,
      ...partitions,
    ].join('\n'),
  });
  writePadding(file, PADDING);
  const at = ['-i', `${file}@@${ESP.start}M`];
  execFileSync('mformat', [...at, '-T', String(ESP.size * 2048), '-F', '::']);
  execFileSync('mmd', [...at, '::/EFI', '::/EFI/BOOT', '::/loader', '::/loader/entries']);
  const copies = [
    [`${all}/usr/lib/systemd/boot/efi/${FACTS.boot}`, `::/EFI/BOOT/${FACTS.removable}`],
    [`${all}/boot/${readdirSync(`${all}/boot`).find((name) => name.startsWith('vmlinuz'))}`, '::/vmlinuz'],
    [`${work}/initrd.img`, '::/initrd.img'],
  ];
  writeFileSync(`${work}/loader.conf`, 'timeout 0\ndefault guest\n');
  writeFileSync(
    `${work}/guest.conf`,
    `title guest\nlinux /vmlinuz\ninitrd /initrd.img\noptions console=tty0 console=hvc0 console=${FACTS.console} quiet loglevel=4 panic=-1\n`,
  );
  copies.push([`${work}/loader.conf`, '::/loader/loader.conf'], [`${work}/guest.conf`, '::/loader/entries/guest.conf']);
  for (const [from, to] of copies) execFileSync('mcopy', [...at, from, to]);
  execFileSync('mkfs.ext4', ['-q', '-F', '-E', `offset=${DATA.start * MIB}`, file, `${DATA.size}M`], {
    stdio: 'ignore',
  });
}

function nvram() {
  if (FACTS.vars !== undefined) cpSync(FACTS.vars, `${target}/nvram.bin`);
  // The firmware makes its store at the first start; what lies there until then is the room for it.
  else writeFileSync(`${target}/nvram.bin`, Buffer.alloc(768 * 1024));
}

function script(file, text) {
  writeFileSync(file, text);
  chmodSync(file, 0o755);
}
