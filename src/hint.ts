/**
 * What to do next about a failure, or about what the doctor found: an id with its parameters, and no words. A program
 * decides on `kind`; the command has the words (`cli/render/hint`), because only it knows its own names of commands and
 * options. Hints are plain data: they cross threads as they are. Every parameter is safe to print. More than 250 lines,
 * because it is one list: a kind a line.
 */

/** A hint without parameters. */
type None = unknown;

/** About names of images, VMs and digests. */
export interface NameHints {
  'write-address': None;
  'write-name': None;
  /** @param plainHttp whether `http://` was written: then the registry may have no TLS. */
  'write-name-as': { readonly name: string; readonly plainHttp: boolean };
  'write-lower-case': { readonly name: string };
  'leave-out-user': None;
  'copy-whole-digest': None;
  'write-digest': None;
  'choose-plain-vm-name': None;
  /** The name of an image stands where that of a local VM belongs. */
  'use-as-image': { readonly name: string };
  'list-vms': None;
}

/** About logins: what a registry wants, and where logins are kept. */
export interface LoginHints {
  'log-in': { readonly registry: string };
  'log-in-as-another': { readonly registry: string };
  /** @param maybePublic whether no login may be needed at all. */
  'log-in-again': { readonly registry: string; readonly maybePublic: boolean };
  'correct-login-variables': { readonly maybePublic: boolean };
  'log-in-anew': None;
  'check-login': None;
  'check-login-or-use-token': None;
  'serve-tokens-under-own-name': None;
  'check-registry-authentication': None;
  'set-auth-directory': None;
  'set-login-host': None;
  /** @param what the file, or the setting in it, that is wrong. */
  correct: { readonly what: string };
  'correct-or-remove-auth-file': { readonly file: string };
  /** @param namedBy the setting that names the program. */
  'install-helper': { readonly program: string; readonly namedBy: string };
  'check-helper': { readonly program: string; readonly namedBy: string };
  'run-helper': { readonly program: string; readonly server: string };
  'leave-out-zero-byte': { readonly part: 'user name' | 'password' };
  'unlock-keychain': None;
  'run-as-owner-of-auth-file': None;
}

/** About what stands between this machine and a registry. */
export interface NetworkHints {
  'check-host-and-network': None;
  'name-begins-with-registry': None;
  'check-port': None;
  /** @param tls whether it was spoken to with TLS, which it may not have. */
  'write-port': { readonly host: string; readonly tls: boolean };
  'allow-plain-http': None;
  'use-tls': None;
  'give-client-certificate': { readonly registry: string };
  'trust-ca': None;
  'check-certificate': None;
  'check-certificate-files': None;
  'convert-certificate': { readonly path: string };
  'put-certificate-in-pem': None;
  'make-readable-or-correct-path': None;
  'set-proxy': { readonly variable: string };
  'check-proxy': { readonly variable: string };
  'give-proxy-password': { readonly variable: string };
  'allow-host': { readonly host: string };
  'allow-moved-host': { readonly host: string };
  'ask-firewall-operator': { readonly host: string };
  /** What says where images come from is wrong. */
  'correct-mirror-file': { readonly file: string };
  /** The file forbids it. */
  'unblock-registry': { readonly file: string };
}

/** About what a registry answers. */
export interface RegistryHints {
  'check-is-registry': None;
  'check-registry-address': None;
  'check-is-registry-and-way': None;
  'check-registry-address-and-way': None;
  'check-external-address': None;
  'check-image-name': None;
  'open-in-browser': { readonly host: string };
  'wait-or-log-in': None;
  'raise-request-limit': { readonly host: string };
  'make-room-on-registry': { readonly host: string };
  'create-repository': { readonly host: string };
  'allow-deletion-on-registry': None;
  /** It has no list of repositories, or gives it to no user. */
  'list-elsewhere': { readonly registry: string };
  'push-with-larger-chunks': None;
  'complete-image-on-registry': None;
}

/** About serving images. */
export interface ServeHints {
  'make-fleet-token': None;
  'protect-registry': None;
  'add-user': None;
  'separate-users': None;
  'check-user-file': None;
  'make-user-line': None;
  'give-certificate-with-key': None;
  'choose-data-directory': None;
  'end-other-registry': None;
  'choose-port': None;
}

