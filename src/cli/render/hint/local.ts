import type { ArchiveHints, DoctorHints, FileHints, HomeHints, ImageHints, VmHints } from '../../../hint.ts';
import type { HintTexts } from './texts.ts';

const FILE_IN_THE_WAY =
  'move away the file that is in the place of a directory, or name another directory (for images and VMs: TART_HOME)';

/** About files. */
export const FILE_TEXTS: HintTexts<FileHints> = {
  'free-space': () => 'free some space on that disk and run the same command again',
  'make-file-system-writable': () =>
    'make the file system writable, or name a place that is (for images and VMs: TART_HOME)',
  'check-owner': () =>
    'check the owner and the permissions there, or name a place of yours (for images and VMs: TART_HOME)',
  'check-device': () => 'check the disk: the system reported a failure of the device',
  'move-file-or-name-directory': () => FILE_IN_THE_WAY,
  'raise-file-size-limit': () =>
    'raise the limit of this shell for the size of files (ulimit -f), or use a file system that takes larger ones',
  'check-path-is-there': () => 'check the path: it, or a directory on the way to it, is not there',
  'check-path': () => 'check the path',
  'name-file': () => 'name a file: that is a directory',
  'name-file-in-directory': () => 'name a file in it',
  'make-directory': () => 'make it first',
  'let-reader-finish': () => 'let the program that reads it go on to the end, or write to a file',
  'raise-open-file-limit': () => 'allow more open files (ulimit -n) and run the same command again',
  'close-programs': () => 'close other programs and run the same command again: the system has too many open files',
  'run-again': () => 'run the same command again',
  'run-again-undisturbed': () => 'stop whatever changes the file, then run the same command again',
  'install-flock': () => 'install util-linux (the flock command)',
  'install-perl': () => 'install perl, which macOS brings along as /usr/bin/perl',
  'move-away': () => 'move it away: it does not belong there',
  'move-away-if-foreign': ({ path }) => `look at ${path}, and move it away if it does not belong there`,
  'move-away-for-directory': () => 'move it away: a directory belongs there',
  'find-maker': () =>
    'find out who made it; one that belongs there must be of yours, of root or of the owner of the home',
  'check-permissions': ({ path }) => `check the permissions of ${path} and of its directory`,
};

/** About the home. */
export const HOME_TEXTS: HintTexts<HomeHints> = {
  'set-home': () => 'set TART_HOME to the absolute path of a directory',
  'move-file-or-set-home': () => 'move the file away, or set TART_HOME to a directory',
  'remove-home-link': () => 'remove the symlink; the directory is made anew',
  'move-whole-cache': () => 'move the whole cache directory there, or set TART_HOME to a directory on that file system',
  'move-record-away': () => 'move the record away: what it lies beside is used without it',
  'repair-and-prune': () => 'repair what the message names, or make it readable, and prune again',
  'list-images': () => 'tartlet list --source oci shows what is',
  'pull-first': ({ image }) => `pull it first (tartlet pull ${image})`,
  'unpin-and-delete': ({ image }) => `tartlet unpin ${image}, and delete it then`,
  'wait-for-image': () => 'wait for the pull or clone of this image to end and try again',
  'delete-or-use-another-home': ({ image, others }) =>
    `delete ${image}${others ? ', and whatever else is in that repository' : ''}, or use another ` +
    'TART_HOME for one of the two',
  'move-or-remove': ({ path }) => `move ${path} away, or remove it if it is not needed`,
  'make-room': ({ before }) =>
    'delete images or VMs you no longer need (tartlet list, tartlet delete) and ' +
    `${before === 'import' ? 'import' : 'try'} again`,
  'raise-disk-budget': () => 'give a larger --disk-budget, or take a pin away (tartlet list, tartlet unpin)',
  'prefetch-first': ({ image }) => `prefetch it first (tartlet prefetch ${image}); tartlet prefetch --status shows all`,
  'complete-vm-directory': ({ path }) => `look into ${path}: config.json, nvram.bin and disk.img belong there`,
  'remove-useless-directory': ({ path }) => `look into ${path}, and remove it if nothing in it is needed`,
  'stop-first': () => 'stop it first, and run the same command again',
  'stop-or-wait': () => 'stop it, or wait for the other command, and try again',
  'wait-for-command': () => 'wait for the other command to end',
  'wait-and-run-again': () => 'wait for the other command to end, and run this one again',
  'choose-another-name': () => 'choose another name',
  'move-away-or-choose-another-name': () => 'move it away or choose another name',
};

