import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LocalName } from '../../src/names/local-name.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { createRegistry } from '../../src/server/server.ts';
import type { TransferEvent } from '../../src/session/progress.ts';
import { pull } from '../../src/transfer/pull/pull.ts';
import type { Session } from '../../src/session/session.ts';
import { type ExportOptions, type ExportOutcome, exportVm } from '../../src/archive/export.ts';
import { importVm } from '../../src/archive/import.ts';
import { pushVm } from '../../src/vm/push.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { configJson, freshSession, plantImage, plantVm } from '../support/home.ts';
import { sha256, tinyImage } from '../support/tart-image.ts';

const MIB = 1024 * 1024;
const VM_FILES = ['config.json', 'disk.img', 'nvram.bin'];

/** A disk of 9 MiB and 5 bytes: text, noise, the same noise again, and holes. */
function plantDisk(directory: string): string {
  plantVm(directory, '');
  const noise = Buffer.concat(
    Array.from({ length: MIB / 64 }, (_, at) => createHash('sha512').update(String(at)).digest()),
  );
  const fd = openSync(`${directory}/disk.img`, 'w');
  writeSync(fd, Buffer.alloc(MIB, 'the name you typed '), 0, MIB, 0);
  writeSync(fd, noise, 0, MIB, 2 * MIB);
  writeSync(fd, noise, 0, MIB, 3 * MIB);
  closeSync(fd);
  truncateSync(`${directory}/disk.img`, 9 * MIB + 5);
  return directory;
}

function plantLocal(session: Session, name: string): string {
  return plantDisk(`${session.home.vmsDirectory}/${name}`);
}

async function exportTo(
  session: Session,
  name: string,
  path: string,
  options: ExportOptions = {},
): Promise<ExportOutcome> {
  return exportVm(session, name, { kind: 'path', path }, options);
}

interface Unpacked {
  readonly directory: string;
  readonly names: readonly string[];
  readonly index: { manifests: { digest: string; size: number; annotations?: Record<string, string> }[] };
  readonly manifest: Manifest;
}

interface Manifest {
  readonly annotations: Record<string, string>;
  readonly config: { digest: string };
  readonly layers: { digest: string; size: number; mediaType: string; annotations: Record<string, string> }[];
}

/** What tar itself makes of an archive. */
function unpack(archive: string): Unpacked {
  const directory = temporaryDirectory();
  execFileSync('tar', ['-xf', archive, '-C', directory]);
  const names = execFileSync('tar', ['-tf', archive], { encoding: 'utf8' }).trim().split('\n');
  const index = JSON.parse(readFileSync(`${directory}/index.json`, 'utf8')) as Unpacked['index'];
  const digest = index.manifests[0]?.digest.replace(':', '/');
  const manifest = JSON.parse(readFileSync(`${directory}/blobs/${digest ?? ''}`, 'utf8')) as Manifest;
  return { directory, names, index, manifest };
}

function contentDigests({ manifest }: Unpacked): (string | undefined)[] {
  return manifest.layers.map((layer) => layer.annotations['org.cirruslabs.tart.uncompressed-content-digest']);
}

async function startRegistry(): Promise<string> {
  const registry = createRegistry({ dataDirectory: temporaryDirectory() });
  const { port } = await registry.listen();
  onTestFinished(async () => registry.close());
  return `127.0.0.1:${port}`;
}

