import { execFileSync } from 'node:child_process';
import type { Hint } from '../../src/hint.ts';
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LocalName } from '../../src/names/local-name.ts';
import type { TransferEvent } from '../../src/session/progress.ts';
import type { Session } from '../../src/session/session.ts';
import { importVm, type ImportOptions, type ImportOutcome } from '../../src/archive/import.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { configJson, freshSession, plantVm } from '../support/home.ts';
import { layoutEntries, type LayoutFiles, layoutOf, tarFile } from '../support/tar-file.ts';
import {
  json,
  overlayLayer,
  type TinyImage,
  sha256,
  tinyImage,
  type TinyImageOptions,
  tinyIndex,
} from '../support/tart-image.ts';

const MAC = '7e:12:34:56:78:9a';
const NAME = LocalName.parse('vm');

function vmImage(options: TinyImageOptions = {}): TinyImage {
  return tinyImage({ config: Buffer.from(configJson()), ...options });
}

/** A tar file with these files, in a directory of its own. */
function tarOf(files: LayoutFiles): string {
  const file = `${temporaryDirectory()}/archive.tar`;
  writeFileSync(file, tarFile(layoutEntries(files)));
  return file;
}

function directoryOf(files: LayoutFiles): string {
  const directory = temporaryDirectory();
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(path.dirname(`${directory}/${name}`), { recursive: true });
    writeFileSync(`${directory}/${name}`, bytes);
  }
  return directory;
}

async function importPath(session: Session, file: string, options: ImportOptions = {}): Promise<ImportOutcome> {
  return importVm(session, { kind: 'path', path: file }, NAME, options);
}

function vmDirectory(session: Session, name = 'vm'): string {
  return `${session.home.vmsDirectory}/${name}`;
}

/** The VM is there, equal to the image, and nothing else is. */
function expectVm(session: Session, image: TinyImage): void {
  const directory = vmDirectory(session);
  expect(readFileSync(`${directory}/config.json`)).toEqual(Buffer.from(image.config));
  expect(readFileSync(`${directory}/nvram.bin`)).toEqual(Buffer.from(image.nvram));
  expect(sha256(readFileSync(`${directory}/disk.img`))).toBe(sha256(image.disk));
  expect(readdirSync(directory).sort()).toEqual(['.origin.json', 'config.json', 'disk.img', 'nvram.bin']);
  expect(readdirSync(session.home.scratchDirectory)).toEqual([]);
}

/** Neither a VM nor scratch. */
function expectNothing(session: Session): void {
  expect(existsSync(session.home.vmsDirectory) ? readdirSync(session.home.vmsDirectory) : []).toEqual([]);
  expect(existsSync(session.home.scratchDirectory) ? readdirSync(session.home.scratchDirectory) : []).toEqual([]);
}

