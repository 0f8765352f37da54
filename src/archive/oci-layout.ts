import { realpath } from 'node:fs/promises';
import { describeError, TartletError } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { onDisk } from '../fs/disk-error.ts';
import { openPlainFile } from '../fs/plain-file.ts';
import { lstatIfThere, statIfThere } from '../fs/stats.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { FileExtent } from '../chunks/file-blob.ts';
import { isJsonObject } from '../json/foreign.ts';
import { parseJsonDocument } from '../oci/json-document.ts';
import { shown } from '../oci/shown.ts';
import { BlobVerifier } from '../registry/blobs/blob-verifier.ts';
import { brokenArchive, otherArchive } from './archive-error.ts';
import { otherCollection, readHead, refuseOtherKinds, TELLTALES } from './archive-kind.ts';
import { blobFile, LayoutFile } from './layout-file.ts';
import { readTarIndex } from './tar-reader.ts';

/** A marker says one line; more than this is no marker. */
const MAX_MARKER_BYTES = 4096;

const WHAT_TO_IMPORT: Hint = { kind: 'import-what-was-exported' };

/** Where a file of the layout lies, when it has one of that name. */
type Find = (name: string) => Promise<FileExtent | undefined>;

/**
 * An OCI image layout that can be read: a directory, or a tar file of one (image-spec, image-layout.md). Nothing in it
 * is trusted.
 */
export class OciLayout {
  /** What the user calls it. */
  readonly archive: string;
  readonly #find: Find;

  private constructor(archive: string, find: Find) {
    this.archive = archive;
    this.#find = find;
  }

  /**
   * @param path a directory or a file; nothing else can be read twice.
   * @param archive what messages call it.
   * @throws TartletError `NOT_FOUND`, `MEDIA_UNSUPPORTED` for files of other kinds, `ARCHIVE_INVALID` for damaged ones.
   */
  static async open(path: string, archive: string, signal: AbortSignal): Promise<OciLayout> {
    const isDirectory = await looksLikeDirectory(path);
    // From here on no symlink is followed: what the user named may be one, what is in it may not.
    const real = await realpath(path);
    const find = isDirectory ? findInDirectory(real, archive) : await findInTar(real, archive, signal);
    const marker = await find(LayoutFile.marker);
    if (marker === undefined) {
      const others = await presentOf(TELLTALES, find);
      throw (
        otherCollection(archive, others) ??
        otherArchive(archive, 'no OCI image layout: it has no file oci-layout', WHAT_TO_IMPORT)
      );
    }
    requireVersion(archive, await readWhole(archive, LayoutFile.marker, marker, MAX_MARKER_BYTES));
    return new OciLayout(archive, find);
  }

  /** All of a small file. @throws TartletError `ARCHIVE_INVALID` when it is missing or larger than `limit` bytes. */
  async file(name: string, limit: number): Promise<Uint8Array> {
    const extent = await this.#find(name);
    if (extent === undefined) throw brokenArchive(this.archive, `it has no ${name}`);
    return readWhole(this.archive, name, extent, limit);
  }

  /**
   * Where a blob lies. It is there and as long as promised; its bytes are not looked at.
   *
   * @param what the blob's role, for the message.
   * @throws TartletError `ARCHIVE_INVALID`, `SIZE_MISMATCH`
   */
  async blob({ digest, size }: Pick<Descriptor, 'digest' | 'size'>, what: string): Promise<FileExtent> {
    const extent = await this.#find(blobFile(digest));
    if (extent === undefined) {
      throw brokenArchive(this.archive, `its ${what} is missing (${digest.toString()})`, {
        next: { kind: 'copy-again-whole' },
      });
    }
    if (extent.size === size) return extent;
    throw new TartletError(
      'SIZE_MISMATCH',
      `${this.archive} cannot be imported: its ${what} has ${extent.size} bytes instead of ${size}`,
      {
        subject: digest.toString(),
        kept: 'nothing was changed',
        next: { kind: 'copy-again-whole' },
        expected: String(size),
        found: String(extent.size),
      },
    );
  }

