/**
 * How bad a finding is. `damage`: something cannot be used, or is not what its name says. `warning`: it works now, and
 * the user should act. `note`: worth knowing, and normal; a home with nothing else is clean.
 */
export type Severity = 'damage' | 'warning' | 'note';

interface Kind {
  readonly severity: Severity;
  /** What it means, as a sentence without a full stop. */
  readonly meaning: string;
  /** What `--fix` does about it, or null when only a person can. */
  readonly fix: string | null;
}

const REPAIR =
  'what is damaged is fetched again and verified; an image that its registry no longer has goes to quarantine';

/** Every kind of finding there is. The table in docs/guide/cache.md is this one; an id never changes its meaning. */
export const FINDINGS = {
  'address-old': {
    severity: 'warning',
    meaning: 'an image or a tag lies where an older Tart or a rename put it, and not under its address',
    fix: 'it is moved under its address, as every command that changes the cache does first',
  },
  'address-unknown': {
    severity: 'note',
    meaning: 'nothing tells whether a registry without a port really has none',
    fix: null,
  },
  'address-taken': {
    severity: 'warning',
    meaning: 'the place of an image or a tag under its address is taken by another kind of name',
    fix: null,
  },
  'name-undecodable': {
    severity: 'damage',
    meaning: 'the directory of a registry has a percent escape that means nothing, on which Tart crashes',
    fix: 'the directory goes to quarantine',
  },
  'name-foreign': {
    severity: 'warning',
    meaning: 'an image or a tag lies under a name that no command accepts',
    fix: null,
  },
  'link-dangling': { severity: 'warning', meaning: 'a tag leads to nothing', fix: 'the tag is removed' },
  'link-text': {
    severity: 'warning',
    meaning: 'a tag leads to its image by another text than Tart would write, who then takes it for unlinked',
    fix: 'the tag is written anew',
  },
  'link-cross': {
    severity: 'note',
    meaning: 'a tag leads to an image of another registry or repository of this cache',
    fix: null,
  },
  'link-outside': { severity: 'warning', meaning: 'a tag leads out of the cache', fix: null },
  'link-odd': { severity: 'warning', meaning: 'a symlink in the cache leads to something that is no image', fix: null },
  'link-digest': {
    severity: 'warning',
    meaning: 'the name of a digest is a symlink to an image with another digest',
    fix: 'the symlink is removed; the image stays',
  },
  'link-leftover': {
    severity: 'warning',
    meaning: 'a command was killed while it replaced a tag, and left its temporary symlink',
    fix: 'the temporary symlink is removed',
  },
  'image-incomplete': { severity: 'damage', meaning: 'an image lacks files', fix: REPAIR },
  'image-file-kind': {
    severity: 'damage',
    meaning: 'a symlink, a pipe, a directory or a device lies where an image has a file',
    fix: REPAIR,
  },
  'image-hard-link': {
    severity: 'warning',
    meaning: 'a file of an image has a second name elsewhere, through which it can be changed',
    fix: null,
  },
  'image-nested': {
    severity: 'warning',
    meaning: 'an image lies inside the directory of another one, and would go with it',
    fix: null,
  },
  'image-unreferenced': {
    severity: 'note',
    meaning: 'no tag leads to an image that was not pulled by digest: the next collection takes it',
    fix: null,
  },
  'image-busy': { severity: 'note', meaning: 'an image is being changed right now and was not looked at', fix: null },
  'disk-touched': {
    severity: 'warning',
    meaning: 'the disk of an image was written to after it was verified, or its times were set',
    fix: null,
  },
  'disk-length': { severity: 'damage', meaning: 'a disk is longer or shorter than its manifest says', fix: REPAIR },
  'config-damaged': {
    severity: 'damage',
    meaning: "an image's config.json is not the one of its manifest",
    fix: REPAIR,
  },
  'config-reformatted': {
    severity: 'note',
    meaning:
      "an image's config.json is in the format of a local VM, as Tart leaves it when it fills the cache on a push",
    fix: null,
  },
  'nvram-damaged': { severity: 'damage', meaning: "an image's nvram.bin is not the one of its manifest", fix: REPAIR },
  'chunk-damaged': { severity: 'damage', meaning: 'an extent of a disk is not what the manifest says', fix: REPAIR },
  'manifest-missing': {
    severity: 'note',
    meaning: 'an image has no manifest, as before Tart 2.14: its files cannot be verified',
    fix: null,
  },
  'manifest-unreadable': { severity: 'damage', meaning: 'a manifest.json is no image manifest', fix: REPAIR },
  'manifest-mismatch': {
    severity: 'damage',
    meaning: 'a manifest.json does not hash to the digest that its directory is named after',
    fix: REPAIR,
  },
  'manifest-reencoded': {
    severity: 'note',
    meaning:
      'a manifest.json was written anew by the Tart that pulled the image (2.14 to 2.35), so that its ' +
      'hash proves nothing',
    fix: null,
  },
  'manifest-foreign': {
    severity: 'note',
    meaning: 'an image is of a kind that Tartlet does not know, and cannot be verified',
    fix: null,
  },
  'content-missing': {
    severity: 'damage',
    meaning: 'a stacked image needs a disk file that the content store does not have in full',
    fix: REPAIR,
  },
  'content-unreferenced': {
    severity: 'note',
    meaning: 'nothing needs a file of the content store any more: the next collection takes it',
    fix: null,
  },
  'content-partial': {
    severity: 'note',
    meaning: 'a disk file is half fetched; a pull of its image continues there',
    fix: null,
  },
  'content-damaged': {
    severity: 'damage',
    meaning: 'a file of the content store does not hash to its name',
    fix: 'it goes to quarantine when no VM and no image needs it',
  },
  'content-odd': {
    severity: 'damage',
    meaning: 'something that is no regular file lies in the content store under the name of a disk file',
    fix: 'it goes to quarantine',
  },
  'origin-unreadable': {
    severity: 'warning',
    meaning: 'the record of where an image came from cannot be read',
    fix: 'the record goes to quarantine; images do without',
  },
  'origin-disagrees': {
    severity: 'warning',
    meaning: 'the record of where an image came from names another image than the place it lies in',
    fix: null,
  },
  'scratch-live': { severity: 'note', meaning: 'a command is at work', fix: null },
  'scratch-resumable': {
    severity: 'note',
    meaning: 'a pull was interrupted; the next one of this image continues there',
    fix: null,
  },
  'scratch-expired': {
    severity: 'warning',
    meaning: 'a pull was interrupted more than a week ago and never continued',
    fix: 'its unfinished directory is removed',
  },
  'scratch-abandoned': {
    severity: 'warning',
    meaning: 'a command was killed and left its work in progress',
    fix: 'it is removed',
  },
  'scratch-odd': {
    severity: 'note',
    meaning: 'work in progress of an unknown program; Tart judges about tmp/',
    fix: null,
  },
  'trash-left': { severity: 'warning', meaning: 'a removal was interrupted', fix: 'the removal is finished' },
  'lock-odd': {
    severity: 'damage',
    meaning: 'something that is no regular file lies where a lock belongs: no command can use that image',
    fix: 'it goes to quarantine',
  },
  'vm-incomplete': { severity: 'damage', meaning: 'a local VM lacks files, or has too many', fix: null },
  'vm-config': { severity: 'damage', meaning: 'the configuration of a local VM cannot be understood', fix: null },
  'vm-content-missing': {
    severity: 'damage',
    meaning: 'a stacked local VM needs a disk file that the content store does not have in full',
    fix: null,
  },
  'mode-open': { severity: 'warning', meaning: 'every user of this machine may write here', fix: null },
  'group-other': {
    severity: 'warning',
    meaning: 'a group shares the home, and something in it has another group',
    fix: null,
  },
  'mode-closed': {
    severity: 'warning',
    meaning: 'a group shares the home, and may not read or change something in it',
    fix: null,
  },
  'owner-other': { severity: 'warning', meaning: 'something belongs to another user than the home does', fix: null },
  unreadable: {
    severity: 'damage',
    meaning:
      'something cannot be read, e.g. because it belongs to another user: commands pass it over, and ' +
      'nothing is known about it',
    fix: null,
  },
  'foreign-entry': {
    severity: 'note',
    meaning: 'something that neither Tart nor Tartlet made; it is left alone',
    fix: null,
  },
  quarantined: { severity: 'note', meaning: 'something damaged was quarantined here', fix: null },
} as const satisfies Readonly<Record<string, Kind>>;

/** Stable: programs may decide on it. */
export type FindingId = keyof typeof FINDINGS;