describe('an OCI image layout becomes a VM', () => {
  const image = vmImage();
  const files = layoutOf({ image, ref: 'base' });
  const backwards = Object.fromEntries(Object.entries(files).reverse());

  it.each<[string, () => string]>([
    ['a tar file', () => tarOf(files)],
    ['with its files in another order', () => tarOf(backwards)],
    ['a directory', () => directoryOf(files)],
    [
      'with ./ before its names, its directories, and files without an owner',
      () => {
        const file = `${temporaryDirectory()}/archive.tar`;
        const directory = directoryOf({ ...files, repositories: Buffer.from('{}'), '._index.json': Buffer.from('x') });
        execFileSync('tar', ['-cf', file, '-C', directory, '.']);
        return file;
      },
    ],
    [
      'in the format of old GNU tar',
      () => {
        const file = `${temporaryDirectory()}/archive.tar`;
        execFileSync('tar', ['--format=gnu', '-cf', file, '-C', directoryOf(files), ...Object.keys(files)]);
        return file;
      },
    ],
    [
      'with pax headers for everything',
      () => {
        const file = `${temporaryDirectory()}/archive.tar`;
        const options = ['--format=pax', '--pax-option=globexthdr.name=x,comment=hello'];
        execFileSync('tar', [...options, '-cf', file, '-C', directoryOf(files), ...Object.keys(files)]);
        return file;
      },
    ],
    ['without a name in its index', () => tarOf(layoutOf({ image }))],
    ['twice in one index', () => tarOf(layoutOf({ image, ref: 'a' }, { image, ref: 'b' }))],
  ])('%s', async (_, archive) => {
    const session = freshSession({ now: () => new Date('2026-02-03T04:05:06Z') });
    const outcome = await importPath(session, archive());
    expect(outcome).toMatchObject({ name: NAME, macChanged: false });
    expect(outcome.digest.toString()).toBe(image.digest);
    expectVm(session, image);
    expect(JSON.parse(readFileSync(`${vmDirectory(session)}/.origin.json`, 'utf8'))).toEqual({
      version: 1,
      via: 'import',
      digest: image.digest,
      importedAt: '2026-02-03T04:05:06.000Z',
    });
  });

  it('from a stream, and from a pipe with a name', async () => {
    const archive = tarOf(files);
    const [one, two] = [freshSession(), freshSession()];
    await importVm(
      one,
      { kind: 'stream', stream: createReadStream(archive, { highWaterMark: 100 }), name: 'stdin' },
      NAME,
    );
    expectVm(one, image);
    const pipe = `${temporaryDirectory()}/pipe`;
    execFileSync('mkfifo', [pipe]);
    const feeding = import('node:fs/promises').then(async ({ writeFile }) => writeFile(pipe, readFileSync(archive)));
    await importPath(two, pipe);
    await feeding;
    expectVm(two, image);
  });

  it('with a chunk that occurs many times, and zeros as holes', async () => {
    const zeros = Buffer.alloc(1024 * 1024);
    const text = Buffer.alloc(4096, 'x');
    const sparse = vmImage({ chunks: [zeros, text, zeros, text, zeros] });
    const events: TransferEvent[] = [];
    const session = freshSession({ onEvent: (event) => void events.push(event) });
    const archive = tarOf(layoutOf({ image: sparse, ref: 'sparse' }));
    await importPath(session, archive);
    expectVm(session, sparse);
    expect(statSync(`${vmDirectory(session)}/disk.img`).blocks * 512).toBeLessThanOrEqual(4 * 4096);
    expect(events.filter(({ kind }) => kind === 'chunk-done')).toHaveLength(5);
    expect(events.find(({ kind }) => kind === 'started')).toMatchObject({ direction: 'import', chunks: 5 });
    const started = events.find((event) => event.kind === 'started');
    const counted = events.reduce((sum, event) => sum + (event.kind === 'bytes' ? event.count : 0), 0);
    expect(counted).toBe(started?.bytesTotal);
    expect(events.at(-1)).toEqual({ kind: 'finished', subject: archive });
  });
});

