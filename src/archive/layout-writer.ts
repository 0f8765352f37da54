import { Digest } from '../names/digest.ts';
import type { BlobIdentity } from '../oci/descriptor.ts';
import { MediaType } from '../oci/media-type.ts';
import type { ArchiveSink } from './archive-sink.ts';
import { blobFile, LAYOUT_MARKER, LayoutFile, REF_NAME } from './layout-file.ts';
import { TarWriter } from './tar-writer.ts';

/**
 * Writes an OCI image layout as a tar file: marker, blobs, and the index last, since it needs the digest of all. Each
 * blob is there once.
 */
export class LayoutWriter {
  readonly #tar: TarWriter;
  readonly #blobs = new Set<string>();
  #written = 0;

  constructor(sink: ArchiveSink) {
    this.#tar = new TarWriter({
      write: async (bytes) => {
        await sink.write(bytes);
        this.#written += bytes.length;
      },
    });
  }

  async begin(): Promise<void> {
    await this.#file(LayoutFile.marker, LAYOUT_MARKER);
    // Some tools unpack an archive first, and not all of them make the directories by themselves.
    await this.#tar.directory('blobs');
    await this.#tar.directory('blobs/sha256');
  }

  async #file(name: string, text: string): Promise<void> {
    const bytes = Buffer.from(text);
    await this.#tar.file(name, bytes.length, [bytes]);
  }

  /** Adds a blob from memory. */
  async bytes(bytes: Uint8Array): Promise<BlobIdentity> {
    const blob = { digest: Digest.of(bytes), size: bytes.length };
    await this.blob(blob, () => [bytes]);
    return blob;
  }

  /** Adds a blob unless it is there. @param content opens it; exactly the bytes that the digest names. */
  async blob(blob: BlobIdentity, content: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    const file = blobFile(blob.digest);
    if (this.#blobs.has(file)) return;
    this.#blobs.add(file);
    await this.#tar.file(file, blob.size, content());
  }

  /** Writes the index of the one image. @returns bytes of the whole archive. */
  async end(
    manifest: BlobIdentity & { readonly mediaType: string; readonly refName: string | undefined },
  ): Promise<number> {
    const index = {
      schemaVersion: 2,
      mediaType: MediaType.ociIndex,
      manifests: [
        {
          mediaType: manifest.mediaType,
          digest: manifest.digest.toString(),
          size: manifest.size,
          ...(manifest.refName === undefined ? {} : { annotations: { [REF_NAME]: manifest.refName } }),
        },
      ],
    };
    await this.#file(LayoutFile.index, JSON.stringify(index));
    await this.#tar.end();
    return this.#written;
  }
}
