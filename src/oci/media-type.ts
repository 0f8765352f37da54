/** Media types of the OCI image spec, of Docker's second schema, of Tart's layers (tart-formats §4.1); two are ours. */
export const MediaType = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  tartConfig: 'application/vnd.cirruslabs.tart.config.v1',
  tartDisk: 'application/vnd.cirruslabs.tart.disk.v2',
  tartOverlay: 'application/vnd.cirruslabs.tart.disk.asif.overlay.v1',
  tartNvram: 'application/vnd.cirruslabs.tart.nvram.v1',
  /** Refused by Tart since 2.32.0, and by us: one stream cut without regard to blocks (tart-formats §4.9). */
  tartLegacyDisk: 'application/vnd.cirruslabs.tart.disk.v1',
  /** Vetu's images share registries with Tart's; we only name them in errors. */
  vetuConfig: 'application/vnd.cirruslabs.vetu.config.v1',
  /** Ours: where the pieces of a disk are (`oci/piece-index.ts`). */
  pieces: 'application/vnd.tartlet.pieces.v1',
  /** Ours: in which order a guest touches a disk (`oci/boot-order.ts`). */
  bootOrder: 'application/vnd.tartlet.boot-order.v1+json',
} as const;

/** The bare type of a `Content-Type` value: parameters dropped, lower case (reliability Q18). */
export function bareMediaType(header: string): string {
  return (header.split(';')[0] ?? '').trim().toLowerCase();
}

export function isImageManifestType(mediaType: string): boolean {
  return mediaType === MediaType.ociManifest || mediaType === MediaType.dockerManifest;
}

export function isIndexType(mediaType: string): boolean {
  return mediaType === MediaType.ociIndex || mediaType === MediaType.dockerList;
}

/** What a registry is asked for with a manifest: every kind that is understood. */
export const MANIFEST_TYPES: readonly string[] = [
  MediaType.ociManifest,
  MediaType.ociIndex,
  MediaType.dockerManifest,
  MediaType.dockerList,
];

/**
 * Layers that images name and registries need not have: they are fetched from elsewhere (image spec § non-distributable
 * layers).
 */
export function isNonDistributable(mediaType: string): boolean {
  return /\.(?:nondistributable|foreign)\./.test(mediaType);
}
