import type { Stats } from 'node:fs';
import { unreachable } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { stackedFiles, type TartImage } from '../oci/tart-image.ts';
import { isModified } from '../home/modified-disk.ts';
import type { ContentStore } from '../home/content/content-store.ts';
import { OurFile } from '../home/home-entry.ts';
import type { ImageReferences } from '../home/images/image-reference.ts';
import type { Origin } from '../home/origin.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { AccessCheck } from './access.ts';
import { isInLocalFormat } from './config-format.ts';
import { contentProblem } from './content.ts';
import { finding, type Finding, type ImagePlace, repairOf, unreadable } from './finding.ts';
import type { FindingId } from './finding-kind.ts';
import { IMAGE_FILES, TO_BE_READ } from './image-files.ts';
import { readImageManifest } from './image-manifest.ts';
import { kindText, lookAt, lookInto, whyUnreadable } from '../fs/probe.ts';
import { disagreement, isVerbatim, readOriginRecord } from './origin-record.ts';

/** What the check of an image directory needs to know of the rest. */
export interface ImageContext {
  readonly contents: ContentStore;
  readonly access: AccessCheck;
  /** Which images the symlinks of the cache name. */
  readonly references: ImageReferences;
}

/**
 * Looks through one image directory: which files are there and of which kind, whether the manifest is the one of the
 * directory's name, and whether the lengths of the files are those that it says. Reads the two small documents and
 * nothing else.
 */
export function checkImageDirectory(place: ImagePlace, around: ImageContext): Finding[] {
  return new ImageDirectoryCheck(place, around).run();
}

class ImageDirectoryCheck {
  readonly #place: ImagePlace;
  readonly #around: ImageContext;
  readonly #findings: Finding[] = [];
  /** Regular files, by name. */
  readonly #files = new Map<string, Stats>();
  /** What has a file's name and is none. */
  readonly #odd = new Set<string>();
  /** What the system keeps us from reading, or even from looking at. */
  readonly #unreadable = new Set<string>();

  constructor(place: ImagePlace, around: ImageContext) {
    this.#place = place;
    this.#around = around;
  }

  run(): Finding[] {
    const { path } = this.#place;
    const entries = lookInto(path);
    if (entries.kind === 'gone') return [];
    if (entries.kind === 'failed') this.#findings.push(unreadable(path, entries.why, this.#name.name));
    else {
      for (const { name } of entries.value) this.#lookAtEntry(name);
      this.#findings.push(...this.#around.access.lookIfThere(path));
      const origin = this.#readOrigin();
      if (origin !== undefined) this.#checkOrigin(origin);
      this.#checkFiles(isVerbatim(origin));
      this.#checkReferences();
    }
    return this.#findings;
  }

