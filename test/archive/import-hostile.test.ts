import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { TartletError } from '../../src/errors.ts';
import { LocalName } from '../../src/names/local-name.ts';
import type { Session } from '../../src/session/session.ts';
import { importVm } from '../../src/archive/import.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { configJson, freshSession } from '../support/home.ts';
import {
  blobName,
  layoutEntries,
  type LayoutFiles,
  layoutOf,
  paxEntry,
  tarEntry,
  type TarEntry,
  tarFile,
  tarHeaderOf,
} from '../support/tar-file.ts';
import {
  configLayer,
  diskLayer,
  fakeDigest,
  json,
  nvramLayer,
  overlayLayer,
  type TinyImage,
  tinyImage,
  type TinyImageOptions,
} from '../support/tart-image.ts';

const NAME = LocalName.parse('vm');

function vmImage(options: TinyImageOptions = {}): TinyImage {
  return tinyImage({ config: Buffer.from(configJson()), ...options });
}

const image = vmImage();
const files = layoutOf({ image });
const entries = layoutEntries(files);
const [stub, config, firstChunk, secondChunk, nvram] = (() => {
  const manifest = JSON.parse(Buffer.from(image.manifest).toString()) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  const digests = [manifest.config, ...manifest.layers].map(({ digest }) => digest);
  return digests as [string, string, string, string, string];
})();

function written(bytes: Uint8Array): string {
  const file = `${temporaryDirectory()}/archive.tar`;
  writeFileSync(file, bytes);
  return file;
}

async function importPath(session: Session, file: string): Promise<unknown> {
  return importVm(session, { kind: 'path', path: file }, NAME);
}