describe('an exported VM', () => {
  it('is a tar file with an OCI image layout, every blob under its own digest', async () => {
    const session = freshSession({ now: () => new Date('2024-05-21T15:21:28.123Z') });
    plantLocal(session, 'my vm');
    const file = `${temporaryDirectory()}/vm.tar`;
    const outcome = await exportTo(session, 'my vm', file, { diskChunkBytes: 4 * MIB });
    const unpacked = unpack(file);
    expect(readFileSync(`${unpacked.directory}/oci-layout`, 'utf8')).toBe('{"imageLayoutVersion":"1.0.0"}');
    expect(unpacked.index).toEqual({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [
        {
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          digest: outcome.digest.toString(),
          size: expect.any(Number) as number,
          annotations: { 'org.opencontainers.image.ref.name': 'my-vm' },
        },
      ],
    });
    expect(unpacked.manifest.annotations).toEqual({
      'org.cirruslabs.tart.uncompressed-disk-size': '9437189',
      'org.cirruslabs.tart.upload-time': '2024-05-21T15:21:28Z',
    });
    const blobs = readdirSync(`${unpacked.directory}/blobs/sha256`);
    expect(blobs).toHaveLength(7);
    for (const blob of blobs) {
      expect(sha256(readFileSync(`${unpacked.directory}/blobs/sha256/${blob}`))).toBe(`sha256:${blob}`);
    }
    expect(unpacked.names.slice(0, 3)).toEqual(['oci-layout', 'blobs/', 'blobs/sha256/']);
    expect(unpacked.names.at(-1)).toBe('index.json');
    expect(statSync(file).size).toBe(outcome.archiveBytes);
    expect(readdirSync(session.home.scratchDirectory)).toEqual([]);
  });

  it.each([
    ['one chunk', 512 * MIB, 0],
    ['chunks of 1 MiB', MIB, 0],
    ['chunks of an odd size', 777_777, 0],
    // Large enough for threads, which find the chunks in any order, the hole among them.
    ['one chunk, in a thread', 512 * MIB, 80 * MIB],
    ['chunks of 1 MiB, in threads', MIB, 80 * MIB],
  ])('comes back elsewhere with every byte and every hole: %s', async (_, diskChunkBytes, largeBytes) => {
    const [here, there] = [freshSession(), freshSession()];
    const directory = plantLocal(here, 'vm');
    if (largeBytes > 0) truncateSync(`${directory}/disk.img`, largeBytes);
    const file = `${temporaryDirectory()}/vm.tar`;
    const exported = await exportTo(here, 'vm', file, { diskChunkBytes });
    const imported = await importVm(there, { kind: 'path', path: file }, LocalName.parse('copy'));
    expect(imported).toMatchObject({ digest: exported.digest, macChanged: false });
    const copy = `${there.home.vmsDirectory}/copy`;
    for (const name of VM_FILES)
      expect(readFileSync(`${copy}/${name}`).equals(readFileSync(`${directory}/${name}`))).toBe(true);
    // Holes are found in steps of 64 KiB from the start of a chunk: where it starts in the middle of a block, data runs
    // grow at both ends.
    const slack = diskChunkBytes % 4096 === 0 ? 0 : 6 * 128;
    const { blocks } = statSync(`${directory}/disk.img`);
    expect(statSync(`${copy}/disk.img`).blocks).toBeLessThanOrEqual(blocks * 1.01 + slack);
    expect(readdirSync(there.home.scratchDirectory)).toEqual([]);
  });

  it('holds the same chunk once', async () => {
    const session = freshSession();
    plantLocal(session, 'vm');
    const file = `${temporaryDirectory()}/vm.tar`;
    await exportTo(session, 'vm', file, { diskChunkBytes: MIB });
    const { manifest, names } = unpack(file);
    const disk = manifest.layers.slice(1, -1).map((layer) => layer.digest);
    expect(disk).toHaveLength(10);
    // Text, noise, zeros, and the five bytes at the end.
    expect(new Set(disk).size).toBe(4);
    expect(new Set(names).size).toBe(names.length);
  });

  it('is the same to the last byte when it is reproducible, whenever it is made', async () => {
    let year = 2024;
    const session = freshSession({ now: () => new Date(`${year}-01-01T00:00:00Z`) });
    plantLocal(session, 'vm');
    const directory = temporaryDirectory();
    const first = await exportTo(session, 'vm', `${directory}/1`, { reproducible: true });
    year = 2026;
    const second = await exportTo(session, 'vm', `${directory}/2`, { reproducible: true });
    expect(second.digest.toString()).toBe(first.digest.toString());
    expect(readFileSync(`${directory}/1`).equals(readFileSync(`${directory}/2`))).toBe(true);
    const [dated, later] = [await exportTo(session, 'vm', `${directory}/3`), year];
    expect(dated.digest.toString()).not.toBe(first.digest.toString());
    expect(unpack(`${directory}/3`).manifest.annotations['org.cirruslabs.tart.upload-time']).toBe(
      `${later}-01-01T00:00:00Z`,
    );
  });

  it('goes to a stream as it goes to a file', async () => {
    const session = freshSession();
    plantLocal(session, 'vm');
    const file = `${temporaryDirectory()}/vm.tar`;
    await exportTo(session, 'vm', file, { reproducible: true });
    const pieces: Buffer[] = [];
    const stream = new Writable({
      write: (piece: Buffer, _encoding, done) => {
        pieces.push(Buffer.from(piece));
        setImmediate(done);
      },
    });
    await exportVm(session, 'vm', { kind: 'stream', stream, name: 'stdout' }, { reproducible: true });
    expect(Buffer.concat(pieces).equals(readFileSync(file))).toBe(true);
    expect(stream.writableEnded).toBe(false);
  });

  it('keeps unknown keys of its configuration and tells its progress', async () => {
    const events: TransferEvent[] = [];
    const session = freshSession({ onEvent: (event) => void events.push(event) });
    const directory = plantLocal(session, 'vm');
    const config = `{"futureKey":[1,{"a":"/"}],${configJson().slice(1)}`;
    writeFileSync(`${directory}/config.json`, config);
    const file = `${temporaryDirectory()}/vm.tar`;
    const { archiveBytes } = await exportTo(session, 'vm', file, { diskChunkBytes: 4 * MIB });
    const { manifest, directory: unpacked } = unpack(file);
    const blob = manifest.layers[0]?.digest.replace(':', '/') ?? '';
    expect(readFileSync(`${unpacked}/blobs/${blob}`, 'utf8')).toBe(config);
    expect(events[0]).toMatchObject({ kind: 'bytes', subject: 'vm' });
    const worked = events.flatMap((event) => (event.kind === 'worked' ? event.diskBytes : []));
    expect(worked.length).toBeGreaterThan(3);
    expect(worked.reduce((sum, each) => sum + each, 0)).toBe(9437189);
    expect(events.filter(({ kind }) => kind !== 'bytes' && kind !== 'worked')).toEqual([
      { kind: 'started', subject: 'vm', direction: 'export', bytesTotal: undefined, diskBytes: 9437189, chunks: 3 },
      { kind: 'chunk-done', subject: 'vm', index: 0, bytes: 4 * MIB },
      { kind: 'chunk-done', subject: 'vm', index: 1, bytes: 4 * MIB, isZero: true },
      { kind: 'chunk-done', subject: 'vm', index: 2, bytes: MIB + 5, isZero: true },
      { kind: 'finished', subject: 'vm' },
    ]);
    const counted = events.reduce((sum, event) => sum + (event.kind === 'bytes' ? event.count : 0), 0);
    expect(counted).toBe(archiveBytes);
  });

  it('counts as running while it is being written, and says that the memory of a suspended one stays behind (tart-cli §7 #11)', async () => {
    const states: Promise<string>[] = [];
    const notes: string[] = [];
    const session: Session = freshSession({
      onEvent: (event) => {
        if (event.kind === 'note') notes.push(event.text);
        if (event.kind === 'started') states.push(session.vms.require(name).then(async (vm) => session.vms.state(vm)));
      },
    });
    const name = LocalName.parse('vm');
    writeFileSync(`${plantLocal(session, 'vm')}/state.vzvmsave`, 'memory');
    const file = `${temporaryDirectory()}/vm.tar`;
    await exportTo(session, 'vm', file);
    expect(await Promise.all(states)).toEqual(['running']);
    expect(await session.vms.state(await session.vms.require(name))).toBe('suspended');
    expect(notes).toEqual(['vm is suspended: its memory is not exported, the copy will start from its disk']);
    expect(unpack(file).manifest.layers).toHaveLength(3);
  });
});

