import { isTartletError, TartletError } from '../errors.ts';
import type { CachedImage } from '../home/images/image-cache.ts';
import { holdImage, TO_READ } from '../home/images/image-lock.ts';
import { readSmallFileIfThere } from '../fs/small-file.ts';
import { isSuspended, type VmDirectory, VmFile } from '../home/vm-directory.ts';
import { LocalName } from '../names/local-name.ts';
import { RemoteName } from '../names/remote-name.ts';
import { parseManifest, requireImage } from '../oci/manifest.ts';
import { parseTartImage, type TartImage } from '../oci/tart-image.ts';
import { tellOfChangedDisk } from '../transfer/push/changed-disk.ts';
import type { Session } from '../session/session.ts';
import { requireWholeVm } from '../lazy-disk/arrival/whole-vm.ts';

/** What the manifest in the cache says of an image. */
export interface SourceManifest {
  readonly image: TartImage;
  /** Whether it is the very manifest that the image's digest names. */
  readonly isOriginal: boolean;
  readonly uploadTime: Date | undefined;
}

/** A VM or a cached image that no other process can change before it is released. */
export interface ExportSource {
  /** Canonical text, for messages and events. */
  readonly name: string;
  readonly directory: string;
  readonly suspended: boolean;
  /** What tools will know the image by; undefined: only by its digest. */
  readonly refName: string | undefined;
  /** Absent for local VMs and for images of old Tarts. */
  readonly manifest: SourceManifest | undefined;
  /** Does something with its files. That it was deleted meanwhile is told as what it is. */
  whileThere<T>(work: () => Promise<T>): Promise<T>;
  release(): Promise<void>;
}

/**
 * @throws TartletError `VM_NOT_FOUND` also for an image that is not cached, `BUSY` for a running VM, `NEEDS_MACOS` for
 * stacked ones, `STORE_DAMAGED`
 */
export async function openExportSource(session: Session, text: string): Promise<ExportSource> {
  return RemoteName.looksRemote(text)
    ? openImage(session, RemoteName.parse(text))
    : openVm(session, LocalName.ofExisting(text));
}

async function openVm(session: Session, name: LocalName): Promise<ExportSource> {
  const vm = await requireWholeVm(session, name, { what: 'exported' });
  requireStandalone(vm.directory, name.text);
  const lock = await session.vms.holdForReading(vm);
  await session.vms.touch(vm, session.now());
  return {
    name: name.text,
    directory: vm.directory.path,
    suspended: isSuspended(vm.directory),
    refName: refNameOf(name),
    manifest: undefined,
    whileThere: async (work) => session.vms.whileThere(vm, work),
    release: async () => lock?.release(),
  };
}

async function openImage(session: Session, name: RemoteName): Promise<ExportSource> {
  const image = await session.images.require(name, 'read');
  const held = await holdImage(session.images, image.digest, { ...TO_READ, signal: session.signal }, async () => {
    await session.images.require(name.withDigest(image.digest), 'read');
    requireStandalone(image.directory, name.toString());
    return readManifest(image);
  });
  await session.images.touch(image.directory.path, session.now());
  tellOfChangedDisk(
    session,
    { text: name.toString(), directory: image.directory.path, digest: image.digest },
    'what it is now is exported',
  );
  return {
    name: name.toString(),
    directory: image.directory.path,
    suspended: false,
    refName: name.tag?.text,
    manifest: held.seen,
    whileThere: async (work) => work(), // Its lock keeps it there.
    release: held.release,
  };
}

/** Old Tarts kept no manifest, and some a re-encoded one, which says the same of the chunks (tart-formats §1.6). */
async function readManifest({ directory, digest, name }: CachedImage): Promise<SourceManifest | undefined> {
  const file = `${directory.path}/${VmFile.manifest}`;
  const bytes = await readSmallFileIfThere(file);
  if (bytes === undefined) return undefined;
  try {
    const image = parseTartImage(requireImage(parseManifest(bytes), name.toString()), name.toString());
    const uploadTime = new Date(image.uploadTime ?? Number.NaN);
    return {
      image,
      isOriginal: image.manifest.digest.equals(digest),
      uploadTime: Number.isNaN(uploadTime.getTime()) ? undefined : uploadTime,
    };
  } catch (cause) {
    if (!isTartletError(cause)) throw cause;
    throw new TartletError('STORE_DAMAGED', `${file} is damaged: ${cause.message}`, {
      subject: file,
      next: { kind: 'pull-anew', image: name.toString(), meant: 'image' },
      cause,
    });
  }
}

/** A local name in the grammar of references (image-spec, annotations.md): words with single signs between them. */
function refNameOf(name: LocalName): string | undefined {
  const words = name.text.match(/[A-Za-z0-9]+(?:[-._][A-Za-z0-9]+)*/g);
  return words
    ?.join('-')
    .slice(0, 128)
    .replace(/[-._]+$/, '');
}

function requireStandalone(directory: VmDirectory, name: string): void {
  if (directory.layout === 'standalone') return;
  throw new TartletError('NEEDS_MACOS', `${name} is stacked: only macOS 27 can read its disk`, {
    subject: name,
    next: { kind: 'export-with-tart' },
  });
}
