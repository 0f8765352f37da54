import { type FileHandle, open } from 'node:fs/promises';
import { onDisk } from '../fs/disk-error.ts';
import { UNPRINTABLE } from '../names/unprintable.ts';
import { shown } from '../oci/shown.ts';
import type { FileExtent } from '../chunks/file-blob.ts';
import type { TartletError } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { brokenArchive } from './archive-error.ts';
import { TELLTALES } from './archive-kind.ts';
import { isLayoutFile } from './layout-file.ts';
import { parsePaxRecords, parseTarHeader, TAR_BLOCK_BYTES, type TarHeader } from './tar-header.ts';

/** More than the layers of the largest manifest we read, twice over (reliability §0.2). */
const MAX_ENTRIES = 50_000;

/** Pax headers and long names; real ones have some hundred bytes. */
const MAX_EXTENSION_BYTES = 64 * 1024;

/** How many names of other files a message may list. */
const LISTED_NAMES = 4;

/** What a tar file holds of an image layout, without a byte of it read. */
export interface TarIndex {
  readonly files: ReadonlyMap<string, FileExtent>;
  /** The first few names of other files, for messages. */
  readonly others: readonly string[];
  /** Which of {@link TELLTALES} are there. */
  readonly telltales: ReadonlySet<string>;
  /**
   * That it holds a symlink, which a layout never does: symlinks and devices are how archives reach outside
   * (reliability S24). None is followed.
   */
  readonly link: TartletError | undefined;
}

/**
 * Looks through the headers of a tar file. Nothing is ever unpacked under a name from the archive: the names of the
 * layout are known beforehand, files of other names are passed over, and a name that could lead out of a directory
 * condemns the archive.
 *
 * @throws TartletError `ARCHIVE_INVALID` for devices, `..`, absolute names, a file that is there twice, and when it is
 * cut short.
 */
export async function readTarIndex(archive: string, signal: AbortSignal): Promise<TarIndex> {
  const handle = await onDisk('open', archive, async () => open(archive, 'r'));
  try {
    const { size } = await handle.stat();
    return await new TarReader(archive, handle, size).read(signal);
  } finally {
    await handle.close();
  }
}

class TarReader {
  readonly #archive: string;
  readonly #handle: FileHandle;
  readonly #end: number;
  readonly #files = new Map<string, FileExtent>();
  readonly #others: string[] = [];
  readonly #telltales = new Set<string>();
  #link: TartletError | undefined;
  /** What the headers before the next entry say of it. */
  #next: { name?: string; size?: number } = {};

  constructor(archive: string, handle: FileHandle, end: number) {
    this.#archive = archive;
    this.#handle = handle;
    this.#end = end;
  }

  async read(signal: AbortSignal): Promise<TarIndex> {
    let at = 0;
    for (let entries = 0; ; entries += 1) {
      signal.throwIfAborted();
      if (entries > MAX_ENTRIES) throw this.#broken(`it has more than ${MAX_ENTRIES} entries`);
      const header = parseTarHeader(await this.#bytes(at, TAR_BLOCK_BYTES), this.#archive);
      if (header === undefined) return this.#index();
      at += TAR_BLOCK_BYTES;
      const size = await this.#entry(header, at);
      // Beyond the end of the file the next header is missing.
      at += Math.ceil(size / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
    }
  }

  /** @returns bytes of data that belong to the entry. */
  async #entry(header: TarHeader, at: number): Promise<number> {
    switch (header.kind) {
      case 'pax':
        this.#take(await this.#records(header, at));
        return header.size;
      case 'global-pax':
        refuseMeaning(await this.#records(header, at), this.#archive);
        return header.size;
      case 'long-name':
        this.#next.name = (await this.#extension(header, at)).toString('utf8').replace(/\0+$/, '');
        return header.size;
      case 'link':
        this.#link ??= this.#broken('it holds a symlink, which an image layout never does');
        this.#next = {};
        return 0;
      case 'file':
      case 'directory': {
        const size = header.kind === 'directory' ? 0 : (this.#next.size ?? header.size);
        this.#add(header.kind, this.#next.name ?? header.name, { path: this.#archive, offset: at, size });
        this.#next = {};
        return size;
      }
    }
  }

  #index(): TarIndex {
    return { files: this.#files, others: this.#others, telltales: this.#telltales, link: this.#link };
  }

  #add(kind: 'file' | 'directory', written: string, extent: FileExtent): void {
    const name = this.#cleanName(written);
    if (!isLayoutFile(name)) {
      if (kind === 'file' && this.#others.length < LISTED_NAMES) this.#others.push(name);
      if (TELLTALES.has(name)) this.#telltales.add(name);
      return;
    }
    if (kind === 'directory') throw this.#broken(`${name} in it is a directory`);
    // Tools disagree about which of two counts.
    if (this.#files.has(name)) throw this.#broken(`${name} is in it twice`);
    this.#files.set(name, extent);
  }

  /** `./` at the front is how `tar -c .` writes names. */
  #cleanName(written: string): string {
    const name = written.replace(/^(?:\.\/+)+/, '').replace(/\/+$/, '');
    if (UNPRINTABLE.test(written) || written.startsWith('/') || name.split('/').includes('..')) {
      throw this.#broken(`it holds a file under the name "${shown(written)}", which leads elsewhere`);
    }
    return name;
  }

  #take(records: ReadonlyMap<string, string>): void {
    if ([...records.keys()].some((key) => key.startsWith('GNU.sparse.'))) {
      throw this.#broken('it stores a file with holes left out, which only GNU tar reads');
    }
    const name = records.get('path');
    const size = records.get('size');
    if (name !== undefined) this.#next.name = name;
    if (size === undefined) return;
    if (!/^[0-9]{1,16}$/.test(size) || !Number.isSafeInteger(Number(size))) {
      throw this.#broken('an entry in it has no usable size');
    }
    this.#next.size = Number(size);
  }

  async #records(header: TarHeader, at: number): Promise<ReadonlyMap<string, string>> {
    const records = parsePaxRecords(await this.#extension(header, at));
    if (records === undefined) throw this.#broken('a pax header in it is damaged');
    return records;
  }

  async #extension(header: TarHeader, at: number): Promise<Buffer> {
    if (header.size > MAX_EXTENSION_BYTES) throw this.#broken('a header in it is too large');
    return this.#bytes(at, header.size);
  }

  async #bytes(at: number, length: number): Promise<Buffer> {
    if (length > this.#end - at) throw this.#cut();
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await onDisk('read', this.#archive, async () => this.#handle.read(buffer, 0, length, at));
    if (bytesRead !== length) throw this.#cut();
    return buffer;
  }

  #cut(): TartletError {
    return this.#broken('it is cut short', { next: { kind: 'copy-again' } });
  }

  #broken(why: string, facts: { readonly next?: Hint } = {}): TartletError {
    return brokenArchive(this.#archive, why, facts);
  }
}

/** A global header speaks for all entries; dates and comments may, names and sizes may not. */
function refuseMeaning(records: ReadonlyMap<string, string>, archive: string): void {
  const key = ['path', 'size', 'linkpath'].find((each) => records.has(each));
  if (key !== undefined) throw brokenArchive(archive, `a global header in it sets the ${key} of every entry`);
}