describe('an exported image of the cache', () => {
  it.each([
    ['with a date', false],
    ['without one', true],
  ])('is the very image that was pushed, when we pushed it: %s', async (_, reproducible) => {
    const at = await startRegistry();
    const [here, there] = [freshSession(), freshSession()];
    plantLocal(here, 'vm');
    const name = RemoteName.parse(`${at}/org/vm:1.0`);
    const [pushed] = await pushVm(here, 'vm', [name], { diskChunkBytes: MIB, reproducible });
    await pull(there, name);
    const file = `${temporaryDirectory()}/vm.tar`;
    const { digest } = await exportTo(there, name.toString(), file);
    expect(digest.toString()).toBe(pushed?.digest.toString());
    expect(unpack(file).index.manifests[0]?.annotations).toEqual({ 'org.opencontainers.image.ref.name': '1.0' });
  });

  it('has a new manifest and the same content where the blobs differ: other labels, another encoder', async () => {
    const at = await startRegistry();
    const [here, there] = [freshSession(), freshSession()];
    plantLocal(here, 'vm');
    const name = RemoteName.parse(`${at}/org/vm:1.0`);
    const [pushed] = await pushVm(here, 'vm', [name], { diskChunkBytes: 3 * MIB, labels: new Map([['team', 'ci']]) });
    await pull(there, name);
    const file = `${temporaryDirectory()}/vm.tar`;
    const { digest } = await exportTo(there, name.toString(), file);
    expect(digest.toString()).not.toBe(pushed?.digest.toString());
    const original = JSON.parse(Buffer.from(pushed?.manifest ?? '').toString()) as Manifest;
    expect(unpack(file).manifest.layers).toEqual(original.layers);
    expect(unpack(file).manifest.annotations).toEqual(original.annotations);
  });

  it('keeps the chunks of its manifest, whichever program encoded them, and has no name when it was pulled by digest', async () => {
    const session = freshSession({ now: () => new Date('2026-01-01T00:00:00Z') });
    const image = tinyImage({ config: Buffer.from(configJson()) });
    const directory = plantImage(session, 'ghcr.io/org/vm', image.digest);
    writeFileSync(`${directory}/manifest.json`, image.manifest);
    writeFileSync(`${directory}/disk.img`, image.disk);
    writeFileSync(`${directory}/nvram.bin`, image.nvram);
    const file = `${temporaryDirectory()}/vm.tar`;
    await exportTo(session, `ghcr.io/org/vm@${image.digest}`, file);
    const unpacked = unpack(file);
    const original = JSON.parse(Buffer.from(image.manifest).toString()) as Manifest;
    expect(contentDigests(unpacked)).toEqual(contentDigests({ ...unpacked, manifest: original }));
    expect(unpacked.manifest.layers[1]?.digest).not.toBe(original.layers[1]?.digest);
    expect(unpacked.index.manifests[0]).not.toHaveProperty('annotations');
  });

  it.each([
    ['disk.img', 'chunk 1 of its disk hashes to sha256:'],
    ['nvram.bin', 'its nvram.bin is not what was pulled'],
    ['config.json', 'its config.json is not what was pulled'],
  ])('is refused when its %s is damaged', async (damagedFile, message) => {
    const session = freshSession();
    const image = tinyImage({ config: Buffer.from(configJson()) });
    const directory = plantImage(session, 'ghcr.io/org/vm', image.digest, 'latest');
    for (const [name, bytes] of Object.entries({
      'manifest.json': image.manifest,
      'disk.img': image.disk,
      'nvram.bin': image.nvram,
    }))
      writeFileSync(`${directory}/${name}`, bytes);
    const bytes = readFileSync(`${directory}/${damagedFile}`);
    if (damagedFile === 'config.json') writeFileSync(`${directory}/${damagedFile}`, `${bytes.toString()} `);
    else
      writeFileSync(
        `${directory}/${damagedFile}`,
        Buffer.from(bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte))),
      );
    const target = temporaryDirectory();
    await expect(exportTo(session, 'ghcr.io/org/vm:latest', `${target}/vm.tar`)).rejects.toMatchObject({
      code: 'STORE_DAMAGED',
      message: expect.stringContaining(message) as string,
    });
    expect(readdirSync(target)).toEqual([]);
  });
});