function namesIn(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

async function expectRefused(file: string, code: string, message: string): Promise<void> {
  const session = freshSession();
  await expect(importPath(session, file)).rejects.toMatchObject({
    code,
    message: expect.stringContaining(message) as string,
  });
  expect([...namesIn(session.home.vmsDirectory), ...namesIn(session.home.scratchDirectory)]).toEqual([]);
}

/** Without one file, or with another content of it. */
function changed(digest: string, content?: (bytes: Buffer) => Uint8Array): LayoutFiles {
  const { [blobName(digest)]: bytes, ...others } = files;
  return content === undefined ? others : { ...others, [blobName(digest)]: content(Buffer.from(bytes ?? [])) };
}

function flipped(bytes: Buffer): Uint8Array {
  bytes.writeUInt8((bytes.at(-1) ?? 0) ^ 1, bytes.length - 1);
  return bytes;
}

describe('a tar file of containers is called so, and nothing of it is followed', () => {
  const id = 'a'.repeat(64);
  const manifest = { name: 'manifest.json', content: Buffer.from('[{"Config":"b.json","Layers":[]}]') };
  const layer = { name: `${id}/layer.tar`, content: Buffer.alloc(1024) };
  const link = { name: `${'c'.repeat(64)}/layer.tar`, type: '2', linkName: `../${id}/layer.tar` };

  it.each<[string, readonly TarEntry[]]>([
    ['docker save, where two images have a layer in common', [layer, link, manifest, { name: 'repositories' }]],
    ['docker save of one image', [layer, manifest]],
    ['podman save', [{ name: `${id}.tar` }, { ...link, linkName: `../${id}.tar` }, manifest]],
  ])('%s', async (_, saved) => {
    await expectRefused(written(tarFile(saved)), 'MEDIA_UNSUPPORTED', 'is an archive of docker save');
  });

  it('but a symlink in an image layout condemns it, whatever lies beside', async () => {
    await expectRefused(written(tarFile([...entries, manifest, link])), 'ARCHIVE_INVALID', 'it holds a symlink');
  });
});

describe('a tar file that reaches outside is refused as a whole (S24)', () => {
  it.each<[string, TarEntry, string]>([
    ['a name with ..', { name: '../../etc/passwd' }, 'under the name "../../etc/passwd", which leads elsewhere'],
    ['.. in the middle', { name: 'blobs/sha256/../../x' }, 'which leads elsewhere'],
    ['.. at the end', { name: 'blobs/..' }, 'which leads elsewhere'],
    ['an absolute name', { name: '/etc/passwd' }, 'under the name "/etc/passwd", which leads elsewhere'],
    ['an absolute name in two fields', { name: 'passwd', prefix: '/etc' }, 'under the name "/etc/passwd"'],
    ['a name that moves the cursor', { name: 'a\u001b[2Jb' }, 'under the name "a\\u001b[2Jb"'],
    ['a symbolic link', { name: 'blobs/sha256', type: '2', linkName: '/etc' }, 'it holds a symlink'],
    ['a hard link', { name: 'index.json', type: '1', linkName: '/etc/passwd' }, 'it holds a symlink'],
    ['a character device', { name: 'tty', type: '3' }, 'neither a file nor a directory'],
    ['a block device', { name: 'disk.img', type: '4' }, 'neither a file nor a directory'],
    ['a pipe', { name: 'index.json', type: '6' }, 'neither a file nor a directory'],
    ['a sparse file of GNU tar', { name: 'disk.img', type: 'S' }, 'neither a file nor a directory'],
    ['a directory in the place of a blob', { name: `${blobName(fakeDigest('a'))}/`, type: '5' }, 'is a directory'],
  ])('%s', async (_, entry, message) => {
    await expectRefused(written(tarFile([...entries, entry])), 'ARCHIVE_INVALID', message);
    await expectRefused(written(tarFile([entry, ...entries])), 'ARCHIVE_INVALID', message);
  });

  it.each<[string, readonly TarEntry[], string]>([
    ['a pax header that renames', [paxEntry('x', 'path=../../x'), { name: 'x' }], 'under the name "../../x"'],
    [
      'a long name of GNU tar',
      [{ name: '././@LongLink', type: 'L', content: Buffer.from('../x\0') }, { name: 'x' }],
      'under the name "../x"',
    ],
    ['a global header that renames', [paxEntry('g', 'path=index.json')], 'a global header in it sets the path'],
    ['a global header that resizes', [paxEntry('g', 'size=0')], 'a global header in it sets the size'],
    [
      'holes of GNU tar',
      [paxEntry('x', 'GNU.sparse.major=1', 'GNU.sparse.minor=0'), { name: 'x' }],
      'with holes left out',
    ],
    [
      'a broken pax header',
      [{ name: 'x', type: 'x', content: Buffer.from('999 path=x\n') }],
      'a pax header in it is damaged',
    ],
    [
      'a pax record without an end',
      [{ name: 'x', type: 'x', content: Buffer.from('8 path=x') }],
      'a pax header in it is damaged',
    ],
    [
      'a pax header of no bytes long',
      [{ name: 'x', type: 'x', content: Buffer.from('0 path=x\n') }],
      'a pax header in it is damaged',
    ],
    ['a negative size', [paxEntry('x', 'size=-1'), { name: 'x' }], 'an entry in it has no usable size'],
    [
      'a size beyond all numbers',
      [paxEntry('x', 'size=99999999999999999'), { name: 'x' }],
      'an entry in it has no usable size',
    ],
    ['a huge binary size', [{ name: 'x', format: 'gnu', size: 2n ** 60n }], 'an entry in it has no usable size'],
    [
      'an index that is there twice',
      [{ name: 'index.json', content: files['index.json'] ?? Buffer.of() }],
      'index.json is in it twice',
    ],
    ['a blob that is there twice', [{ name: `./${blobName(nvram)}`, content: Buffer.from('x') }], 'is in it twice'],
  ])('%s', async (_, more, message) => {
    await expectRefused(written(tarFile([...entries, ...more])), 'ARCHIVE_INVALID', message);
  });

  it('more entries than any image needs', async () => {
    const empty = tarEntry({ name: 'x' });
    const archive = Buffer.concat([...Array.from({ length: 50_001 }, () => empty), Buffer.alloc(1024)]);
    await expectRefused(written(archive), 'ARCHIVE_INVALID', 'it has more than 50000 entries');
  });
});

describe('a damaged tar file is refused', () => {
  const archive = tarFile(entries);

  it('with a header that does not add up', async () => {
    const broken = Buffer.from(archive);
    broken.write('X', 1);
    await expectRefused(written(broken), 'ARCHIVE_INVALID', 'a header in it is damaged');
  });

  it('with something else where a header should be', async () => {
    await expectRefused(
      written(Buffer.concat([...entries.map(tarEntry), Buffer.alloc(512, 'x')])),
      'ARCHIVE_INVALID',
      'it is not a tar file, or it is damaged',
    );
  });

  it('with an entry that is larger than the file', async () => {
    const header = tarHeaderOf({ name: 'x', size: 8_000_000_000 });
    await expectRefused(
      written(Buffer.concat([...entries.map(tarEntry), header])),
      'ARCHIVE_INVALID',
      'it is cut short',
    );
  });

  property.prop([fc.integer({ min: 512, max: archive.length - 1025 })], { numRuns: 60 })(
    'wherever it is cut',
    async (length) => {
      await expectRefused(written(archive.subarray(0, length)), 'ARCHIVE_INVALID', 'it is cut short');
    },
  );

  property.prop([fc.integer({ min: 0, max: archive.length - 1 }), fc.integer({ min: 1, max: 255 })], { numRuns: 150 })(
    'whichever byte is changed: an error that explains, or a VM of exactly the same bytes',
    async (at, change) => {
      const broken = Buffer.from(archive);
      broken[at] = (broken[at] ?? 0) ^ change;
      const session = freshSession();
      try {
        await importPath(session, written(broken));
        expect(readFileSync(`${session.home.vmsDirectory}/vm/disk.img`).equals(image.disk)).toBe(true);
        expect(readFileSync(`${session.home.vmsDirectory}/vm/config.json`).equals(image.config)).toBe(true);
        expect(readFileSync(`${session.home.vmsDirectory}/vm/nvram.bin`).equals(image.nvram)).toBe(true);
      } catch (error) {
        if (!(error instanceof TartletError)) throw error;
        expect(error.code).not.toBe('INTERNAL');
        expect(namesIn(session.home.vmsDirectory)).toEqual([]);
      }
      expect(namesIn(session.home.scratchDirectory)).toEqual([]);
    },
  );
});

describe('a layout that lies is refused', () => {
  it.each<[string, () => LayoutFiles, string, string]>([
    ['without its index', () => without('index.json'), 'ARCHIVE_INVALID', 'it has no index.json'],
    [
      'without its manifest',
      () => changed(image.digest),
      'ARCHIVE_INVALID',
      `its manifest of ${image.digest} is missing`,
    ],
    ['without its OCI config', () => changed(stub), 'ARCHIVE_INVALID', 'its OCI config is missing'],
    ['without its configuration', () => changed(config), 'ARCHIVE_INVALID', 'its VM configuration is missing'],
    ['without its NVRAM', () => changed(nvram), 'ARCHIVE_INVALID', 'its NVRAM is missing'],
    ['without its last chunk', () => changed(secondChunk), 'ARCHIVE_INVALID', 'its disk chunk 1 is missing'],
    ['with another manifest', () => changed(image.digest, flipped), 'DIGEST_MISMATCH', image.digest],
    ['with another OCI config', () => changed(stub, flipped), 'DIGEST_MISMATCH', stub],
    ['with another configuration', () => changed(config, flipped), 'DIGEST_MISMATCH', config],
    ['with other NVRAM', () => changed(nvram, flipped), 'DIGEST_MISMATCH', nvram],
    ['with another chunk', () => changed(firstChunk, flipped), 'DIGEST_MISMATCH', firstChunk],
    ['with a manifest that goes on', () => changed(image.digest, longer), 'SIZE_MISMATCH', 'its manifest of'],
    ['with a configuration that goes on', () => changed(config, longer), 'SIZE_MISMATCH', 'its VM configuration has'],
    [
      'with NVRAM that goes on',
      () => changed(nvram, longer),
      'SIZE_MISMATCH',
      'its NVRAM has 4097 bytes instead of 4096',
    ],
    [
      'with a chunk that is cut',
      () => changed(firstChunk, (bytes) => bytes.subarray(1)),
      'SIZE_MISMATCH',
      'its disk chunk 0',
    ],
  ])('%s', async (_, layout, code, message) => {
    await expectRefused(written(tarFile(layoutEntries(layout()))), code, message);
  });

  it.each<[string, () => TinyImage, string, string]>([
    [
      'a chunk that decodes to other bytes',
      () =>
        vmImage({
          manifest: { layers: withChunk({}, { 'org.cirruslabs.tart.uncompressed-content-digest': fakeDigest('a') }) },
        }),
      'CHUNK_CORRUPT',
      'decodes to other bytes than promised',
    ],
    [
      'a chunk that decodes to more',
      () => vmImage({ manifest: chunkOfSize('4096') }),
      'CHUNK_CORRUPT',
      'cannot be decoded',
    ],
    [
      'a chunk that decodes to less',
      () => vmImage({ manifest: chunkOfSize('9000') }),
      'CHUNK_CORRUPT',
      'cannot be decoded',
    ],
    ['a chunk that is no LZ4', () => vmImage({ encode: (content) => content }), 'CHUNK_CORRUPT', 'cannot be decoded'],
    [
      'a disk that is a qcow2 file (S29)',
      () => vmImage({ chunks: [Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.alloc(4092)])] }),
      'MEDIA_UNSUPPORTED',
      'is a qcow2 file, not a disk of Tart',
    ],
    [
      'a disk that is a VMDK description',
      () => vmImage({ chunks: [Buffer.from('# Disk DescriptorFile\nRW 1 FLAT "/etc/shadow" 0\n'.padEnd(4096))] }),
      'MEDIA_UNSUPPORTED',
      'is a VMDK file, not a disk of Tart',
    ],
    [
      'a configuration without a MAC address',
      () => vmImage({ config: json({ version: 1 }) }),
      'CONFIG_INVALID',
      'is missing',
    ],
    [
      'a configuration that is none',
      () => vmImage({ config: Buffer.from('#!/bin/sh') }),
      'CONFIG_INVALID',
      'it is not JSON',
    ],
    [
      'a stacked image',
      () =>
        vmImage({
          manifest: {
            layers: [
              configLayer(),
              diskLayer({}, { 'org.cirruslabs.tart.disk-file-content-digest': fakeDigest('b') }),
              overlayLayer({}, 1),
              nvramLayer(),
            ],
            annotations: {},
          },
        }),
      'NEEDS_MACOS',
      'holds a stacked image',
    ],
    ['a manifest that is an index too', () => vmImage({ manifest: { manifests: [] } }), 'MANIFEST_INVALID', 'at once'],
  ])('with %s', async (_, hostile, code, message) => {
    await expectRefused(written(tarFile(layoutEntries(layoutOf({ image: hostile() })))), code, message);
  });

  it.each<[string, Uint8Array, string, string]>([
    ['that is no JSON', Buffer.from('hello'), 'MANIFEST_INVALID', 'it is not JSON'],
    ['that is an image', image.manifest, 'ARCHIVE_INVALID', 'its index.json is an image, not a list of images'],
    [
      'with a digest that is a path',
      json({ schemaVersion: 2, manifests: [{ mediaType: 'x/y', digest: 'sha256:../../../../etc/passwd', size: 1 }] }),
      'MANIFEST_INVALID',
      'manifests[0].digest is not a digest',
    ],
    [
      'of ten thousand and one images',
      json({ schemaVersion: 2, manifests: Array.from({ length: 10_001 }, () => ({})) }),
      'MANIFEST_TOO_LARGE',
      'has 10001 manifests',
    ],
    [
      'nested a million times',
      Buffer.from('['.repeat(1_000_000)),
      'MANIFEST_INVALID',
      'nested more than 32 levels deep',
    ],
  ])('with an index %s', async (_, index, code, message) => {
    await expectRefused(written(tarFile(layoutEntries({ ...files, 'index.json': index }))), code, message);
  });

  it('with an index of 8 GB, of which not a byte is read', async () => {
    const file = written(
      Buffer.concat([
        ...layoutEntries(without('index.json')).map(tarEntry),
        tarHeaderOf({ name: 'index.json', size: 8_000_000_000 }),
      ]),
    );
    truncateSync(file, 8_000_100_000);
    await expectRefused(file, 'ARCHIVE_INVALID', 'index.json has 8000000000 bytes, the limit is 16777216');
  });
});

