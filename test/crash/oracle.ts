import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';

/*
 * Judges a home after a fault (reliability §4.7). It shares no code with the product, on purpose: it knows the layout
 * from the description of the format alone, and hashes every file itself.
 */

const VM_FILES = ['config.json', 'nvram.bin', 'disk.img'] as const;

/** SHA-256 of the three files of a VM or an image, in hex; undefined for one that is not there. */
export type Contents = Readonly<Record<(typeof VM_FILES)[number], string | undefined>>;

/** What must be true of a home. All paths are below it. */
export interface Expectation {
  readonly home: string;
  /** Every content that an image or a VM may have, by a name of ours. */
  readonly known: Readonly<Record<string, Contents>>;
  /** Contents that must still be there as images. */
  readonly finished: readonly string[];
  /** Symlinks of tags, and the contents that each may lead to. */
  readonly tags: Readonly<Record<string, readonly string[]>>;
  /** VMs that must be there unchanged, and their contents. */
  readonly vms: Readonly<Record<string, string>>;
  /**
   * VMs that may be there, and then whole: with one of these contents, for `any` with whatever it was created with, or
   * for `lazy` without a disk, with what it takes to begin before that is here.
   */
  readonly newVms: Readonly<Record<string, string | readonly string[]>>;
  /** Files of nobody, and their digests. */
  readonly foreign: Readonly<Record<string, string>>;
  /** After recovery nothing unfinished may be left. */
  readonly isRecovered: boolean;
}

/** Findings, one line each; none when all is well. */
export function judge(expectation: Expectation): string[] {
  return [
    ...judgeImages(expectation),
    ...judgeTags(expectation),
    ...judgeVms(expectation),
    ...judgeForeign(expectation),
    ...(expectation.isRecovered ? judgeScratch(expectation.home) : []),
  ];
}

/** V1 and V2: whatever is visible is whole, and what was finished is still there. */
function judgeImages({ home, known, finished }: Expectation): string[] {
  const visible = visibleDirectories(path.join(home, 'cache/OCIs')).map((directory) => ({
    directory,
    hashes: hashesOf(directory),
  }));
  const half = visible.filter(({ hashes }) => !Object.values(known).some((content) => isSame(content, hashes)));
  const lost = finished.filter((name) => !visible.some(({ hashes }) => isSame(known[name], hashes)));
  return [
    ...half.map(({ directory }) => `V1 half an image is visible: ${path.relative(home, directory)}`),
    ...lost.map((name) => `V2 lost: the image ${name}`),
  ];
}

function judgeTags({ home, known, tags }: Expectation): string[] {
  return Object.entries(tags).flatMap(([link, names]) => {
    const hashes = contentsBehind(path.join(home, link));
    const isRight = hashes !== undefined && names.some((name) => isSame(known[name], hashes));
    return isRight ? [] : [`V2 the tag ${link} does not lead to ${names.join(' or ')}`];
  });
}

function judgeVms({ home, known, vms, newVms }: Expectation): string[] {
  const directory = path.join(home, 'vms');
  const changed = Object.entries(vms).filter(([vm, name]) => !isSame(known[name], hashesOf(path.join(directory, vm))));
  const half = entriesOf(directory).filter(
    (vm) => !(vm in vms) && !isWholeVm(path.join(directory, vm), known, newVms[vm]),
  );
  return [
    ...changed.map(([vm]) => `V3 the VM ${vm} was changed or lost`),
    ...half.map((vm) => `V1 half a VM is visible: ${vm}`),
  ];
}

/** A clone may have a MAC address of its own: its configuration only has to be there. */
function isWholeVm(directory: string, known: Expectation['known'], allowed: string | readonly string[] = []): boolean {
  if (allowed === 'any') return VM_FILES.every((file) => existsSync(path.join(directory, file)));
  const hashes = hashesOf(directory);
  if (hashes['config.json'] === undefined) return false;
  if ([allowed].flat().includes('lazy') && isLazyVm(directory)) return true;
  return [allowed]
    .flat()
    .some((name) => isSame(known[name], { ...hashes, 'config.json': known[name]?.['config.json'] }));
}

function isLazyVm(directory: string): boolean {
  return (
    ['config.json', 'nvram.bin', '.lazy.json', '.lazy-manifest.json'].every((file) =>
      existsSync(path.join(directory, file)),
    ) && !existsSync(path.join(directory, 'disk.img'))
  );
}

function judgeForeign({ home, foreign }: Expectation): string[] {
  return Object.entries(foreign)
    .filter(([file, hash]) => hashOf(path.join(home, file)) !== hash)
    .map(([file]) => `V3 the foreign file ${file} was changed or lost`);
}

function judgeScratch(home: string): string[] {
  return ['tmp', 'cache/.staging', 'cache/.trash'].flatMap((directory) =>
    entriesOf(path.join(home, directory))
      // A symlink that a killed command had moved aside goes after a minute: until then it might be a live command's.
      .filter((entry) => !lstatSync(path.join(home, directory, entry)).isSymbolicLink())
      .map((entry) => `V4 left behind: ${directory}/${entry}`),
  );
}

/** SHA-256 of a file, in hex; undefined when there is none. */
export function hashOf(file: string): string | undefined {
  return existsSync(file) ? createHash('sha256').update(readFileSync(file)).digest('hex') : undefined;
}

/** The digests of a VM directory's files. */
export function hashesOf(directory: string): Contents {
  const [config, nvram, disk] = VM_FILES.map((file) => hashOf(path.join(directory, file)));
  return { 'config.json': config, 'nvram.bin': nvram, 'disk.img': disk };
}

function isSame(a: Contents | undefined, b: Contents): boolean {
  return a !== undefined && VM_FILES.every((file) => a[file] === b[file]);
}

/** Every directory that Tart would show: one with the three files. Links are not followed. */
function visibleDirectories(below: string): string[] {
  if (!existsSync(below)) return [];
  return readdirSync(below, { withFileTypes: true }).flatMap((entry) => {
    const at = path.join(below, entry.name);
    if (!entry.isDirectory()) return [];
    return VM_FILES.every((file) => existsSync(path.join(at, file))) ? [at] : visibleDirectories(at);
  });
}

function contentsBehind(link: string): Contents | undefined {
  if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() !== true || !existsSync(link)) return undefined;
  return hashesOf(realpathSync(link));
}

function entriesOf(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}