/** About files of this machine, whatever is in them. */
export interface FileHints {
  'free-space': None;
  'make-file-system-writable': None;
  'check-owner': None;
  'check-device': None;
  'move-file-or-name-directory': None;
  'raise-file-size-limit': None;
  'check-path-is-there': None;
  'check-path': None;
  'name-file': None;
  'name-file-in-directory': None;
  'make-directory': None;
  'let-reader-finish': None;
  'raise-open-file-limit': None;
  'close-programs': None;
  'run-again': None;
  'run-again-undisturbed': None;
  'install-flock': None;
  'install-perl': None;
  'move-away': None;
  'move-away-if-foreign': { readonly path: string };
  'move-away-for-directory': None;
  'find-maker': None;
  'check-permissions': { readonly path: string };
}

/** About the home: its images and its VMs. */
export interface HomeHints {
  'set-home': None;
  'move-file-or-set-home': None;
  'remove-home-link': None;
  'move-whole-cache': None;
  'move-record-away': None;
  'repair-and-prune': None;
  'list-images': None;
  'pull-first': { readonly image: string };
  'unpin-and-delete': { readonly image: string };
  'wait-for-image': None;
  /** @param others whether more than this image is in the way. */
  'delete-or-use-another-home': { readonly image: string; readonly others: boolean };
  'move-or-remove': { readonly path: string };
  'make-room': { readonly before: 'pull' | 'import' };
  'raise-disk-budget': None;
  'prefetch-first': { readonly image: string };
  'complete-vm-directory': { readonly path: string };
  'remove-useless-directory': { readonly path: string };
  'stop-first': None;
  'stop-or-wait': None;
  'wait-for-command': None;
  'wait-and-run-again': None;
  'choose-another-name': None;
  'move-away-or-choose-another-name': None;
}

/** About images: what they are, and how they get whole again. */
export interface ImageHints {
  'push-again': None;
  'push-again-unbroken': None;
  'push-again-with-current-tool': None;
  'push-again-with-tart': None;
  'push-again-with-tart-2': None;
  'use-larger-chunks': { readonly mebibytes: number };
  'give-chunk-count': None;
  'stop-writer': { readonly before: 'push' | 'export' };
  'name-manifest-by-digest': None;
  /** Without the digest, where there are too many to look at. */
  'name-vm-image-by-digest': { readonly repository: string };
  /** @param example one of the images that are meant. */
  'choose-by-digest': { readonly example: string };
  'choose-tag-or-digest': { readonly to: 'pull' | 'copy' };
  'store-under-tag': None;
  'is-no-vm-image': None;
  'use-vetu': None;
  'use-lume': None;
  'use-that-tart': None;
  'use-newer-version': None;
  'clone-with-tart': None;
  /** No VM of it was seen when it started. */
  'record-boot-order': None;
  'push-a-clone': { readonly registry: string; readonly image: string };
  /** @param meant `image` where the subject of the error is something else. */
  'pull-anew': { readonly image: string; readonly meant: 'subject' | 'image' };
}

/** About local VMs, beside what {@link HomeHints} says. */
export interface VmHints {
  'run-and-shut-down': None;
  'pull-or-ask-registry': None;
  'pull-or-copy': None;
  'make-readable-or-run-doctor': None;
  'name-raw-disk': None;
  'set-on-mac': None;
  'drop-saved-state': { readonly vm: string };
  'look-at-process': { readonly pid: number };
  'stop-as-starter': None;
  'run-on-mac': None;
  /** @param arch of the guest: QEMU has a program, and distributions a firmware, for each. */
  'install-qemu': { readonly arch: 'amd64' | 'arm64' };
  'run-on-own-kind': None;
  'drop-memory': { readonly vm: string };
  'resume-on-mac': { readonly vm: string };
  'install-agent': None;
  'install-openssh': None;
  'read-serial-console': None;
  'start-vm': { readonly vm: string };
  'ask-other-program': None;
  'publish-elsewhere': None;
  'publish-on-own-address': None;
  'install-network-programs': None;
  'name-bridge': None;
  'name-subnet': None;
  'remove-network-first': None;
  'look-at-network-log': None;
  'stop-guests-first': None;
  'run-as-root': None;
  /** @param by what starts it. @param script the program that is the network. */
  'start-network': { readonly by: 'systemd' | 'administrator'; readonly script: string };
  'install-bridge-helper': None;
  /** @param helper the program that needs the setuid bit; undefined where it has it. */
  'allow-bridge': { readonly bridge: string; readonly helper: string | undefined };
  'end-user-of-disk': None;
  'move-store-away': { readonly path: string };
  'give-less-memory': None;
  'update-qemu': None;
  'leave-sound-out': None;
  'log-in-by-ssh': None;
  'suspend-as-starter': None;
  'choose-cloud-image': None;
  'fetch-image-anew': None;
  'give-larger-disk': None;
  'install-unpacker': { readonly program: 'xz' | 'zstd' };
  'install-qemu-img': None;
  'stop-or-let-arrive': None;
  /** @param image whose disk is still to arrive. */
  'let-disk-arrive': { readonly vm: string; readonly image: string };
  'check-image-address': None;
  'check-image-digest': None;
  'give-digest-or-https': None;
  'choose-arch': None;
  'exec-as-starter': None;
  'look-at-command': None;
  'install-virtiofsd': None;
  'allow-namespaces': None;
  'write-share': None;
  'share-directory': None;
  'attach-read-only': None;
  'attach-own-kind': None;
  'run-without-attachments': None;
  'run-with-disk': None;
}