it('a configuration that makes no VM is refused before the disk is unpacked', async () => {
  const kinds: string[] = [];
  const session = freshSession({ onEvent: ({ kind }) => void kinds.push(kind) });
  const layout = layoutOf({ image: vmImage({ config: json({ version: 1 }) }) });
  await expect(importPath(session, written(tarFile(layoutEntries(layout))))).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
  expect(kinds).toEqual([]);
});

describe('a directory that another user prepared is refused (S25, S26)', () => {
  function directory(): string {
    const root = temporaryDirectory();
    for (const [name, bytes] of Object.entries(files)) {
      mkdirSync(path.dirname(`${root}/${name}`), { recursive: true });
      writeFileSync(`${root}/${name}`, bytes);
    }
    return root;
  }

  it.each<[string, (file: string) => void]>([
    ['a symlink', (file) => symlinkSync('/etc/passwd', file)],
    ['a pipe, which is not waited for', (file) => void execFileSync('mkfifo', [file])],
    ['a directory', (file) => mkdirSync(file)],
  ])('with %s where a file should be', async (_, plant) => {
    for (const name of ['oci-layout', 'index.json', blobName(image.digest), blobName(nvram), blobName(firstChunk)]) {
      const root = directory();
      rmSync(`${root}/${name}`);
      plant(`${root}/${name}`);
      await expectRefused(root, 'ARCHIVE_INVALID', `${name} is not a plain file`);
    }
  });

  it.each(['blobs', 'blobs/sha256'])('with a symlink in the place of its directory %s (S60)', async (name) => {
    const [root, elsewhere] = [directory(), directory()];
    rmSync(`${root}/${name}`, { recursive: true });
    symlinkSync(`${elsewhere}/${name}`, `${root}/${name}`);
    await expectRefused(root, 'ARCHIVE_INVALID', 'is not a plain file');
  });
});

function without(name: string): LayoutFiles {
  const { [name]: _, ...others } = files;
  return others;
}

function longer(bytes: Buffer): Uint8Array {
  return Buffer.concat([bytes, Buffer.from('x')]);
}

/** The layers of {@link image} with the first chunk described in another way. */
function withChunk(overrides: Record<string, unknown>, annotations: Record<string, unknown>): unknown[] {
  const { layers } = JSON.parse(Buffer.from(image.manifest).toString()) as { layers: Record<string, unknown>[] };
  return layers.map((layer, index) =>
    index === 1
      ? { ...layer, ...overrides, annotations: { ...(layer['annotations'] as object), ...annotations } }
      : layer,
  );
}

function chunkOfSize(size: string): Record<string, unknown> {
  return { layers: withChunk({}, { 'org.cirruslabs.tart.uncompressed-size': size }), annotations: {} };
}