/** About images. */
export const IMAGE_TEXTS: HintTexts<ImageHints> = {
  'push-again': () => 'push the image again',
  'push-again-unbroken': () => 'the image was broken when it was pushed: push it again',
  'push-again-with-current-tool': () => 'push the image again with a current tool',
  'push-again-with-tart': () => 'push the image again with Tart',
  'push-again-with-tart-2': () => 'pull it with Tart 2.31 and push it again',
  'use-larger-chunks': ({ mebibytes }) => `use chunks of ${mebibytes} MiB or more (--layer-size ${mebibytes})`,
  'give-chunk-count': () => 'leave it out, or give a number of chunks such as 4',
  'stop-writer': ({ before }) => `stop whatever writes to the disk and ${before} again`,
  'name-manifest-by-digest': () => 'name one of its manifests by digest, if one of them is a VM image',
  'name-vm-image-by-digest': ({ repository }) =>
    `if one of them is a VM image, name it by its digest: ${repository}@sha256:…`,
  'choose-by-digest': ({ example }) => `name one of them by its digest, e.g. ${example}`,
  'choose-tag-or-digest': ({ to }) =>
    `leave out the tag to ${to} that digest, or the digest to ${to} what the tag leads to now`,
  'store-under-tag': () => 'store it under a tag',
  'is-no-vm-image': () => 'check the name: this looks like a container image or another artifact',
  'use-vetu': () => 'use vetu for it',
  'use-lume': () => 'use lume for it',
  'use-that-tart': () => 'use that Tart for it, or a newer Tartlet',
  'use-newer-version': () => 'a newer Tartlet may know it',
  'clone-with-tart': () =>
    'clone it with Tart on macOS 27; here it can be pulled, listed, inspected, copied and pushed',
  'record-boot-order': () =>
    'run a VM of it that begins before its disk is here (tartlet clone --lazy=always IMAGE NAME, tartlet run NAME)',
  'push-a-clone': ({ registry, image }) =>
    `if ${registry} is gone for good, clone ${image} and push the clone: its disk is then encoded anew`,
  'pull-anew': ({ image, meant }) =>
    `delete ${meant === 'image' ? 'the image' : 'it'} and pull it again (tartlet delete ${image})`,
};

/** Packages with QEMU and a firmware for its guests. */
const QEMU_PACKAGES = {
  amd64:
    'qemu-system-x86 and ovmf (Debian, Ubuntu), qemu-system-x86-core and edk2-ovmf (Fedora), qemu-base ' +
    'and edk2-ovmf (Arch) or qemu-system-x86_64 and ovmf (Alpine)',
  arm64:
    'qemu-system-arm and qemu-efi-aarch64 (Debian, Ubuntu), qemu-system-aarch64-core and edk2-aarch64 ' +
    '(Fedora), qemu-system-aarch64 and edk2-aarch64 (Arch) or qemu-system-aarch64 and aavmf (Alpine)',
} as const;

