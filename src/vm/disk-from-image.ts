import { createReadStream } from 'node:fs';
import path from 'node:path';
import { convertQcow2 } from '../cloud-image/convert.ts';
import { download } from '../cloud-image/download.ts';
import { archsOnDisk } from '../cloud-image/guest-arch.ts';
import { type ImageKind, KIND_BYTES, kindOfImage } from '../cloud-image/image-kind.ts';
import { qcow2DiskBytes } from '../cloud-image/qcow2-header.ts';
import { tooLarge } from '../cloud-image/sparse-file.ts';
import { unpackFile } from '../cloud-image/unpack.ts';
import { TartletError } from '../errors.ts';
import { copyDisk } from '../fs/disk/disk-copy.ts';
import { sizeDisk } from '../fs/disk/disk-size.ts';
import { onDisk } from '../fs/disk-error.ts';
import { moveEntry } from '../fs/entry.ts';
import { fsyncFile } from '../fs/fsync.ts';
import { openDisk } from '../fs/plain-file.ts';
import { removeEntry } from '../fs/remove.ts';
import { statIfThere } from '../fs/stats.ts';
import { Digest } from '../names/digest.ts';
import { isLoopbackHost } from '../names/ip-address.ts';
import { redactUrl } from '../registry/request/redact.ts';
import type { Session } from '../session/session.ts';
import type { Arch } from './config.ts';

/** Where an image is. */
export type ImageSource =
  | { readonly kind: 'file'; readonly path: string }
  /** `http` only with a digest, or from this machine. */
  | { readonly kind: 'web'; readonly url: URL };

/** Which cloud image a VM begins with, and what becomes of it. */
export interface FromImageOptions {
  readonly source: ImageSource;
  /** What the publisher says of the file, packed as it is: `sha256:…` or `sha512:…`. Default: it is not checked. */
  readonly digest?: string | undefined;
  /** Bytes that the disk shall have; those of the image at least. */
  readonly diskBytes: number;
  /** For a disk that does not say, or has something to start for both. */
  readonly arch?: Arch | undefined;
  /** Of this machine: taken of two that a disk has something to start for. */
  readonly hostArch?: Arch | undefined;
}

/** Beside the disk while it is being made. */
const FETCHED = 'image.fetched';
const UNPACKED = 'image.unpacked';

/** A file with an image, and whether it is ours to move. */
interface ImageFile {
  readonly path: string;
  readonly isOurs: boolean;
  /** For messages. */
  readonly name: string;
}

/**
 * Makes the disk of a VM from a cloud image.
 *
 * @param directory for what is there only meanwhile.
 * @returns for which processors it is.
 */
export async function diskFromImage(
  session: Session,
  options: FromImageOptions,
  disk: string,
  directory: string,
): Promise<Arch> {
  const fetched = await fetchImage(session, options, `${directory}/${FETCHED}`);
  const [image, kind] = await unpacked(session, fetched, options.diskBytes, `${directory}/${UNPACKED}`);
  await writeDisk(session, image, kind, options.diskBytes, disk);
  for (const left of [FETCHED, UNPACKED]) await removeEntry(`${directory}/${left}`);
  const { size } = await statOf(disk, image.name);
  if (size > options.diskBytes) throw tooLarge(image.name, options.diskBytes);
  const arch = chooseArch(await archsOnDisk(disk), options, image.name);
  await sizeDisk(disk, options.diskBytes);
  await fsyncFile(disk);
  return arch;
}

async function fetchImage(session: Session, options: FromImageOptions, to: string): Promise<ImageFile> {
  const { source } = options;
  const digest = options.digest === undefined ? undefined : Digest.parse(options.digest);
  if (source.kind === 'file') {
    const name = path.basename(source.path);
    await statOf(source.path, name);
    if (digest !== undefined) await requireDigest(source.path, digest, session.signal);
    return { path: source.path, isOurs: false, name };
  }
  const { url } = source;
  refuseUnsafe(url, digest);
  await download(session, { url, digest, diskBytes: options.diskBytes }, to);
  return { path: to, isOurs: true, name: redactUrl(url) };
}

