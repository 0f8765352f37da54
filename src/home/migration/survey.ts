import { type Dirent, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { isTartletError, systemCode } from '../../errors.ts';
import type { Digest } from '../../names/digest.ts';
import { RegistryAddress } from '../../names/registry-address.ts';
import { diskError } from '../disk-error.ts';
import { decodeDigestFolder } from '../layout.ts';
import { ORIGIN_FILE, readOriginSync } from '../origin.ts';
import { MARK_FILES } from '../image-mark.ts';
import { linkText } from '../image-reference.ts';
import { lookAtVmFolder, VmFile, type VmLayout } from '../vm-folder.ts';
import {
  type CacheFacts,
  type HostFact,
  type HostLinkFact,
  type ImageFact,
  type LinkFact,
  placeOf,
} from './cache-facts.ts';
import { type HostReading, readHostFolder, registryOf } from './host-folder.ts';
import { readLinkText } from './link-text.ts';
import { type Mark, markOfSize } from './mark.ts';

/** Deeper trees than any real repository are not followed. */
const MAX_DEPTH = 64;

export interface SurveyOptions {
  /** A host folder whose records are read although its name has a port. */
  readonly doubted?: string | undefined;
}

/**
 * Looks at a whole image cache, of any generation, and changes nothing. Links are read and never entered. Synchronous: with ten
 * thousand images, promises would take longer than the file system.
 *
 * @throws TartletError `DISK_*`
 */
export function surveyImages(imagesFolder: string, options: SurveyOptions = {}): CacheFacts {
  return new Survey(imagesFolder, options).facts();
}

type FoundLink = Omit<LinkFact, 'leadsTo' | 'isDead'>;

class Survey {
  readonly #root: string;
  readonly #options: SurveyOptions;
  readonly #hosts: HostFact[] = [];
  readonly #hostLinks: HostLinkFact[] = [];
  readonly #images = new Map<string, ImageFact>();
  readonly #links: FoundLink[] = [];
  readonly #folders = new Set<string>();

  constructor(imagesFolder: string, options: SurveyOptions) {
    this.#root = imagesFolder;
    this.#options = options;
  }

  facts(): CacheFacts {
    for (const child of childrenOf(this.#root)) {
      const reading = readHostFolder(child.name);
      if (child.isSymbolicLink()) this.#hostLink(child.name, reading);
      if (!child.isDirectory()) continue;
      this.#hosts.push({ folder: child.name, reading });
      this.#folders.add(child.name);
      const isCertain = registryOf(reading)?.port !== undefined && child.name !== this.#options.doubted;
      this.#visit(child.name, '', !isCertain);
    }
    const real = realOf(this.#root) ?? this.#root;
    return {
      imagesFolder: this.#root,
      hosts: this.#hosts,
      hostLinks: this.#hostLinks,
      images: [...this.#images.values()],
      links: this.#links.map((link) => ({ ...link, ...this.#follow(link, real) })),
      folders: this.#folders,
    };
  }

  #visit(host: string, repository: string, readRecords: boolean): void {
    const below = repository === '' ? host : `${host}/${repository}`;
    for (const child of childrenOf(`${this.#root}/${below}`)) {
      const path = `${this.#root}/${below}/${child.name}`;
      const digest = child.isDirectory() ? decodeDigestFolder(child.name) : undefined;
      if (repository !== '' && digest !== undefined) {
        const image = { host, repository, digest, path, ...lookInto(path, readRecords, digest, repository) };
        this.#images.set(placeOf(host, repository, child.name), image);
      } else if (repository !== '' && child.isSymbolicLink()) {
        this.#link(host, repository, child.name, path);
      } else if (child.isDirectory() && below.split('/').length < MAX_DEPTH) {
        this.#folders.add(`${below}/${child.name}`);
        this.#visit(host, repository === '' ? child.name : `${repository}/${child.name}`, readRecords);
      }
    }
  }

  #link(host: string, repository: string, leaf: string, path: string): void {
    const text = linkText(path);
    if (text === undefined) return;
    const target = readLinkText(text, placeOf(host, repository, leaf), this.#root);
    this.#links.push({ host, repository, leaf, path, text, target, madeMs: lstatSync(path).mtimeMs });
  }

  #hostLink(folder: string, reading: HostReading): void {
    const path = `${this.#root}/${folder}`;
    const text = linkText(path);
    if (text === undefined) return;
    const bare = text.replace(/\/+$/, '');
    const named = bare.startsWith('/') ? bare.split('/OCIs/').at(-1) : bare.replace(/^\.\//, '');
    const names = named === undefined || named.includes('/') || named.startsWith('..') ? undefined : named;
    this.#hostLinks.push({ folder, reading, path, text, names, leadsSomewhere: leadsSomewhere(path) });
  }

  /** By the text where it is the usual one; only the others cost a look at the disk. */
  #follow({ target, text, path }: FoundLink, real: string): Pick<LinkFact, 'leadsTo' | 'isDead'> {
    const named = target === undefined ? '' : placeOf(target.host, target.repository, target.leaf);
    const usual = text === `${this.#root}/${named}` ? this.#images.get(named) : undefined;
    if (usual !== undefined) return { leadsTo: usual, isDead: false };
    const behind = realOf(path);
    const leadsTo =
      behind?.startsWith(`${real}/`) === true ? this.#images.get(behind.slice(real.length + 1)) : undefined;
    return { leadsTo, isDead: behind === undefined };
  }
}

interface Contents {
  readonly layout: VmLayout | undefined;
  readonly mark: Mark;
  readonly isUnnamed: boolean;
  readonly record: RegistryAddress | undefined;
}

/** File by file: to list the folder would set its access time, which for images of Tart's is the only record of their use (tart-cli §4.4). */
function lookInto(folder: string, readRecord: boolean, digest: Digest, repository: string): Contents {
  const layout = lookAtVmFolder(folder)?.layout;
  const isThere = (file: string): boolean => sizeOf(`${folder}/${file}`) !== undefined;
  return {
    layout: layout === 'stacked-local' ? undefined : layout,
    mark: markOfSize(sizeOf(`${folder}/${VmFile.explicitlyPulled}`)),
    isUnnamed: isThere(MARK_FILES.unnamed),
    record: readRecord && isThere(ORIGIN_FILE) ? registryInRecord(folder, digest, repository) : undefined,
  };
}

function sizeOf(file: string): number | undefined {
  return lstatSync(file, { throwIfNoEntry: false })?.size;
}

/** A record that is damaged, or of another image, testifies to nothing; `doctor` names it. */
function registryInRecord(folder: string, digest: Digest, repository: string): RegistryAddress | undefined {
  try {
    const record = readOriginSync(folder);
    if (record === undefined || !('registry' in record)) return undefined;
    if (record.digest !== digest.toString() || record.repository !== repository) return undefined;
    return RegistryAddress.tryParse(record.registry);
  } catch (error) {
    if (isTartletError(error, 'STORE_DAMAGED')) return undefined;
    throw error;
  }
}

function childrenOf(folder: string): Dirent[] {
  return readFolder(folder).filter((child) => !child.name.startsWith('.'));
}

function readFolder(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(cause) ?? '')) return [];
    throw diskError(cause, 'read the folder', folder);
  }
}

function realOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined; // Leads nowhere, in circles, or where we may not look.
  }
}

function leadsSomewhere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}
