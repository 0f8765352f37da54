import { isTartletError } from '../../errors.ts';
import { Digest } from '../../names/digest.ts';
import { Annotation, parseAnnotationNumber } from '../../oci/annotation.ts';
import { MAX_MANIFEST_BYTES, parseManifest } from '../../oci/manifest.ts';
import { namesIn } from '../../fs/entry-names.ts';
import { lstatIfThereSync } from '../../fs/stats.ts';
import { readSmallFileIfThereSync } from '../../fs/small-file.ts';
import { quarantinedItems } from '../quarantine.ts';
import type { Home } from '../home.ts';
import { walkImages } from '../image-walk.ts';
import { lookAtLocalVm, lookAtVmDirectory, VmFile } from '../vm-directory.ts';

/** Names of staging directories, and of files in the content store. */
export const HEX: RegExp = /^[0-9a-f]{64}$/;

/** What the manifest beside a stacked disk says. */
export interface StackedManifest {
  /** The files of the content store that the disk consists of, base first. */
  readonly files: readonly Digest[];
  /** Bytes of the disk as the guest sees it. */
  readonly diskBytes: number | undefined;
}

/** Which files of the content store are needed. */
export type ContentReferences =
  | { readonly kind: 'known'; readonly digests: ReadonlySet<string> }
  /**
   * Something that may name files cannot be read or understood, so that any file may be one of them.
   * @property digests those that are needed in any case.
   */
  | { readonly kind: 'unknown'; readonly because: string; readonly digests: ReadonlySet<string> };

/**
 * Reads the manifest in a directory, as leniently as is possible: a layer of a newer Tart must not hide what the others
 * refer to.
 *
 * @returns undefined when there is none that can be read.
 */
export function readStackedManifest(directory: string): StackedManifest | undefined {
  const bytes = readManifestFile(`${directory}/${VmFile.manifest}`);
  if (bytes === undefined) return undefined;
  try {
    const manifest = parseManifest(bytes);
    if (manifest.kind !== 'image') return undefined;
    return {
      files: manifest.layers.flatMap((layer) => {
        const digest = Digest.tryParse(layer.annotations.get(Annotation.fileDigest) ?? '');
        return digest?.algorithm === 'sha256' ? digest : [];
      }),
      diskBytes: parseAnnotationNumber(manifest.annotations.get(Annotation.diskSize)),
    };
  } catch (error) {
    if (isTartletError(error)) return undefined;
    throw error;
  }
}

/**
 * Everything that refers to the content store: stacked VMs and images, pulls that are under way or were interrupted,
 * and work of Tart's in `tmp/` (tart-formats §4.7). Call under the lock of the store, or a directory may move past the
 * look.
 *
 * A cached manifest that cannot be understood refers to nothing, as in Tart: the image can be pulled again. One of a
 * local VM may be all that leads to its base, so it makes the answer unknown (reliability I12). So does whatever cannot
 * be looked at.
 *
 * @param except a directory that does not count: what would be needed without it?
 */
export function contentReferences(home: Home, except?: string): ContentReferences {
  return new ReferenceSearch(home, except).run();
}

class ReferenceSearch {
  readonly #home: Home;
  readonly #except: string | undefined;
  readonly #digests = new Set<string>();
  /** The first reason why there may be more. */
  #unknownBecause: string | undefined;

  constructor(home: Home, except: string | undefined) {
    this.#home = home;
    this.#except = except;
  }

  run(): ContentReferences {
    const { vmsDirectory, scratchDirectories, stagingDirectory } = this.#home;
    for (const name of this.#namesIn(vmsDirectory)) this.#try(() => this.#addVm(`${vmsDirectory}/${name}`));
    for (const directory of scratchDirectories) {
      for (const name of this.#namesIn(directory))
        if (!name.startsWith('.')) this.#try(() => this.#add(`${directory}/${name}`));
    }
    for (const name of this.#namesIn(stagingDirectory))
      if (HEX.test(name)) this.#try(() => this.#add(`${stagingDirectory}/${name}`));
    this.#try(() => this.#addImages());
    // What was quarantined may be wanted back whole.
    for (const { path } of quarantinedItems(this.#home)) this.#try(() => this.#addUnlessFlat(path));
    if (this.#unknownBecause === undefined) return { kind: 'known', digests: this.#digests };
    return { kind: 'unknown', because: this.#unknownBecause, digests: this.#digests };
  }

  #namesIn(directory: string): string[] {
    return this.#try(() => namesIn(directory)) ?? [];
  }

  #try<T>(look: () => T): T | undefined {
    try {
      return look();
    } catch (error) {
      if (!isTartletError(error)) throw error;
      this.#unknownBecause ??= error.message;
      return undefined;
    }
  }

  #add(directory: string): 'understood' | 'not-understood' {
    if (directory === this.#except) return 'understood';
    const manifest = readStackedManifest(directory);
    for (const digest of manifest?.files ?? []) this.#digests.add(digest.hex);
    return manifest === undefined ? 'not-understood' : 'understood';
  }

  #addVm(directory: string): void {
    if (
      lookAtLocalVm(directory)?.layout === 'standalone' ||
      lstatIfThereSync(`${directory}/${VmFile.manifest}`) === undefined
    )
      return;
    if (this.#add(directory) === 'not-understood')
      this.#unknownBecause ??= `${directory}/${VmFile.manifest} cannot be understood`;
  }

  #addImages(): void {
    const { entries, foreign, unreadable } = walkImages(this.#home);
    const [unseen] = unreadable;
    if (unseen !== undefined) this.#unknownBecause ??= `${unseen} cannot be looked into`;
    const images = entries.filter((entry) => entry.kind === 'digest').map((entry) => entry.path);
    for (const directory of [...images, ...foreign]) this.#try(() => this.#addUnlessFlat(directory));
  }

  /** A flat image has its own disk, even when its manifest says what the whole of it hashes to. */
  #addUnlessFlat(directory: string): void {
    if (lookAtVmDirectory(directory)?.layout !== 'standalone') this.#add(directory);
  }
}

function readManifestFile(file: string): Uint8Array | undefined {
  try {
    return readSmallFileIfThereSync(file, MAX_MANIFEST_BYTES);
  } catch (error) {
    if (isTartletError(error, 'STORE_DAMAGED')) return undefined;
    throw error;
  }
}