/** What comes in the clear can be another's by the time it is here: then only a digest tells. */
function refuseUnsafe(url: URL, digest: Digest | undefined): void {
  const subject = redactUrl(url);
  if (url.username !== '' || url.password !== '') {
    throw new TartletError('USAGE', 'an address with a user in it ends up in logs', {
      subject,
      next: { kind: 'check-image-address' },
    });
  }
  if (url.protocol === 'https:' || digest !== undefined || isLoopbackHost(url.hostname)) return;
  throw new TartletError('USAGE', `${subject} would come without TLS, and anyone on the way could change it`, {
    subject,
    next: { kind: 'give-digest-or-https' },
  });
}

async function requireDigest(file: string, digest: Digest, signal: AbortSignal): Promise<void> {
  const pieces = createReadStream(file, { signal, highWaterMark: 1024 * 1024 }) as AsyncIterable<Uint8Array>;
  const { digest: found } = await onDisk('read', file, async () => Digest.ofPieces(pieces, digest.algorithm));
  if (found.equals(digest)) return;
  throw new TartletError('DIGEST_MISMATCH', `${file} is not the image that its digest is of`, {
    subject: file,
    expected: digest.toString(),
    found: found.toString(),
    kept: 'nothing was made',
    next: { kind: 'check-image-digest' },
  });
}

/** One layer of packing at most: more of them would be an attack on time and memory. */
async function unpacked(
  session: Session,
  image: ImageFile,
  diskBytes: number,
  to: string,
): Promise<readonly [ImageFile, Exclude<ImageKind, { kind: 'packed' }>]> {
  const kind = kindOfImage(await headOf(image.path), image.name);
  if (kind.kind !== 'packed') return [image, kind];
  const options = { diskBytes, name: image.name, signal: session.signal };
  await unpackFile(image.path, kind.by, to, options);
  const inner = kindOfImage(await headOf(to), image.name);
  if (inner.kind !== 'packed') return [{ path: to, isOurs: true, name: image.name }, inner];
  throw new TartletError('MEDIA_UNSUPPORTED', `no VM can be made from ${image.name}: it is packed twice`, {
    subject: image.name,
    kept: 'nothing was made',
    next: { kind: 'choose-cloud-image' },
  });
}

async function writeDisk(
  session: Session,
  image: ImageFile,
  { kind }: Exclude<ImageKind, { kind: 'packed' }>,
  diskBytes: number,
  disk: string,
): Promise<void> {
  if (kind === 'raw') {
    if (image.isOurs) await moveEntry(image.path, disk);
    else await copyDisk(image.path, disk, session);
    return;
  }
  // Before anything of it is read by another program.
  if (qcow2DiskBytes(await headOf(image.path), image.name) > diskBytes) throw tooLarge(image.name, diskBytes);
  const { environment, signal } = session;
  await convertQcow2(image.path, disk, { name: image.name, searchPath: environment['PATH'] ?? '', signal });
}

function chooseArch(found: readonly Arch[], { arch, hostArch }: FromImageOptions, name: string): Arch {
  const [first, second] = found;
  const facts = { subject: name, kept: 'nothing was made', next: { kind: 'choose-arch' } } as const;
  if (first === undefined) {
    if (arch !== undefined) return arch;
    throw new TartletError(
      'USAGE',
      `${name} does not say for which processors it is: UEFI finds nothing to start`,
      facts,
    );
  }
  if (arch !== undefined) {
    if (found.includes(arch)) return arch;
    throw new TartletError('USAGE', `${name} is for ${first}, and not for ${arch}`, { ...facts, found: first });
  }
  if (second === undefined) return first;
  if (hostArch !== undefined && found.includes(hostArch)) return hostArch;
  throw new TartletError('USAGE', `${name} is for several processors`, facts);
}

async function headOf(file: string): Promise<Buffer> {
  return onDisk('read', file, async () => {
    const handle = await openDisk(file);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(KIND_BYTES), 0, KIND_BYTES, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  });
}

async function statOf(file: string, name: string): Promise<{ readonly size: number }> {
  const stats = await statIfThere(file);
  if (stats?.isFile() === true) return stats;
  const [code, why] =
    stats === undefined ? (['NOT_FOUND', 'does not exist'] as const) : (['DISK_UNSUPPORTED', 'is no file'] as const);
  throw new TartletError(code, `the image ${file} ${why}`, {
    subject: name,
    kept: 'nothing was made',
    next: { kind: 'choose-cloud-image' },
  });
}
