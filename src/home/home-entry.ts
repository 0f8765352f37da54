/*
 * What the files and directories of a home are called, by the directory they lie in: Tart's names (tart-formats §1.2,
 * §1.3) and the hidden ones that are ours. No other file of the source spells one of the hidden names
 * (`test/home/home-entry.test.ts`). How names of images become paths is for `layout.ts`; what lies directly below the
 * root and below `cache` is known to {@link Home} as whole paths.
 */

/** Directly below the root. */
export const RootEntry = { cache: 'cache', vms: 'vms', scratch: 'tmp', log: 'tart.log' } as const;

/** Directly below `cache`. */
export const CacheEntry = {
  images: 'OCIs',
  restoreImages: 'IPSWs',
  content: 'content',
  /** Unfinished pulls. */
  staging: '.staging',
  locks: '.locks',
  quarantine: '.quarantine',
  /** What became of old names. */
  migrationLog: '.migrations.log',
  /** That there are no old names. */
  migrationMarker: '.migrated.json',
  /** Which images are kept ready, and what became of them. */
  prefetch: '.prefetch.json',
} as const;

/**
 * What every text of a symlink to an image has before the image's name, whatever home it was written in (tart-formats
 * §1.4).
 */
export const IMAGES_INFIX = `/${RootEntry.cache}/${CacheEntry.images}/`;

/** An entry of `vms/` that is no VM: work on VMs, where `tmp` lies on another file system. */
export const SCRATCH_BESIDE_VMS = '.scratch';

/** The name of a symlink for as long as it is on its way to or from its place. */
export function linkAsideName(uuid: string): string {
  return `.link.${uuid}`;
}

const LINK_ASIDE = /^\.link\.[0-9a-f-]{36}$/;

/** Whether a symlink is called by {@link linkAsideName}. */
export function isLinkAside(name: string): boolean {
  return LINK_ASIDE.test(name);
}

/** Names of Tart's files in the directory of a VM or an image (tart-formats §1.3). */
export const VmFile = {
  config: 'config.json',
  nvram: 'nvram.bin',
  disk: 'disk.img',
  overlay: 'overlay.asif',
  manifest: 'manifest.json',
  state: 'state.vzvmsave',
  controlSocket: 'control.sock',
  explicitlyPulled: '.explicitly-pulled',
} as const;

/** Names of the files in which a guest of QEMU waits that was suspended. Tart's own is `VmFile.state`. */
export const SavedState = { memory: 'state.qemu', facts: 'state.json' } as const;

/** The firmware's variables for QEMU, beside an `nvram.bin` of Apple, which is left as it is. */
export const QEMU_STORE = 'nvram.qemu.fd';

/**
 * Names in the directory of a VM whose disk has not arrived yet: it began before its image was here. When the disk is
 * whole it gets Tart's name for it, and these go.
 */
export const LazyFile = {
  /** Which image it begins as: `lazy-record.ts`. */
  record: '.lazy.json',
  /** The manifest of that image, byte for byte. */
  manifest: '.lazy-manifest.json',
  /** What the guest wrote, above what arrives. */
  overlay: 'lazy.qcow2',
  /** The same, until it can be used. */
  newOverlay: 'lazy.qcow2.new',
  /** Where QEMU reads what arrives. */
  socket: 'lazy.sock',
  /** The disk, as long as it does not have all that the guest wrote. */
  disk: '.lazy-disk.img',
  /** What the guest touched of the image until now, in order: `boot-order-file.ts`. */
  touched: '.lazy-touched.json',
  /** In which order others touched it, if that is known: fetched first. */
  order: '.lazy-order.json',
} as const;

/** What cloud-init in the guest is told: an image of a CD, for this user alone, since there are passwords in it. */
export const SEED = 'cloud-init.iso';

/** Names of what a `run` says of itself, and hears, in the directory of its VM. */
export const RunFile = { record: 'run.json', stopBefore: 'stop-before.json' } as const;

/** What a `run` in the background says, in the directory of its VM. */
export const RUN_LOG = 'run.log';

/** Names of what OpenSSH needs for the guest of a VM, in its directory. */
export const SshFile = { knownHosts: 'known_hosts', askpass: 'ssh-askpass', log: 'ssh.log' } as const;

/** Names of our own files in the directory of a VM or an image. Tart ignores them. */
export const OurFile = {
  /** Goes when the command ends that made it: `vms/disposable.ts`. */
  disposable: '.disposable',
  /** Never collected and never pruned until it is taken away. Empty. */
  pinned: '.pinned',
  /** Lost its last tag by a command, not by an accident. Empty. */
  unnamed: '.unnamed',
  /** Empty; the date of its last change is when the directory around it was used last: `last-use.ts`. */
  lastUse: '.last-used',
  /** Where it is from: `origin.ts`. */
  origin: '.origin.json',
  /** An earlier record, since migration found something better: nothing that testifies is thrown away. */
  formerOrigin: '.origin.json.former',
  /**
   * The manifest of the image that a VM was cloned from, byte for byte, beside the disk: the image itself may be pruned
   * long before the VM is pushed. Hidden, because a `manifest.json` in a local VM means a stacked one to Tart
   * (tart-formats §1.3).
   */
  baseManifest: '.base-manifest.json',
  /** That the disk was not written to: `unmodified-marker.ts`. */
  marker: '.disk-seal.json',
  /** In which order a guest touched the disk of an image when it began before that was here: `boot-order-file.ts`. */
  bootOrder: '.boot-order.json',
  /** The manifest that the disk was pushed as, byte for byte: `push-record.ts`. */
  pushedManifest: '.pushed-manifest.json',
  /** Where the blobs of that manifest are. */
  pushedTo: '.pushed-to.json',
} as const;

/** Names in the directory of an unfinished pull that are never published. */
export const StagingEntry = {
  /** Which chunks of the disk were verified. */
  journal: '.verified',
  /** Blobs as they came, until there is room to decode them. */
  blobs: '.blobs',
  /** The piece index of the image, for a pull that goes on. */
  pieces: '.pieces',
  /** A socket, as long as the disk is brought: there other processes read what is verified of it. */
  fill: '.fill.sock',
} as const;

/** In `cache/content`: held by a process that changes what refers to the store (tart-cli §4.3). */
export const CONTENT_LOCK = '.gc.lock';

/**
 * What lies beside a file of the content store while it is being built: its bytes, which of its chunks were verified,
 * its lock.
 */
export type ContentAside = 'partial' | 'verified' | 'lock';

/** @param hex of the digest of the file. */
export function contentAsideName(hex: string, kind: ContentAside): string {
  return `.${hex}.${kind}`;
}

const CONTENT_ASIDE = /^\.([0-9a-f]{64})\.(partial|verified|lock)$/;

/** The reverse of {@link contentAsideName}; undefined for every other name. */
export function contentAsideOf(name: string): { readonly hex: string; readonly kind: ContentAside } | undefined {
  const [, hex, kind] = CONTENT_ASIDE.exec(name) ?? [];
  return hex === undefined ? undefined : { hex, kind: kind as ContentAside };
}