describe('an export that cannot be', () => {
  it.each([
    ['none', 'VM_NOT_FOUND'],
    ['ghcr.io/org/none:1', 'VM_NOT_FOUND'],
    ['empty', 'VM_INVALID'],
    ['busy', 'BUSY'],
    ['stacked', 'NEEDS_MACOS'],
    ['unreadable', 'CONFIG_INVALID'],
  ])('says so and writes nothing: %s', async (name, code) => {
    const session = freshSession();
    plantVm(`${session.home.vmsDirectory}/empty`, '');
    plantLocal(session, 'busy');
    plantVm(`${session.home.vmsDirectory}/unreadable`);
    writeFileSync(`${session.home.vmsDirectory}/unreadable/config.json`, '{"version":1}');
    plantVm(`${session.home.vmsDirectory}/stacked`);
    renameSync(`${session.home.vmsDirectory}/stacked/disk.img`, `${session.home.vmsDirectory}/stacked/overlay.asif`);
    writeFileSync(`${session.home.vmsDirectory}/stacked/manifest.json`, '{}');
    const lock = await session.vms.hold(await session.vms.require(LocalName.parse('busy')));
    onTestFinished(async () => lock.release());
    const target = temporaryDirectory();
    writeFileSync(`${target}/vm.tar`, 'before');
    await expect(exportTo(session, name, `${target}/vm.tar`)).rejects.toMatchObject({ code });
    expect(readdirSync(target)).toEqual(['vm.tar']);
    expect(readFileSync(`${target}/vm.tar`, 'utf8')).toBe('before');
  });

  it.each([
    ['here', 0],
    ['in threads', 80 * MIB],
  ])('interrupted, leaves the old file, no scratch, and the VM free: %s', async (_, largeBytes) => {
    const interruption = new AbortController();
    const session = freshSession({
      signal: interruption.signal,
      onEvent: ({ kind }) => void (kind === 'chunk-done' && interruption.abort(new Error('enough'))),
    });
    const directory = plantLocal(session, 'vm');
    if (largeBytes > 0) truncateSync(`${directory}/disk.img`, largeBytes);
    const target = temporaryDirectory();
    writeFileSync(`${target}/vm.tar`, 'before');
    await expect(exportTo(session, 'vm', `${target}/vm.tar`, { diskChunkBytes: MIB })).rejects.toThrow('enough');
    expect(readdirSync(target)).toEqual(['vm.tar']);
    expect(readFileSync(`${target}/vm.tar`, 'utf8')).toBe('before');
    expect(readdirSync(session.home.scratchDirectory)).toEqual([]);
    expect(await session.vms.state(await session.vms.require(LocalName.parse('vm')))).toBe('stopped');
  });

  it('because the disk changes meanwhile, leaves nothing', async () => {
    let directory = '';
    const session = freshSession({
      onEvent: (event) => void (event.kind === 'chunk-done' && appendFileSync(`${directory}/disk.img`, 'x')),
    });
    directory = plantLocal(session, 'vm');
    const target = temporaryDirectory();
    await expect(exportTo(session, 'vm', `${target}/vm.tar`)).rejects.toMatchObject({
      code: 'CHUNK_CORRUPT',
      facts: { kept: 'nothing was written' },
    });
    expect(readdirSync(target)).toEqual([]);
  });

  it('because the reader of the stream went away, fails', async () => {
    const session = freshSession();
    plantLocal(session, 'vm');
    const stream = new Writable({ write: (_piece, _encoding, done) => done(new Error('write EPIPE')) });
    stream.on('error', () => undefined);
    await expect(exportVm(session, 'vm', { kind: 'stream', stream, name: 'stdout' })).rejects.toMatchObject({
      code: 'DISK_IO',
      message: 'cannot write to stdout: write EPIPE',
    });
  });
});