describe('an archive of several images', () => {
  const one = vmImage({ nvram: Buffer.from('one') });
  const two = vmImage({ nvram: Buffer.from('two') });
  const foreign = vmImage({ manifest: { layers: [] } });

  it('asks which one, and takes it by name or by digest', async () => {
    const archive = tarOf(layoutOf({ image: one, ref: 'first' }, { image: two, ref: 'second' }, { image: foreign }));
    const session = freshSession();
    await expect(importPath(session, archive)).rejects.toMatchObject({
      code: 'USAGE',
      message: `${archive} holds 2 VM images: first, second`,
      facts: { next: { kind: 'choose-reference' } },
    });
    await expect(importPath(session, archive, { reference: 'third' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('has no image "third"; it has first, second, sha256:') as string,
    });
    expectNothing(session);
    await importPath(session, archive, { reference: 'second' });
    expectVm(session, two);
    await importPath(session, archive, { reference: one.digest });
    expectVm(session, one);
  });

  it('of which one is a VM image needs no telling', async () => {
    const session = freshSession();
    await importPath(session, tarOf(layoutOf({ image: foreign, ref: 'other' }, { image: two, ref: 'vm' })));
    expectVm(session, two);
  });

  it.each<[string, () => LayoutFiles, string]>([
    ['no image', () => layoutOf(), 'is an OCI image layout without a VM image in it (0 others)'],
    [
      'a container image',
      () => layoutOf({ image: foreign, ref: 'other' }),
      'other is not a VM image: it has no layers',
    ],
    [
      'other things',
      () => layoutOf({ image: foreign, ref: 'a' }, { image: one, mediaType: 'text/plain' }),
      'is an OCI image layout without a VM image in it (2 others)',
    ],
    [
      'an index in its index',
      () =>
        layoutOf({ image: { ...one, manifest: tinyIndex() }, mediaType: 'application/vnd.oci.image.index.v1+json' }),
      'is of type "application/vnd.oci.image.index.v1+json", not an image',
    ],
    [
      'an image of Tart before 2.0',
      () =>
        layoutOf({
          image: vmImage({
            manifest: { layers: [overlayLayer({ mediaType: 'application/vnd.cirruslabs.tart.disk.v1' })] },
          }),
        }),
      'has a disk in the format of Tart before 2.0',
    ],
  ])('and of no VM image is refused: %s', async (_, files, message) => {
    const session = freshSession();
    await expect(importPath(session, tarOf(files()))).rejects.toMatchObject({
      code: 'MEDIA_UNSUPPORTED',
      message: expect.stringContaining(message) as string,
    });
    expectNothing(session);
  });
});

describe('the MAC address of an imported VM', () => {
  const config = Buffer.from(`{"futureKey":"kept",${configJson(MAC).slice(1)}`);
  const archive = (): string => tarOf(layoutOf({ image: vmImage({ config }) }));

  it('stays where no other VM has it, and the file with it, byte for byte', async () => {
    const session = freshSession();
    plantVm(vmDirectory(session, 'other'), 'disk', '7e:00:00:00:00:01');
    expect(await importPath(session, archive())).toMatchObject({ macChanged: false });
    expect(readFileSync(`${vmDirectory(session)}/config.json`).equals(config)).toBe(true);
  });

  it('changes where another VM has it, and nothing else does', async () => {
    const session = freshSession();
    plantVm(vmDirectory(session, 'other'), 'disk', MAC.toUpperCase());
    plantVm(vmDirectory(session, 'broken'));
    writeFileSync(`${vmDirectory(session, 'broken')}/config.json`, 'not json');
    expect(await importPath(session, archive())).toMatchObject({ macChanged: true });
    const changed = JSON.parse(readFileSync(`${vmDirectory(session)}/config.json`, 'utf8')) as Record<string, unknown>;
    expect(changed['macAddress']).toMatch(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
    expect(changed['macAddress']).not.toBe(MAC);
    expect({ ...changed, macAddress: MAC }).toEqual(JSON.parse(config.toString()));
  });

  it('stays when the one that has it is the one that is replaced', async () => {
    const session = freshSession();
    plantVm(vmDirectory(session), 'disk', MAC);
    expect(await importPath(session, archive())).toMatchObject({ macChanged: false });
  });
});

describe('the name of an imported VM', () => {
  const image = vmImage();

  it('may be that of a stopped VM, which is replaced', async () => {
    const session = freshSession();
    plantVm(vmDirectory(session), 'old disk');
    writeFileSync(`${vmDirectory(session)}/state.vzvmsave`, 'old memory');
    await importPath(session, tarOf(layoutOf({ image })));
    expectVm(session, image);
  });

  it('may not be that of a running VM, nor of a directory that is none', async () => {
    const session = freshSession();
    plantVm(vmDirectory(session), 'old disk');
    const lock = await session.vms.hold(await session.vms.require(NAME));
    onTestFinished(async () => lock.release());
    await expect(importPath(session, tarOf(layoutOf({ image })))).rejects.toMatchObject({ code: 'VM_RUNNING' });
    expect(readFileSync(`${vmDirectory(session)}/disk.img`, 'utf8')).toBe('old disk');
    mkdirSync(vmDirectory(session, 'directory'));
    await expect(
      importVm(session, { kind: 'path', path: tarOf(layoutOf({ image })) }, LocalName.parse('directory')),
    ).rejects.toMatchObject({ code: 'VM_EXISTS' });
    expect(readdirSync(session.home.vmsDirectory).sort()).toEqual(['directory', 'vm']);
  });
});

describe('an import that ends early', () => {
  it('leaves the old VM and no scratch', async () => {
    const interruption = new AbortController();
    const session = freshSession({
      signal: interruption.signal,
      onEvent: ({ kind }) => void (kind === 'chunk-done' && interruption.abort(new Error('enough'))),
    });
    plantVm(vmDirectory(session), 'old disk');
    await expect(importPath(session, tarOf(layoutOf({ image: vmImage() })))).rejects.toThrow('enough');
    expect(readFileSync(`${vmDirectory(session)}/disk.img`, 'utf8')).toBe('old disk');
    expect(readdirSync(session.home.vmsDirectory)).toEqual(['vm']);
    expect(readdirSync(session.home.scratchDirectory)).toEqual([]);
  });

  it('while it waits for a stream that says nothing', async () => {
    const interruption = new AbortController();
    const session = freshSession({ signal: interruption.signal });
    const stream = new PassThrough();
    stream.write(tarFile([]).subarray(0, 100));
    const importing = importVm(session, { kind: 'stream', stream, name: 'stdin' }, NAME);
    setImmediate(() => interruption.abort(new Error('enough')));
    await expect(importing).rejects.toThrow('enough');
    expectNothing(session);
  });

  it('while it waits for a writer of its pipe', async () => {
    const interruption = new AbortController();
    const session = freshSession({ signal: interruption.signal });
    const pipe = `${temporaryDirectory()}/pipe`;
    execFileSync('mkfifo', [pipe]);
    const importing = importPath(session, pipe);
    // Whether it waits already or is about to: it must end.
    for (let turn = 0; turn < 100; turn += 1) await turnOfTheLoop();
    interruption.abort(new Error('enough'));
    await expect(importing).rejects.toThrow('enough');
    expectNothing(session);
  });

  it('because the stream broke', async () => {
    const session = freshSession();
    const stream = Readable.from(
      (function* broken() {
        yield tarFile(layoutEntries(layoutOf({ image: vmImage() }))).subarray(0, 2048);
        throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
      })(),
    );
    await expect(importVm(session, { kind: 'stream', stream, name: 'stdin' }, NAME)).rejects.toMatchObject({
      code: 'DISK_IO',
      message: 'cannot read stdin: EIO: i/o error',
    });
    expectNothing(session);
  });
});

describe('what is no OCI image layout', () => {
  const MAC_NEXT: Hint = { kind: 'export-elsewhere' };
  it.each<[string, string | Uint8Array, string, Hint]>([
    ['Apple Archive, LZFSE', 'pbze\0\0\0\0', 'is an Apple Archive (it begins with "pbze")', MAC_NEXT],
    ['Apple Archive, zlib', 'pbzz\0\0\0\0', 'is an Apple Archive (it begins with "pbzz")', MAC_NEXT],
    ['Apple Archive, LZ4', 'pbz4\0\0\0\0', 'is an Apple Archive (it begins with "pbz4")', MAC_NEXT],
    ['Apple Archive, xz', 'pbzx\0\0\0\0', 'is an Apple Archive (it begins with "pbzx")', MAC_NEXT],
    ['Apple Archive, plain', 'AA01\x20\0', 'is an Apple Archive (it begins with "AA01")', MAC_NEXT],
    ['Apple Archive, old', 'YAA1\x20\0', 'is an Apple Archive (it begins with "YAA1")', MAC_NEXT],
    ['Apple Archive, encrypted', 'AEA1\x20\0', 'is an Apple Archive (it begins with "AEA1")', MAC_NEXT],
    [
      'gzip',
      Buffer.from('1f8b0800', 'hex'),
      'is compressed with gzip',
      { kind: 'unpack-on-the-way', tool: 'gzip -dc' },
    ],
    [
      'zstd',
      Buffer.from('28b52ffd', 'hex'),
      'is compressed with zstd',
      { kind: 'unpack-on-the-way', tool: 'zstd -dc' },
    ],
    ['nothing', '', 'is empty', { kind: 'import-what-was-exported' }],
    ['a raw disk', Buffer.alloc(2048), 'is not a tar file', { kind: 'import-what-was-exported' }],
  ])('is known by its first bytes, from a file and from a stream: %s', async (_, bytes, message, next) => {
    const session = freshSession();
    const file = `${temporaryDirectory()}/archive`;
    writeFileSync(file, bytes);
    const refusal = { code: 'MEDIA_UNSUPPORTED', message: expect.stringContaining(message) as string, facts: { next } };
    await expect(importPath(session, file)).rejects.toMatchObject(refusal);
    await expect(
      importVm(session, { kind: 'stream', stream: createReadStream(file), name: 'stdin' }, NAME),
    ).rejects.toMatchObject(refusal);
    expectNothing(session);
  });

  it.each<[string, () => string, string, string]>([
    ['a missing file', () => `${temporaryDirectory()}/none`, 'NOT_FOUND', 'there is no file'],
    [
      'an empty directory',
      () => temporaryDirectory(),
      'MEDIA_UNSUPPORTED',
      'is no OCI image layout: it has no file oci-layout',
    ],
    [
      'a tar file of a VM directory',
      () => tarOf({ 'config.json': Buffer.from('{}'), 'disk.img': Buffer.from('x') }),
      'MEDIA_UNSUPPORTED',
      'is a copy of the directory of a VM, not an image',
    ],
    [
      'the directory of a VM',
      () => {
        const directory = temporaryDirectory();
        writeFileSync(`${directory}/disk.img`, 'x');
        return directory;
      },
      'MEDIA_UNSUPPORTED',
      'is a copy of the directory of a VM, not an image',
    ],
    [
      'a tar file of other things',
      () => tarOf({ 'notes.txt': Buffer.from('x') }),
      'MEDIA_UNSUPPORTED',
      'not of an OCI image layout: it has no file oci-layout, it has notes.txt',
    ],
    [
      'a layout of another version',
      () => tarOf({ ...layoutOf(), 'oci-layout': json({ imageLayoutVersion: '2.0.0' }) }),
      'MEDIA_UNSUPPORTED',
      'is an OCI image layout of another version than 1',
    ],
    [
      'a marker that says nothing',
      () => tarOf({ ...layoutOf(), 'oci-layout': Buffer.from('hello') }),
      'ARCHIVE_INVALID',
      'the file oci-layout cannot be read: it is not JSON',
    ],
  ])('is explained: %s', async (_, archive, code, message) => {
    const session = freshSession();
    await expect(importPath(session, archive())).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
    expectNothing(session);
  });
});
