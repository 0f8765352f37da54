import { type Dirent, lstatSync } from 'node:fs';
import { isTartletError } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import { RegistryAddress } from '../names/registry-address.ts';
import { linkText, lstatIfThereSync, realPathOf } from '../fs/stats.ts';
import { entriesIn } from '../fs/entry-names.ts';
import type { Home } from '../home/home.ts';
import { decodeDigestDirectory } from '../home/layout.ts';
import { CacheEntry, OurFile } from '../home/home-entry.ts';
import { readOriginSync } from '../home/origin.ts';
import { MARK_FILES } from '../home/images/image-mark.ts';
import { lookAtVmDirectory, VmFile, type VmLayout } from '../home/vm-directory.ts';
import {
  type CacheFacts,
  type HostFact,
  type HostLinkFact,
  type ImageFact,
  type LinkFact,
  placeOf,
} from './cache-facts.ts';
import { type HostReading, readHostDirectory, registryOf } from './host-directory.ts';
import { readLinkText } from './link-text.ts';
import { type Mark, markOfSize } from '../home/images/explicit-mark.ts';

/** Deeper trees than any real repository are not followed. */
const MAX_DEPTH = 64;

export interface SurveyOptions {
  /** A host directory whose records are read although its name has a port. */
  readonly overridden?: string | undefined;
}

/**
 * Looks at a whole image cache, of any generation, and changes nothing. Links are read and never entered. Synchronous:
 * with ten thousand images, promises would take longer than the file system. What cannot be looked at is passed over,
 * and its place is taken.
 *
 * @throws TartletError `DISK_*` when the cache as a whole cannot be read.
 */
export function surveyImages(home: Home, options: SurveyOptions = {}): CacheFacts {
  return new Survey(home, options).facts();
}

type FoundLink = Omit<LinkFact, 'leadsTo' | 'isDead'>;

class Survey {
  readonly #home: Home;
  readonly #root: string;
  readonly #options: SurveyOptions;
  readonly #hosts: HostFact[] = [];
  readonly #hostLinks: HostLinkFact[] = [];
  readonly #images = new Map<string, ImageFact>();
  readonly #links: FoundLink[] = [];
  readonly #directories = new Set<string>();
  readonly #empty = new Set<string>();
  readonly #unseenHosts = new Set<string>();

  constructor(home: Home, options: SurveyOptions) {
    this.#home = home;
    this.#root = home.imagesDirectory;
    this.#options = options;
  }

