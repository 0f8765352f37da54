import { describeError, TartletError } from '../errors.ts';
import type { ContentStore } from '../home/content/content-store.ts';
import { measureDirectory } from '../home/prune/footprint.ts';
import { hasMark } from '../home/images/image-mark.ts';
import { lastUse } from '../home/last-use.ts';
import { type Origin, readOrigin } from '../home/origin.ts';
import { readSmallFileIfThere } from '../fs/small-file.ts';
import { readAsOne } from '../home/still-there.ts';
import { SavedState } from '../home/home-entry.ts';
import { statIfThere } from '../fs/stats.ts';
import { VmFile, type VmDirectory, type VmLayout } from '../home/vm-directory.ts';
import type { VmState } from '../home/vms/local-vms.ts';
import { Digest } from '../names/digest.ts';
import { LocalName } from '../names/local-name.ts';
import { RemoteName } from '../names/remote-name.ts';
import { type ImageManifest, parseManifest, requireImage } from '../oci/manifest.ts';
import { allChunks, parseTartImage, type StackedImage, stackedFiles, transferBytes } from '../oci/tart-image.ts';
import { askForManifest } from '../transfer/pull/asked-image.ts';
import type { Session } from '../session/session.ts';
import { type InspectedRun, inspectRun } from './inspect-run.ts';

/** One file of a stacked disk. */
export interface InspectedFile {
  readonly role: 'base' | 'overlay';
  readonly digest: string;
  /** Bytes of the file, decoded. */
  readonly bytes: number;
  readonly chunks: number;
  /** Whether the content store of this machine has it; undefined when only the registry was asked. */
  readonly isStored: boolean | undefined;
}

/** What a manifest says of an image, in integers of bytes. */
export interface InspectedManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly layout: 'flat' | 'stacked';
  readonly uploadTime: string | undefined;
  /** Bytes of the decoded disk; of a stacked one, as the guest sees it. */
  readonly diskBytes: number;
  /** What a stacked disk consists of, bottom to top; undefined for flat ones. */
  readonly stack: readonly InspectedFile[] | undefined;
  /** Bytes of all blobs, each counted once. */
  readonly transferBytes: number;
  readonly chunks: number;
  readonly layers: readonly { readonly mediaType: string; readonly digest: string; readonly size: number }[];
}

/** Everything that is known about a name. `schema` changes only when a field changes its meaning. */
export type Inspection = {
  readonly schema: 'tartlet.inspect/v1';
  readonly name: string;
} & (
  | {
      readonly kind: 'remote';
      /** The digest that the name leads to, when that is an index; `manifest` is of the one VM image in it. */
      readonly index: string | undefined;
      /** Where the manifest came from, `host[:port]/repository`: a mirror, or the registry of the name. */
      readonly servedBy: readonly string[];
      readonly manifest: InspectedManifest;
    }
  | {
      readonly kind: 'local' | 'cached';
      readonly path: string;
      readonly layout: VmLayout;
      readonly state: VmState;
      /** Absent where it does not run, or another program runs it. */
      readonly run: InspectedRun | undefined;
      /** Of the memory that it goes on from, in bytes; absent where it is not suspended, or was by Tart. */
      readonly savedMemoryBytes: number | undefined;
      /** Bytes of its files, those of a stacked disk in the content store included. */
      readonly logicalBytes: number;
      /** Of the disk blocks that they have. */
      readonly allocatedBytes: number;
      /** Those of them that others have too; null where that cannot be told. */
      readonly sharedBytes: number | null;
      /** What deleting it alone would make free. */
      readonly reclaimableBytes: number | null;
      /** ISO 8601. */
      readonly lastUsed: string | undefined;
      /** Whether it was pinned; undefined for local VMs, which nothing but `prune --entries vms` takes. */
      readonly pinned: boolean | undefined;
      readonly origin: Origin | undefined;
      /** Absent for local VMs and for images of old Tarts, which kept none. */
      readonly manifest: InspectedManifest | undefined;
      readonly digest: string | undefined;
      /**
       * Whether `manifest.json` hashes to the digest; false is normal for images that Tart 2.14–2.35 re-encoded
       * (tart-formats §1.6).
       */
      readonly manifestIsOriginal: boolean | undefined;
    }
);

/**
 * @param where `remote` asks the registry although the image may be cached.
 * @throws TartletError `VM_NOT_FOUND`, `NAME_MALFORMED` for the name of a local VM where a registry is to be asked, or
 * of the registry client.
 */
export async function inspect(
  session: Session,
  text: string,
  options: { where: 'here' | 'remote'; insecure: boolean },
): Promise<Inspection> {
  if (options.where === 'here' && !RemoteName.looksRemote(text))
    return inspectLocal(session, LocalName.ofExisting(text));
  const name = RemoteName.parse(text);
  return options.where === 'remote' ? inspectRemote(session, name, options.insecure) : inspectCached(session, name);
}

