import type { MeddlingRegistry } from './meddling-registry.ts';
import type { TinyImage } from './tart-image.ts';

/** Puts a whole image into a registry. */
export async function plantInRegistry(
  registry: MeddlingRegistry,
  repository: string,
  tag: string,
  image: TinyImage,
): Promise<void> {
  for (const [digest, bytes] of image.blobs) await registry.pushBlob(repository, bytes, digest);
  await registry.pushManifest(repository, tag, image.manifest, 'application/vnd.oci.image.manifest.v1+json');
}