describe('the file of an export', () => {
  it('replaces what a symlink leads to, and a directory is no file', async () => {
    const session = freshSession();
    plantLocal(session, 'vm');
    const target = temporaryDirectory();
    mkdirSync(`${target}/disk2`);
    writeFileSync(`${target}/disk2/real.tar`, 'before');
    symlinkSync(`${target}/disk2/real.tar`, `${target}/link.tar`);
    await exportTo(session, 'vm', `${target}/link.tar`);
    expect(lstatSync(`${target}/link.tar`).isSymbolicLink()).toBe(true);
    expect(unpack(`${target}/disk2/real.tar`).names).toContain('index.json');
    await expect(exportTo(session, 'vm', `${target}/disk2`)).rejects.toMatchObject({ code: 'USAGE' });
    await expect(exportTo(session, 'vm', `${target}/none/vm.tar`)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('may be a pipe, which stays one', async () => {
    const session = freshSession();
    plantLocal(session, 'vm');
    const target = temporaryDirectory();
    execFileSync('mkfifo', [`${target}/pipe`]);
    const [bytes, { archiveBytes }] = await Promise.all([
      readFile(`${target}/pipe`),
      exportTo(session, 'vm', `${target}/pipe`),
    ]);
    expect(bytes).toHaveLength(archiveBytes);
    expect(lstatSync(`${target}/pipe`).isFIFO()).toBe(true);
  });
});