async function inspectLocal(session: Session, name: LocalName): Promise<Inspection> {
  return readAsOne(
    async () => session.vms.require(name),
    async (vm) => ({
      ...(await inspectDirectory(session, vm.directory, undefined, name.text)),
      schema: 'tartlet.inspect/v1',
      name: name.text,
      kind: 'local',
      state: await session.vms.state(vm),
      run: await inspectRun(vm.directory.path),
      savedMemoryBytes: (await statIfThere(`${vm.directory.path}/${SavedState.memory}`))?.size,
    }),
  );
}

async function inspectCached(session: Session, name: RemoteName): Promise<Inspection> {
  return readAsOne(
    async () => session.images.require(name, 'inspect'),
    async ({ directory, digest }) => ({
      ...(await inspectDirectory(session, directory, digest, name.toString())),
      schema: 'tartlet.inspect/v1',
      name: name.toString(),
      kind: 'cached',
      state: 'stopped',
      run: undefined,
      savedMemoryBytes: undefined,
    }),
  );
}

async function inspectDirectory(
  session: Session,
  directory: VmDirectory,
  digest: Digest | undefined,
  name: string,
): Promise<DirectoryFacts> {
  const bytes = await readManifest(directory.path);
  const manifest = bytes === undefined ? undefined : requireImage(parseManifest(bytes), name);
  const footprint = await measureDirectory(session, directory.path);
  return {
    path: directory.path,
    layout: directory.layout,
    logicalBytes: footprint.logicalBytes,
    allocatedBytes: footprint.allocatedBytes,
    sharedBytes: footprint.sharedBytes ?? null,
    reclaimableBytes: footprint.reclaimableBytes ?? null,
    lastUsed: lastUse(directory.path, session)?.toISOString(),
    pinned: digest === undefined ? undefined : await hasMark(directory.path, 'pinned'),
    origin: await readOrigin(directory.path),
    manifest: manifest === undefined ? undefined : await describeManifest(manifest, name, session.contents),
    digest: digest?.toString(),
    manifestIsOriginal: digest === undefined || bytes === undefined ? undefined : digest.equals(Digest.of(bytes)),
  };
}

type DirectoryFacts = Omit<
  Extract<Inspection, { kind: 'local' | 'cached' }>,
  'schema' | 'name' | 'kind' | 'state' | 'run' | 'savedMemoryBytes'
>;

async function readManifest(directory: string): Promise<Uint8Array | undefined> {
  try {
    return await readSmallFileIfThere(`${directory}/${VmFile.manifest}`);
  } catch (cause) {
    throw new TartletError('STORE_DAMAGED', describeError(cause), {
      subject: directory,
      next: { kind: 'make-readable-or-run-doctor' },
      cause,
    });
  }
}

async function inspectRemote(session: Session, name: RemoteName, insecure: boolean): Promise<Inspection> {
  const source = await session.source(name, insecure);
  try {
    const raw = await askForManifest(session, name, source);
    const manifest = requireImage(parseManifest(raw.bytes, raw.mediaType), name.toString());
    return {
      schema: 'tartlet.inspect/v1',
      name: name.toString(),
      kind: 'remote',
      index: raw.index?.toString(),
      servedBy: source.servedBy,
      manifest: await describeManifest(manifest, name.toString(), undefined),
    };
  } finally {
    await source.close();
  }
}

async function describeManifest(
  manifest: ImageManifest,
  name: string,
  contents: ContentStore | undefined,
): Promise<InspectedManifest> {
  const image = parseTartImage(manifest, name);
  const chunks = allChunks(image);
  const isStacked = image.layout === 'stacked';
  return {
    digest: manifest.digest.toString(),
    mediaType: manifest.mediaType,
    layout: image.layout,
    uploadTime: image.uploadTime,
    diskBytes: (isStacked ? image.guestDiskBytes : undefined) ?? image.base.size,
    stack: isStacked ? await describeStack(image, contents) : undefined,
    transferBytes: transferBytes(image),
    chunks: chunks.length,
    layers: manifest.layers.map(({ mediaType, digest, size }) => ({ mediaType, digest: digest.toString(), size })),
  };
}

async function describeStack(image: StackedImage, contents: ContentStore | undefined): Promise<InspectedFile[]> {
  const described: InspectedFile[] = [];
  for (const [level, file] of stackedFiles(image).entries()) {
    described.push({
      role: level === 0 ? 'base' : 'overlay',
      digest: file.fileDigest.toString(),
      bytes: file.size,
      chunks: file.chunks.length,
      isStored: await contents?.holds(file),
    });
  }
  return described;
}
