import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import type { FileExtent } from '../../src/chunks/file-blob.ts';
import { blobFile } from '../../src/archive/layout-file.ts';
import { tarHeader } from '../../src/archive/tar-header.ts';
import { readTarIndex } from '../../src/archive/tar-reader.ts';
import { TarWriter } from '../../src/archive/tar-writer.ts';
import { Digest } from '../../src/names/digest.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { fakeDigest } from '../support/tart-image.ts';
import { blobName, paxEntry, tarEntry, type TarEntry, tarFile, tarHeaderOf } from '../support/tar-file.ts';

const GIB = 1024 ** 3;
const signal = new AbortController().signal;

function contentOf({ path, offset, size }: FileExtent): Buffer {
  const fd = openSync(path, 'r');
  const bytes = Buffer.alloc(size);
  readSync(fd, bytes, 0, size, offset);
  closeSync(fd);
  return bytes;
}

describe('entries beyond 8 GiB', () => {
  const BLOB = blobName(fakeDigest('a'));
  const SIZE = 9 * GIB;

  /** A header, nine GiB of hole, and an index behind it. */
  function sparse(header: Buffer): string {
    const file = `${temporaryDirectory()}/large.tar`;
    writeFileSync(file, header);
    const fd = openSync(file, 'r+');
    const tail = tarFile([{ name: 'index.json', content: Buffer.from('{}') }]);
    writeSync(fd, tail, 0, tail.length, header.length + SIZE);
    closeSync(fd);
    return file;
  }

  it.each<[string, () => Buffer]>([
    ['as we write them', () => tarHeader('file', BLOB, SIZE)],
    ['as GNU tar writes them', () => tarHeaderOf({ name: BLOB, format: 'gnu', size: SIZE })],
    [
      'with their size in a pax header',
      () => Buffer.concat([tarEntry(paxEntry('x', 'mtime=1.5', `size=${SIZE}`)), tarHeaderOf({ name: BLOB, size: 0 })]),
    ],
  ])('are read with their full size: %s', async (_, header) => {
    const file = sparse(header());
    const { files } = await readTarIndex(file, signal);
    expect(files.get(BLOB)).toEqual({ path: file, offset: header().length, size: SIZE });
    expect(files.get('index.json')).toEqual({ path: file, offset: header().length + SIZE + 512, size: 2 });
  });

  it('and only those get a header more', () => {
    expect(tarHeader('file', BLOB, 8 * GIB - 1)).toHaveLength(512);
    expect(tarHeader('file', BLOB, 8 * GIB)).toHaveLength(3 * 512);
  });

  it('are understood by tar', () => {
    const file = sparse(tarHeader('file', BLOB, SIZE));
    const listing = execFileSync('tar', ['-tvf', file], { encoding: 'utf8' });
    expect(listing.split('\n')[0]).toMatch(new RegExp(`^-rw-r--r-- 0/0 +${SIZE} 1970-01-01 .* ${BLOB}$`));
    expect(listing).toContain(' index.json\n');
  });
});

describe('names', () => {
  it('longer than a header has room for, in each of the three ways to write them', async () => {
    const long = `blobs/sha512/${'c'.repeat(128)}`;
    const content = Buffer.from('content');
    const cases: readonly (readonly TarEntry[])[] = [
      [paxEntry('x', `path=${long}`), { name: long.slice(0, 100), content }],
      [
        { name: '././@LongLink', type: 'L', content: Buffer.from(`${long}\0`), format: 'gnu' },
        { name: long.slice(0, 100), content, format: 'gnu' },
      ],
      [{ name: 'a'.repeat(64), prefix: 'blobs/sha256', content }],
    ];
    const found = await Promise.all(
      cases.map(async (entries) => {
        const file = `${temporaryDirectory()}/names.tar`;
        writeFileSync(file, tarFile(entries));
        return [...(await readTarIndex(file, signal)).files.keys()];
      }),
    );
    expect(found).toEqual([[long], [long], [`blobs/sha256/${'a'.repeat(64)}`]]);
  });

  it('of other files are passed over, and a few of them told', async () => {
    const file = `${temporaryDirectory()}/names.tar`;
    const names = ['manifest.json', 'blobs/sha256/short', `blobs/sha256/${'A'.repeat(64)}`, 'blobs', 'fifth'];
    writeFileSync(file, tarFile(names.map((name) => ({ name, content: Buffer.from('x') }))));
    const { files, others } = await readTarIndex(file, signal);
    expect([...files]).toEqual([]);
    expect(others).toEqual(names.slice(0, 4));
  });
});

describe('the end of a tar file', () => {
  it.each<[string, Buffer]>([
    ['one block of zeros', Buffer.alloc(512)],
    ['two', Buffer.alloc(1024)],
    ['zeros up to a record, as GNU tar pads', Buffer.alloc(10_240)],
    ['something after the zeros', Buffer.concat([Buffer.alloc(1024), Buffer.alloc(700, 'trailing')])],
  ])('is %s', async (_, end) => {
    const file = `${temporaryDirectory()}/end.tar`;
    writeFileSync(file, tarFile([{ name: 'index.json', content: Buffer.from('{}') }], end));
    expect([...(await readTarIndex(file, signal)).files.keys()]).toEqual(['index.json']);
  });

  it('may not be missing', async () => {
    const file = `${temporaryDirectory()}/end.tar`;
    writeFileSync(file, tarFile([{ name: 'index.json', content: Buffer.from('{}') }], Buffer.alloc(0)));
    await expect(readTarIndex(file, signal)).rejects.toMatchObject({ code: 'ARCHIVE_INVALID' });
    truncateSync(file, 0);
    await expect(readTarIndex(file, signal)).rejects.toMatchObject({ code: 'ARCHIVE_INVALID' });
  });
});

property.prop([fc.uniqueArray(fc.uint8Array({ maxLength: 2000 }), { maxLength: 8, selector: String })], {
  numRuns: 100,
})('whatever is written is read back, and by tar too', async (contents) => {
  const pieces: Buffer[] = [];
  const writer = new TarWriter({ write: async (bytes) => void pieces.push(Buffer.from(bytes)) });
  await writer.directory('blobs');
  const names = contents.map((bytes) => blobFile(Digest.sha256(createHash('sha256').update(bytes).digest('hex'))));
  for (const [index, bytes] of contents.entries()) await writer.file(names[index] ?? '', bytes.length, [bytes]);
  await writer.end();
  const file = `${temporaryDirectory()}/round.tar`;
  writeFileSync(file, Buffer.concat(pieces));
  const { files } = await readTarIndex(file, signal);
  expect([...files.values()].map(contentOf)).toEqual(contents.map((bytes) => Buffer.from(bytes)));
  expect(execFileSync('tar', ['-tf', file], { encoding: 'utf8' })).toBe(
    ['blobs/', ...names].map((name) => `${name}\n`).join(''),
  );
});