  facts(): CacheFacts {
    for (const child of childrenOf(this.#root)) {
      const reading = readHostDirectory(child.name);
      if (child.isSymbolicLink()) this.#hostLink(child.name, reading);
      if (!child.isDirectory()) continue;
      this.#hosts.push({ directory: child.name, reading });
      this.#directories.add(child.name);
      const isCertain = registryOf(reading)?.port !== undefined && child.name !== this.#options.overridden;
      this.#visit(child.name, '', !isCertain);
    }
    const root = realPathOf(this.#root);
    const real = root.kind === 'there' ? root.path : this.#root;
    return {
      imagesDirectory: this.#root,
      hosts: this.#hosts,
      hostLinks: this.#hostLinks,
      images: [...this.#images.values()],
      links: this.#links.map((link) => ({ ...link, ...this.#follow(link, real) })),
      directories: this.#directories,
      empty: this.#empty,
      unseenHosts: this.#unseenHosts,
    };
  }

  /** A look at something below a host directory. */
  #look<T>(host: string, entry: string, look: () => T): T | undefined {
    return this.#home.unreadable.passOver(entry, look) ?? this.#unseen(host);
  }

  #unseen(host: string): undefined {
    this.#unseenHosts.add(host);
  }

  /** @returns whether anything but directories is in it. */
  #visit(host: string, repository: string, readRecords: boolean): boolean {
    const below = repository === '' ? host : `${host}/${repository}`;
    const directory = `${this.#root}/${below}`;
    const inside = this.#look(host, directory, () => entriesIn(directory, 'nothing'));
    let isUsed = inside === undefined;
    for (const child of inside ?? []) {
      if (!child.isDirectory() || child.name.startsWith('.')) isUsed = true;
      if (child.name.startsWith('.')) continue;
      const path = `${this.#root}/${below}/${child.name}`;
      const digest = child.isDirectory() ? decodeDigestDirectory(child.name) : undefined;
      if (repository !== '' && digest !== undefined) {
        isUsed = true;
        const place = placeOf(host, repository, child.name);
        const contents = this.#look(host, path, () => lookInto(path, readRecords, digest, repository));
        if (contents === undefined) this.#directories.add(place);
        else this.#images.set(place, { host, repository, digest, path, ...contents });
      } else if (repository !== '' && child.isSymbolicLink()) {
        this.#look(host, path, () => this.#link(host, repository, child.name, path) ?? 'seen');
      } else if (child.isDirectory() && below.split('/').length < MAX_DEPTH) {
        this.#directories.add(`${below}/${child.name}`);
        if (this.#visit(host, repository === '' ? child.name : `${repository}/${child.name}`, readRecords))
          isUsed = true;
      } else isUsed = true;
    }
    if (!isUsed) this.#empty.add(below);
    return isUsed;
  }

  #link(host: string, repository: string, leaf: string, path: string): void {
    const text = linkText(path);
    if (text === undefined) return;
    const target = readLinkText(text, placeOf(host, repository, leaf), this.#root);
    this.#links.push({ host, repository, leaf, path, text, target, madeMs: lstatSync(path).mtimeMs });
  }

  #hostLink(directory: string, reading: HostReading): void {
    const path = `${this.#root}/${directory}`;
    const text = linkText(path);
    if (text === undefined) return;
    const bare = text.replace(/\/+$/, '');
    const named = bare.startsWith('/') ? bare.split(`/${CacheEntry.images}/`).at(-1) : bare.replace(/^\.\//, '');
    const names = named === undefined || named.includes('/') || named.startsWith('..') ? undefined : named;
    this.#hostLinks.push({ directory, reading, path, text, names, leadsSomewhere: leadsSomewhere(path) });
  }

  /** By the text where it is the usual one; only the others cost a look at the disk. */
  #follow({ target, text, path }: FoundLink, real: string): Pick<LinkFact, 'leadsTo' | 'isDead'> {
    const named = target === undefined ? '' : placeOf(target.host, target.repository, target.leaf);
    const usual = text === `${this.#root}/${named}` ? this.#images.get(named) : undefined;
    if (usual !== undefined) return { leadsTo: usual, isDead: false };
    const behind = realPathOf(path);
    const isInside = behind.kind === 'there' && behind.path.startsWith(`${real}/`);
    const leadsTo = isInside ? this.#images.get(behind.path.slice(real.length + 1)) : undefined;
    return { leadsTo, isDead: behind.kind === 'nothing' };
  }
}

interface Contents {
  readonly layout: VmLayout | undefined;
  readonly mark: Mark;
  readonly isUnnamed: boolean;
  readonly record: RegistryAddress | undefined;
}

/**
 * File by file: to list the directory would set its access time, which for images of Tart's is the only record of their
 * use (tart-cli §4.4).
 */
function lookInto(directory: string, readRecord: boolean, digest: Digest, repository: string): Contents {
  const layout = lookAtVmDirectory(directory)?.layout;
  const isThere = (file: string): boolean => sizeOf(`${directory}/${file}`) !== undefined;
  return {
    layout: layout === 'stacked-local' ? undefined : layout,
    mark: markOfSize(sizeOf(`${directory}/${VmFile.explicitlyPulled}`)),
    isUnnamed: isThere(MARK_FILES.unnamed),
    record: readRecord && isThere(OurFile.origin) ? registryInRecord(directory, digest, repository) : undefined,
  };
}

function sizeOf(file: string): number | undefined {
  return lstatIfThereSync(file)?.size;
}

/** A record that is damaged, or of another image, testifies to nothing; `doctor` names it. */
function registryInRecord(directory: string, digest: Digest, repository: string): RegistryAddress | undefined {
  try {
    const record = readOriginSync(directory);
    if (record === undefined || !('registry' in record)) return undefined;
    if (record.digest !== digest.toString() || record.repository !== repository) return undefined;
    return RegistryAddress.tryParse(record.registry);
  } catch (error) {
    if (isTartletError(error, 'STORE_DAMAGED')) return undefined;
    throw error;
  }
}

function childrenOf(directory: string): Dirent[] {
  return entriesIn(directory, 'nothing').filter((child) => !child.name.startsWith('.'));
}

function leadsSomewhere(path: string): boolean {
  return realPathOf(path).kind !== 'nothing';
}