/** About local VMs. */
export const VM_TEXTS: HintTexts<VmHints> = {
  'run-and-shut-down': () => 'run it with Tart, shut it down, and clone it then',
  'pull-or-ask-registry': () => 'pull it, or ask its registry with --remote',
  'pull-or-copy': () => 'pull it first, or copy it from registry to registry with tartlet copy',
  'make-readable-or-run-doctor': () => 'make the file readable; if it is damaged, doctor says what helps',
  'name-raw-disk': () => 'name a file with a raw disk image',
  'set-on-mac': () => 'run tart set on a Mac',
  'drop-saved-state': ({ vm }) => `resume it and shut it down, or drop the saved state (tartlet stop ${vm})`,
  'look-at-process': ({ pid }) => `look at the process: ps -p ${pid}`,
  'stop-as-starter': () => 'stop it as the user who started it',
  'run-on-mac': () => 'run it with Tart on a Mac; all other commands work here',
  'install-qemu': ({ arch }) => `install ${QEMU_PACKAGES[arch]}`,
  'run-on-own-kind': () => 'run it on a machine of its kind, or give --allow-emulation, which is many times slower',
  'drop-memory': ({ vm }) =>
    `drop the saved memory (tartlet stop ${vm}): the guest begins anew then, as after a power cut`,
  'resume-on-mac': ({ vm }) => `go on with it there, or drop what was in its memory (tartlet stop ${vm})`,
  'install-agent': () => 'wait until it has started, or install tart-guest-agent or qemu-guest-agent in the guest',
  'install-openssh': () =>
    'install openssh-client (Debian, Ubuntu, Alpine), openssh-clients (Fedora) or openssh (Arch)',
  'read-serial-console': () => 'run it with --serial, and read the terminal device whose path it prints',
  'publish-elsewhere': () => 'publish another port, or end what listens on that one',
  'publish-on-own-address': () => 'publish on an address of this machine, or 0.0.0.0 for all of them',
  'install-network-programs': () =>
    'install dnsmasq-base, iproute2 and iptables (Debian, Ubuntu), dnsmasq, iproute and iptables-nft ' +
    '(Fedora), or dnsmasq, iproute2 and iptables (Arch, Alpine)',
  'name-bridge': () => 'give another name: tartlet network setup --bridge NAME',
  'name-subnet': () => 'give one that is free: tartlet network setup --subnet 192.168.64.0/24',
  'remove-network-first': () => 'take that one away first: tartlet network remove',
  'look-at-network-log': () => 'look why: journalctl -u tartlet-network, or take it away again: tartlet network remove',
  'stop-guests-first': () => 'stop them first',
  'run-as-root': () => 'run the same command as root, with sudo for instance',
  'start-network': ({ by, script }) => {
    const start = by === 'systemd' ? 'systemctl start tartlet-network' : `${script} run &`;
    return `start it, as root: ${start}; or choose another one (TARTLET_NETWORK=user)`;
  },
  'install-bridge-helper': () =>
    'install qemu-system-common (Debian, Ubuntu), qemu-common (Fedora), qemu-base (Arch) or ' +
    'qemu-bridge-helper (Alpine)',
  'allow-bridge': ({ bridge, helper }) =>
    `as root: mkdir -p /etc/qemu && echo 'allow ${bridge}' ` +
    `>>/etc/qemu/bridge.conf${helper === undefined ? '' : ` && chmod u+s ${helper}`}`,
  'move-store-away': ({ path }) =>
    `move ${path} away: a new one is made, and the guest is started by its removable path (EFI/BOOT)`,
  'end-user-of-disk': () => 'end what uses it, or give both the disk with ro',
  'give-less-memory': () => 'end other VMs, or give it less (tartlet set NAME --memory MIB)',
  'update-qemu': () => 'install QEMU 7.2 or newer, as Debian 12, Ubuntu 23.04 and Fedora 38 have it',
  'leave-sound-out': () => 'leave --audio out, or start a sound server in this session',
  'ask-other-program': () => 'ask the program that runs it, or stop it and run it here',
  'start-vm': ({ vm }) => `start it: tartlet run ${vm}`,
  'log-in-by-ssh': () => 'leave -t out, or log in by SSH for a terminal',
  'suspend-as-starter': () => 'suspend it as the user who started it',
  'choose-cloud-image': () =>
    'choose a cloud image of the distribution: qcow2 or a raw disk, which may be packed by gzip, xz or ' +
    'zstd; qemu-img converts most others (qemu-img convert -O qcow2)',
  'fetch-image-anew': () => 'fetch the image anew, and compare it with the digest that its publisher tells',
  'give-larger-disk': () => 'give the VM a larger disk: --disk-size GB',
  'install-unpacker': ({ program }) => `install ${program === 'xz' ? 'xz-utils (Debian, Ubuntu) or xz' : 'zstd'}`,
  'stop-or-let-arrive': () => 'stop it, or wait until its disk has arrived, and run the same command again',
  'let-disk-arrive': ({ vm }) => `run it until its disk is whole (tartlet run ${vm})`,
  'install-qemu-img': () => 'install qemu-utils (Debian, Ubuntu) or qemu-img (Fedora, Arch, Alpine)',
  'check-image-address': () => 'check the address, or download the file by other means and give its path',
  'check-image-digest': () =>
    'compare the digest with the one that the publisher tells now: images are replaced by newer ones',
  'give-digest-or-https': () => 'write https://, or give the digest of the image: --digest sha256:…',
  'choose-arch': () => 'choose one: --arch amd64, or --arch arm64',
  'look-at-command': () => 'look whether the guest still runs, and whether it has the program',
  'exec-as-starter': () => 'run the command as the user who started the VM',
  'install-virtiofsd': () =>
    'install virtiofsd (Debian 13, Ubuntu 24.04, Fedora, Arch, Alpine) or qemu-system-common (Debian 12, ' +
    'Ubuntu 22.04), perl and util-linux',
  'allow-namespaces': () =>
    'let this user make user namespaces (in containers --privileged; on Ubuntu 24.04 sysctl ' +
    'kernel.apparmor_restrict_unprivileged_userns=0)',
  'write-share': () => 'write it like --dir PATH, --dir NAME:PATH:ro or --dir NAME:PATH:tag=TAG',
  'share-directory': () => 'name a directory, or the http or https address of a .tar.gz',
  'attach-own-kind': () => 'attach the disc for the architecture of the VM',
  'attach-read-only': () => 'end that program, or attach the disk read-only (:ro)',
  'run-without-attachments': () => 'shut it down, and run it without --dir and without --disk of an image',
  'run-with-disk': () => 'when its disk has arrived, shut it down and run it again: then it can be suspended',
};