  /** All of a small blob, verified. @throws as {@link blob}, and `DIGEST_MISMATCH`. */
  async smallBlob(descriptor: Pick<Descriptor, 'digest' | 'size'>, what: string, limit: number): Promise<Uint8Array> {
    const bytes = await readWhole(this.archive, `its ${what}`, await this.blob(descriptor, what), limit);
    const verifier = new BlobVerifier(descriptor.digest, descriptor.size);
    verifier.update(bytes);
    verifier.verdict();
    return bytes;
  }
}

async function looksLikeDirectory(path: string): Promise<boolean> {
  const stats = await statIfThere(path);
  if (stats !== undefined) return stats.isDirectory();
  throw new TartletError('NOT_FOUND', `there is no file ${path}`, { subject: path, next: { kind: 'check-path' } });
}

function findInDirectory(directory: string, archive: string): Find {
  return async (name) => regularFile(`${directory}/${name}`, archive);
}

async function findInTar(file: string, archive: string, signal: AbortSignal): Promise<Find> {
  refuseOtherKinds(archive, await readHead(file));
  const { files, others, telltales, link } = await readTarIndex(file, signal);
  const isLayout = files.has(LayoutFile.marker);
  const refusal = (isLayout ? undefined : otherCollection(archive, telltales)) ?? link;
  if (refusal !== undefined) throw refusal;
  if (!isLayout) {
    const names = others.length === 0 ? 'nothing' : others.map((name) => shown(name)).join(', ');
    throw otherArchive(
      archive,
      `a tar file, but not of an OCI image layout: it has no file oci-layout, it has ${names}`,
      WHAT_TO_IMPORT,
    );
  }
  return async (name) => files.get(name);
}

async function presentOf(names: ReadonlySet<string>, find: Find): Promise<ReadonlySet<string>> {
  const present = new Set<string>();
  for (const name of names) if ((await find(name)) !== undefined) present.add(name);
  return present;
}

/**
 * Symlinks are not followed, neither to a file nor to a directory like `blobs`: an archive that was unpacked may hold
 * any (reliability S25, C29).
 */
async function regularFile(path: string, archive: string): Promise<FileExtent | undefined> {
  const stats = await lstatIfThere(path);
  if (stats === undefined) return undefined;
  const isPlain = stats.isFile() && (await onDisk('look at', path, async () => realpath(path))) === path;
  if (!isPlain) throw brokenArchive(archive, `${path} is not a plain file`);
  return { path, offset: 0, size: stats.size };
}

async function readWhole(archive: string, name: string, extent: FileExtent, limit: number): Promise<Uint8Array> {
  if (extent.size > limit) {
    throw brokenArchive(archive, `${name} has ${extent.size} bytes, the limit is ${limit}`);
  }
  return onDisk('read', extent.path, async () => {
    const handle = await openPlainFile(extent.path);
    try {
      const bytes = Buffer.alloc(extent.size);
      const { bytesRead } = await handle.read(bytes, 0, extent.size, extent.offset);
      if (bytesRead !== extent.size) throw brokenArchive(archive, 'it became shorter while it was read');
      return bytes;
    } finally {
      await handle.close();
    }
  });
}

function requireVersion(archive: string, marker: Uint8Array): void {
  let version: unknown;
  try {
    const document = parseJsonDocument(marker, 'file oci-layout');
    version = isJsonObject(document) ? document['imageLayoutVersion'] : undefined;
  } catch (cause) {
    throw brokenArchive(archive, describeError(cause), { cause });
  }
  if (typeof version !== 'string' || !/^1\.[0-9]+\.[0-9]+$/.test(version)) {
    throw otherArchive(archive, 'an OCI image layout of another version than 1', { kind: 'use-newer-version' });
  }
}
