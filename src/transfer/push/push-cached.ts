import { TartletError } from '../../errors.ts';
import type { CachedImage } from '../../home/images/image-cache.ts';
import { openPlainFile } from '../../fs/plain-file.ts';
import { readSmallFileIfThere } from '../../fs/small-file.ts';
import { VmFile } from '../../home/vm-directory.ts';
import { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { MAX_MANIFEST_BYTES, parseManifest } from '../../oci/manifest.ts';
import { MediaType } from '../../oci/media-type.ts';
import type { BlobSource } from '../../registry/client.ts';
import type { ManifestSource } from '../../registry/contract.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { fileBytes } from '../../chunks/file-blob.ts';
import { copyTree } from '../copy/image-copy.ts';
import { requireDigest } from '../manifest-store.ts';
import { type NamedManifest, resolveManifest } from '../manifest-tree.ts';
import { DEFAULT_CONCURRENCY } from '../../session/concurrency.ts';
import type { PushOptions, PushOutcome } from './push.ts';
import type { Session } from '../../session/session.ts';

/** Blobs that the cache has as they are, each in one file. A disk it has decoded only. */
const CACHED_FILES = new Map<string, string>([
  [MediaType.tartConfig, VmFile.config],
  [MediaType.tartNvram, VmFile.nvram],
]);

/**
 * Sends a cached image to one repository under its own manifest, byte for byte, so that its digest stays what it was
 * (tart-cli §7 #43). Blobs that the target lacks are mounted, taken from the cache, or streamed from the registry that
 * the image came from, which is not contacted when nothing is missing. The caller holds the image's lock.
 *
 * @param names all of one repository.
 * @throws TartletError of both registries; every tag is then where it was.
 */
export async function pushCachedImage(
  session: Session,
  image: CachedImage,
  names: readonly [RemoteName, ...RemoteName[]],
  options: PushOptions,
): Promise<PushOutcome> {
  const [name] = names;
  requireDigest(names, image.digest, 'nothing was sent');
  const isOneRegistry = image.name.registry.equals(name.registry);
  const insecure = options.insecure ?? false;
  // `--insecure` is about where the image goes. Where it came from has TLS, unless it is the same registry.
  const source = await session.source(image.name, insecure && isOneRegistry);
  const shared = isOneRegistry ? source.named?.sibling(name.repository) : undefined;
  const target = shared ?? (await session.client(name, insecure));
  try {
    const node = await originalManifest(session, image, source);
    const route = {
      source,
      target,
      subject: name.toString(),
      concurrency: options.concurrency ?? DEFAULT_CONCURRENCY,
      uploadChunkBytes: options.uploadChunkBytes,
      atHand: async (blob: Descriptor) => fromCache(image, blob),
      explainSource: (error: unknown) => explain(image, 'blobs', error),
    };
    const uploadedBytes = await copyTree(session, route, [node], names);
    session.emit({ kind: 'finished', subject: name.toString() });
    return { names, digest: node.digest, manifest: node.manifest.bytes, uploadedBytes };
  } finally {
    await source.close();
    if (shared === undefined) await target.close();
  }
}

/**
 * The manifest whose bytes have the image's digest: the cached one, or where an old Tart wrote its own version of it,
 * or none, the one in the registry (tart-formats §1.6).
 */
async function originalManifest(session: Session, image: CachedImage, source: ManifestSource): Promise<NamedManifest> {
  const cached = await smallFile(`${image.directory.path}/${VmFile.manifest}`, MAX_MANIFEST_BYTES);
  if (cached !== undefined && Digest.of(cached, image.digest.algorithm).equals(image.digest)) {
    return { digest: image.digest, manifest: parseManifest(cached) };
  }
  try {
    return await resolveManifest(source, image.name.withDigest(image.digest), session.signal);
  } catch (error) {
    throw explain(image, 'the original manifest', error);
  }
}

/** A blob as the cache has it: believed only after it was hashed, because Tart changes files of its cache in place. */
async function fromCache(image: CachedImage, blob: Descriptor): Promise<BlobSource | undefined> {
  const file = CACHED_FILES.get(blob.mediaType);
  if (file === undefined) return undefined;
  const path = `${image.directory.path}/${file}`;
  const found = await Digest.ofPieces((await openPlainFile(path)).createReadStream(), blob.digest.algorithm);
  if (!found.digest.equals(blob.digest) || found.size !== blob.size) return undefined;
  return {
    digest: blob.digest,
    size: blob.size,
    open: (from, to) => fileBytes(path, from, to),
  };
}

async function smallFile(path: string, limit: number): Promise<Uint8Array | undefined> {
  const bytes = await readSmallFileIfThere(path);
  return bytes === undefined || bytes.length > limit ? undefined : bytes;
}

/** The same error, with what it keeps us from and with the way that needs no source. */
function explain(image: CachedImage, what: string, error: unknown): unknown {
  if (!(error instanceof TartletError) || error.code === 'INTERRUPTED') return error;
  const name = image.name.toString();
  return new TartletError(
    error.code,
    `${what} of ${name} must come from ${image.name.registry.toString()}: ${error.message}`,
    {
      ...error.facts,
      kept: 'no tag was moved',
      next: { kind: 'push-a-clone', registry: image.name.registry.toString(), image: name },
      cause: error,
    },
  );
}
