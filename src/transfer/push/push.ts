import { isTartletError } from '../../errors.ts';
import { markUnmodified, stateToMark } from '../../home/unmodified-marker.ts';
import { writePushRecord } from '../../home/push-record.ts';
import { VmFile } from '../../home/vm-directory.ts';
import { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import type { BlobIdentity } from '../../oci/descriptor.ts';
import { type EncodedChunk, flatManifest, stubConfig } from '../../oci/flat-manifest.ts';
import { MediaType } from '../../oci/media-type.ts';
import { formatPieceIndex } from '../../oci/piece-index.ts';
import type { RawManifest } from '../../registry/client.ts';
import type { BlobPusher, ManifestTarget } from '../../registry/contract.ts';
import type { DiskHistory } from './disk-history.ts';
import { tellingKept } from '../kept-blobs.ts';
import { storePieceReferrer } from '../piece-referrer.ts';
import { moveTags, requireDigest, storeManifest } from '../manifest-store.ts';
import type { Session } from '../../session/session.ts';
import { diskChanged, stateOfDisk } from '../../chunks/still-disk.ts';
import { type PushOptions, VmUpload } from './vm-upload.ts';

export { DISK_CHUNK_BYTES } from '../../chunks/disk-cut.ts';
export type { DiskHistory };
export type { PushOptions } from './vm-upload.ts';

const NO_TAG_MOVED = 'the blobs are in the registry, no tag was moved';

/** A VM directory to push; the caller holds its lock. */
export interface PushSource {
  readonly directory: string;
  /** What the stub config says of the VM. */
  readonly vm: { readonly os: string; readonly arch: string; readonly diskFormat: string };
  /** What goes up as the VM's configuration. */
  readonly config: Uint8Array;
  readonly history: DiskHistory;
  /** When it is pushed, for its manifest; absent for a reproducible one. */
  readonly uploadTime: Date | undefined;
}

/** What a push did in one repository. */
export interface PushOutcome {
  /** Every name that now leads to the image. */
  readonly names: readonly RemoteName[];
  readonly digest: Digest;
  /** The manifest as stored. */
  readonly manifest: Uint8Array;
  readonly uploadedBytes: number;
}

/**
 * Uploads a VM to one repository and gives it its names. Blobs that are there are not sent again, the manifest goes
 * last and its tags after it: a push that fails leaves every tag where it was.
 *
 * @param names all of one registry and repository; digest names are checked against what was pushed.
 * @throws TartletError of the registry client, `DISK_*`, `CHUNK_CORRUPT` when the disk changes meanwhile.
 */
export async function pushToRepository(
  session: Session,
  source: PushSource,
  names: readonly [RemoteName, ...RemoteName[]],
  options: PushOptions = {},
): Promise<PushOutcome> {
  const [name] = names;
  const client = await session.client(name, options.insecure ?? false);
  try {
    const upload = new VmUpload(session, client, name, options);
    const disk = `${source.directory}/${VmFile.disk}`;
    // A disk that is known is not read, and has its unmodified marker.
    const { unmodified } = source.history;
    const toMark = unmodified === undefined ? await stateToMark(source.directory, session.platform) : undefined;
    const before = await stateOfDisk(disk, 'push');
    let pieces: BlobIdentity | undefined;
    const send = async (): Promise<RawManifest> => {
      const parts = {
        stubConfig: await upload.bytes(stubConfig(source.vm, options.labels ?? new Map())),
        config: await upload.bytes(source.config),
        nvram: await upload.file(`${source.directory}/${VmFile.nvram}`),
        chunks: await upload.disk(disk, before, source.history),
        uploadTime: source.uploadTime,
      };
      pieces = options.pieces === true ? await upload.bytes(indexOf(parts.chunks)) : undefined;
      const bytes = flatManifest({ ...parts, pieces });
      if ((await stateOfDisk(disk, 'push')).written !== before.written) throw diskChanged(disk, 'push', NO_TAG_MOVED);
      const digest = Digest.of(bytes);
      requireDigest(names, digest, NO_TAG_MOVED);
      return { digest, bytes, mediaType: MediaType.ociManifest };
    };
    const manifest = await tellingKept(
      session.signal,
      () => upload.kept,
      async () =>
        storeManifest(client, await send(), session.signal, async (unknown) => {
          upload.distrust(unknown);
          // What the registry turned out not to have is encoded, perhaps to another blob than the one that was known.
          return send();
        }),
    );
    if (pieces !== undefined) await keepPieces(session, client, manifest, pieces, name);
    await moveTags(client, names, manifest, session.signal);
    await remember(session, source.directory, manifest, name, toMark === before.touched ? toMark : undefined);
    session.emit({ kind: 'finished', subject: name.toString() });
    return { names, digest: manifest.digest, manifest: manifest.bytes, uploadedBytes: upload.sentBytes };
  } finally {
    await client.close();
  }
}

function indexOf(chunks: readonly EncodedChunk[]): Uint8Array {
  return formatPieceIndex(
    chunks.flatMap(({ entries, ...chunk }) => (entries === undefined ? [] : [{ ...chunk, entries }])),
  );
}

/** The image can be pulled without its index: a registry that takes no such manifest makes the push no failure. */
async function keepPieces(
  { signal, emit }: Session,
  client: BlobPusher & ManifestTarget,
  manifest: RawManifest,
  pieces: BlobIdentity,
  name: RemoteName,
): Promise<void> {
  try {
    await storePieceReferrer(client, manifest, pieces, signal);
  } catch (error) {
    if (!isTartletError(error) || signal.aborted) throw error;
    const text =
      `the registry may lose the piece index of ${name.toString()}, ` +
      `because it did not take the manifest that keeps it: ${error.message}`;
    emit({ kind: 'note', subject: name.toString(), text });
  }
}

/**
 * Keeps what the next push of the VM can do without. It saves time, and is worth no failure: everything is in the
 * registry.
 *
 * @param state of the disk before it was read; undefined for a disk that is not to be marked as unmodified.
 */
async function remember(
  { platform }: Session,
  directory: string,
  { bytes }: RawManifest,
  name: RemoteName,
  state: string | undefined,
): Promise<void> {
  try {
    const recorded = await writePushRecord(directory, bytes, name);
    if (recorded !== undefined && state !== undefined) await markUnmodified(directory, recorded, platform, state);
  } catch (error) {
    if (!isTartletError(error)) throw error;
  }
}