/** About archives, and files that are none. */
export interface ArchiveHints {
  'export-elsewhere': None;
  'unpack-on-the-way': { readonly tool: string };
  'export-or-copy': None;
  'import-what-was-exported': None;
  'put-into-vms': None;
  'copy-from-registry': None;
  'copy-to-registry': None;
  'copy-again': None;
  'copy-again-whole': None;
  'export-with-tart': None;
  'convert-to-raw': None;
  'check-file': None;
  'choose-reference': None;
  'choose-reference-or-none': None;
}

/** About what a machine lacks that is to run VMs. */
export interface HostHints {
  /** @param distribution of this machine; undefined where it is none that we know. */
  'install-part': {
    readonly part:
      | 'qemu-amd64'
      | 'qemu-arm64'
      | 'dies-with-run'
      | 'bridge'
      | 'dnsmasq'
      | 'virtiofsd'
      | 'vsock'
      | 'openssh';
    readonly distribution: 'debian' | 'fedora' | 'arch' | 'alpine' | undefined;
  };
  'install-tart': None;
  'load-kvm': None;
  'let-use-kvm': { readonly user: string };
  'enable-virtualization': None;
  'load-vsock': None;
  'let-use-vsock': None;
  'allow-low-ports': None;
  'set-up-network': None;
  'make-free-space': None;
}

/** About what the doctor found. */
export interface DoctorHints {
  'deny-others': { readonly path: string };
  'change-owner': { readonly path: string; readonly owner: number };
  'change-group': { readonly path: string; readonly group: number };
  'let-group-write': { readonly path: string };
  'let-user-read': None;
  'delete-one-of-two': None;
  'collect-garbage': None;
  'pull-what-needs-it': None;
  'pull-origin': None;
  'unshare-blocks': { readonly file: string };
  'pull-then-delete': None;
  'pull-to-keep': None;
  'pull-tag-or-see-others': None;
  /** @param registries to which there are logins, each `host:port`, and which it may have come from. */
  'assign-registry': { readonly name: string; readonly registries: readonly string[] };
  'run-doctor-deep': None;
  'deep-check-tells': None;
  'run-doctor-later': None;
  'remove-link-made-by-hand': { readonly path: string };
  'restore-missing': None;
  /** @param record what says why it is there, when that is known. */
  'delete-when-useless': { readonly record: string | undefined };
}

/** Every kind of hint with its parameters. */
export interface HintFacts
  extends NameHints,
    LoginHints,
    NetworkHints,
    RegistryHints,
    ServeHints,
    FileHints,
    HomeHints,
    ImageHints,
    VmHints,
    ArchiveHints,
    HostHints,
    DoctorHints {
  /** Words of a program's own, from a program that is built on this library: the library never makes one. */
  'in-words': { readonly words: string };
}

/** The id of a hint. Stable: callers decide on it. */
export type HintKind = keyof HintFacts;

/** A hint of this kind. */
export type HintOf<Kind extends HintKind> = { [Each in Kind]: { readonly kind: Each } & HintFacts[Each] }[Kind];

/** The one thing to do next. */
export type Hint = HintOf<HintKind>;
