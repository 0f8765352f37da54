import type { TinyImage } from './tart-image.ts';

/** One entry of a tar file, with everything that can be wrong about it. Nothing here comes from `src`. */
export interface TarEntry {
  readonly name: string;
  readonly content?: Uint8Array;
  /** `0` file, `5` directory, `2` symlink … */
  readonly type?: string;
  /** What the header says; default: the truth. */
  readonly size?: number | bigint;
  readonly linkName?: string;
  /** The field that POSIX puts before the name. */
  readonly prefix?: string;
  /** Default `ustar` of POSIX; `gnu` writes `ustar  ` and large sizes in binary. */
  readonly format?: 'posix' | 'gnu';
}

/** A tar file as POSIX.1 describes it, with its end. */
export function tarFile(entries: readonly TarEntry[], end: Uint8Array = Buffer.alloc(1024)): Buffer {
  return Buffer.concat([...entries.map(tarEntry), end]);
}

export function tarEntry(entry: TarEntry): Buffer {
  const content = entry.content ?? new Uint8Array();
  return Buffer.concat([tarHeaderOf(entry), content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

export function tarHeaderOf(entry: TarEntry): Buffer {
  const header = Buffer.alloc(512);
  const size = entry.size ?? entry.content?.length ?? 0;
  header.write(entry.name, 0, 100, 'utf8');
  header.write('0000644\0', 100);
  header.write('0001750\0', 108);
  header.write('0001750\0', 116);
  if (entry.format === 'gnu') {
    header[124] = 0x80;
    header.writeBigUInt64BE(BigInt(size), 128);
  } else {
    header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  }
  header.write('14600000000\0', 136);
  header.write(' '.repeat(8), 148);
  header.write(entry.type ?? '0', 156);
  header.write(entry.linkName ?? '', 157, 100, 'utf8');
  header.write(entry.format === 'gnu' ? 'ustar  \0' : 'ustar\x0000', 257, 'latin1');
  header.write(entry.prefix ?? '', 345, 155, 'utf8');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

/** A pax header with these records, each given as `key=value`. */
export function paxEntry(type: 'x' | 'g', ...records: readonly string[]): TarEntry {
  const lines = records.map((record) => {
    let length = record.length + 3;
    while (`${length} ${record}\n`.length !== length) length += 1;
    return `${length} ${record}\n`;
  });
  return { name: 'PaxHeaders/0', type, content: Buffer.from(lines.join('')) };
}

/** The files of an OCI image layout, by name. */
export type LayoutFiles = Readonly<Record<string, Uint8Array>>;

export interface LayoutImageEntry {
  readonly image: TinyImage;
  /** `org.opencontainers.image.ref.name` */
  readonly ref?: string;
  /** Default: the image manifest's. */
  readonly mediaType?: string;
}

/** An OCI image layout with these images. */
export function layoutOf(...images: readonly LayoutImageEntry[]): LayoutFiles {
  const index = {
    schemaVersion: 2,
    manifests: images.map(({ image, ref, mediaType }) => ({
      mediaType: mediaType ?? 'application/vnd.oci.image.manifest.v1+json',
      digest: image.digest,
      size: image.manifest.length,
      ...(ref === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': ref } }),
    })),
  };
  const blobs = images.flatMap(({ image }) => [...image.blobs, [image.digest, image.manifest] as const]);
  return {
    'oci-layout': Buffer.from('{"imageLayoutVersion":"1.0.0"}'),
    'index.json': Buffer.from(JSON.stringify(index)),
    ...Object.fromEntries(blobs.map(([digest, bytes]) => [blobName(digest), bytes])),
  };
}

/** Where a blob lies in a layout. */
export function blobName(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/** A layout as entries, in the order of its files. */
export function layoutEntries(files: LayoutFiles): TarEntry[] {
  return Object.entries(files).map(([name, content]) => ({ name, content }));
}