  #lookAtEntry(name: string): void {
    const at = this.#at(name);
    const look = lookAt(at);
    if (look.kind === 'failed') this.#unread(name, look.why);
    if (look.kind !== 'found') return;
    const stats = look.value;
    if (IMAGE_FILES.has(name)) {
      this.#findings.push(...this.#around.access.look(at, stats));
      if (stats.isFile()) this.#lookAtFile(name, stats);
      else if (name !== VmFile.controlSocket) {
        this.#odd.add(name);
        this.#damage('image-file-kind', at, `${kindText(stats)} where a file belongs`);
      }
      if (stats.isFile() && stats.nlink > 1) {
        const message = `it has ${stats.nlink} names: what is written under another one changes this image`;
        this.#note('image-hard-link', at, message, { kind: 'unshare-blocks', file: name });
      }
    } else if (stats.isDirectory()) {
      this.#note('image-nested', at, 'a directory inside the directory of an image', { kind: 'pull-then-delete' });
    } else {
      this.#note('foreign-entry', at, `${kindText(stats)} that is no part of an image`);
    }
  }

  #lookAtFile(name: string, stats: Stats): void {
    this.#files.set(name, stats);
    const why = TO_BE_READ.has(name) ? whyUnreadable(this.#at(name)) : undefined;
    if (why !== undefined) this.#unread(name, why);
  }

  #unread(name: string, why: string): void {
    this.#unreadable.add(name);
    this.#findings.push(unreadable(this.#at(name), why, this.#name.name));
  }

  /** @param isOurs whether Tartlet made the directory: it keeps a registry's bytes as they are. */
  #checkFiles(isOurs: boolean): void {
    const verdict = readImageManifest(this.#place, isOurs);
    const manifestPath = this.#at(VmFile.manifest);
    switch (verdict.kind) {
      case 'absent':
        if (this.#checkLayout([VmFile.disk], [])) {
          this.#note(
            'manifest-missing',
            this.#place.path,
            'there is no manifest.json: nothing tells what its files must be',
          );
        }
        break;
      case 'unreadable':
        // Said already, and no reason to fetch it again.
        if (this.#unreadable.has(VmFile.manifest)) break;
        this.#damage('manifest-unreadable', manifestPath, `it cannot be read: ${verdict.why}`);
        break;
      case 'mismatch':
        this.#damage('manifest-mismatch', manifestPath, `it hashes to ${verdict.found}`);
        break;
      case 'foreign':
        if (this.#checkLayout([], [])) this.#note('manifest-foreign', manifestPath, verdict.why);
        break;
      case 'image':
        if (!verdict.isOriginal) {
          this.#note(
            'manifest-reencoded',
            manifestPath,
            'Tart wrote it anew: what it says is believed, and cannot be proved',
          );
        }
        this.#checkLengths(verdict.image, isOurs);
        break;
      default:
        unreachable(verdict);
    }
  }

  /** Whether the files make an image; says what is missing or too much otherwise (tart-formats §1.3). */
  #checkLayout(needed: readonly string[], unwanted: readonly string[]): boolean {
    const absent = [VmFile.config, VmFile.nvram, ...needed].filter((name) => !this.#files.has(name));
    const missing = absent.filter((name) => !this.#odd.has(name) && !this.#unreadable.has(name));
    const tooMuch = [VmFile.overlay, ...unwanted].filter((name) => this.#files.has(name));
    if (missing.length > 0) this.#damage('image-incomplete', this.#place.path, `missing: ${missing.join(', ')}`);
    if (tooMuch.length > 0) {
      const message = `${tooMuch.join(' and ')} does not belong there: no tool takes the directory for an image`;
      this.#damage('image-incomplete', this.#place.path, message);
    }
    return absent.length === 0 && tooMuch.length === 0;
  }

  #checkLengths(image: TartImage, isOurs: boolean): void {
    if (!(image.layout === 'flat' ? this.#checkLayout([VmFile.disk], []) : this.#checkLayout([], [VmFile.disk])))
      return;
    const lengthOf = (name: string): number => this.#files.get(name)?.size ?? 0;
    const differs = (name: string, bytes: number): string | undefined =>
      lengthOf(name) === bytes ? undefined : `it has ${lengthOf(name)} bytes, its manifest says ${bytes}`;
    const config = differs(VmFile.config, image.config.size);
    if (config !== undefined) this.#checkConfig(config, isOurs);
    const nvram = differs(VmFile.nvram, image.nvram.size);
    if (nvram !== undefined) this.#damage('nvram-damaged', this.#at(VmFile.nvram), nvram);
    if (image.layout === 'flat') {
      const disk = differs(VmFile.disk, image.base.size);
      if (disk !== undefined) this.#damage('disk-length', this.#at(VmFile.disk), disk);
      else this.#checkMarker(image);
      return;
    }
    for (const file of stackedFiles(image)) {
      const problem = contentProblem(this.#around.contents, file);
      if (problem === undefined) continue;
      this.#damage('content-missing', this.#place.path, `${file.fileDigest.toString()} ${problem}`);
    }
  }

  #checkMarker({ manifest }: TartImage): void {
    if (!this.#files.has(OurFile.marker) || !isModified(this.#place.path, manifest.digest)) return;
    const message = 'it was changed after it was verified: clones begin with what it is now';
    this.#note('disk-touched', this.#at(VmFile.disk), message, { kind: 'run-doctor-deep' });
  }

  /** Another length is no damage when Tart put the file of a local VM there. */
  #checkConfig(problem: string, isOurs: boolean): void {
    const at = this.#at(VmFile.config);
    if (!isOurs && isInLocalFormat(at)) this.#note('config-reformatted', at, 'it is formatted as a local VM has it');
    else this.#damage('config-damaged', at, problem);
  }

  #readOrigin(): Origin | undefined {
    if (!this.#files.has(OurFile.origin)) return undefined;
    const at = this.#at(OurFile.origin);
    const record = readOriginRecord(this.#place.path);
    if (record.kind === 'found') return record.value;
    if (record.kind === 'failed' && !this.#unreadable.has(OurFile.origin)) {
      const message = `it is no origin record: ${record.why}`;
      this.#findings.push(finding('origin-unreadable', at, message, { ...this.#name, remedy: { kind: 'quarantine' } }));
    }
    return undefined;
  }

  #checkOrigin(origin: Origin): void {
    const problem = disagreement(origin, this.#place);
    if (problem !== undefined) this.#note('origin-disagrees', this.#at(OurFile.origin), problem);
  }

  #checkReferences(): void {
    const { path } = this.#place;
    if (
      this.#around.references.name(path) ||
      this.#files.has(VmFile.explicitlyPulled) ||
      this.#files.has(OurFile.pinned)
    )
      return;
    this.#note('image-unreferenced', path, 'no tag leads to it', { kind: 'pull-to-keep' });
  }

  get #name(): { name: string | undefined } {
    return { name: this.#place.name?.toString() };
  }

  #at(name: string): string {
    return `${this.#place.path}/${name}`;
  }

  #note(id: FindingId, at: string, message: string, next?: Hint): void {
    this.#findings.push(finding(id, at, message, { ...this.#name, next }));
  }

  #damage(id: FindingId, at: string, message: string): void {
    this.#findings.push(finding(id, at, message, { ...this.#name, remedy: repairOf(this.#place) }));
  }
}