/** About archives. */
export const ARCHIVE_TEXTS: HintTexts<ArchiveHints> = {
  'export-elsewhere': () =>
    'on the Mac that has the VM: tart push it to a registry and pull it here, or run tartlet export there ' +
    'instead of tart export',
  'unpack-on-the-way': ({ tool }) => `unpack it on the way: ${tool} FILE | tartlet import - NAME`,
  'export-or-copy': () => 'export the VM with tartlet export, or copy the image with skopeo to oci-archive:FILE',
  'import-what-was-exported': () =>
    'import what tartlet export wrote, or what skopeo copy wrote to oci-archive:FILE or oci:DIRECTORY',
  'put-into-vms': () =>
    'put config.json, disk.img and nvram.bin into a directory of their own in TART_HOME/vms; its name is ' +
    'the name of the VM',
  'copy-from-registry': () => 'if the image is a VM image, copy it from its registry with skopeo to oci-archive:FILE',
  'copy-to-registry': () => 'copy it to a registry with skopeo, and clone it there with Tart on macOS 27',
  'copy-again': () => 'copy or export it again',
  'copy-again-whole': () => 'export or copy the image again, all of it',
  'export-with-tart': () =>
    'export it with Tart on macOS 27, or copy the image with skopeo from its registry to oci-archive:FILE',
  'convert-to-raw': () => 'convert it to a raw disk where it was made (qemu-img convert -O raw)',
  'check-file': () => 'check that it is the right file',
  'choose-reference': () => 'choose one with --ref',
  'choose-reference-or-none': () => 'name one of those with --ref, or leave it out when there is only one',
};

/** About what the doctor found. */
export const DOCTOR_TEXTS: HintTexts<DoctorHints> = {
  'deny-others': ({ path }) => `chmod o-w ${path}`,
  'change-owner': ({ path, owner }) => `chown ${owner} ${path}`,
  'change-group': ({ path, group }) => `chgrp ${group} ${path}`,
  'let-group-write': ({ path }) => `chmod g+rwX ${path}`,
  'let-user-read': () => 'let its owner give this user the right to read it, or run doctor as that user',
  'delete-one-of-two': () => 'delete one of the two, or use another TART_HOME for it',
  'collect-garbage': () => 'tartlet prune --gc removes what nothing needs',
  'pull-what-needs-it': () => 'pull the image again that needs it',
  'pull-origin': () => 'pull the image that it was cloned from again',
  'pull-then-delete': () => 'pull what is in it again, then delete it',
  'pull-to-keep': () => 'pull it by tag or by digest to keep it',
  'unshare-blocks': ({ file }) => `give it blocks of its own: cp -p ${file} copy && mv copy ${file}`,
  'pull-tag-or-see-others': () =>
    'its image lies elsewhere in this cache: see the other findings, or pull the tag again',
  'assign-registry': assignText,
  'run-doctor-deep': () => 'run doctor with --deep: it tells what is damaged',
  'deep-check-tells': () => 'doctor --deep tells whether it is what the image says',
  'run-doctor-later': () => 'run doctor again when that command has ended',
  'remove-link-made-by-hand': ({ path }) => `it was made by hand: remove it if it is not needed (rm ${path})`,
  'restore-missing': () => 'put back what is missing, e.g. from a backup',
  'delete-when-useless': ({ record }) =>
    `${record === undefined ? '' : `read ${record}; `}delete it when it is not needed any more`,
};

function assignText({ name, registries }: DoctorHints['assign-registry']): string {
  if (registries.length === 0) return `if it had a port, say which, e.g. tartlet doctor --assign ${name}=${name}:8221`;
  const commands = registries.map((registry) => `tartlet doctor --assign ${name}=${registry}`);
  return `you log in to ${registries.join(', ')}: if it came from there, ${commands.join(' or ')}`;
}
