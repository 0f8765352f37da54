import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fc } from '@fast-check/vitest';
import { expect } from 'vitest';
import { TartletError } from '../../src/errors.ts';
import { LocalName } from '../../src/names/local-name.ts';
import { readTarIndex } from '../../src/archive/tar-reader.ts';
import { importVm } from '../../src/archive/import.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { configJson, freshSession } from '../support/home.ts';
import { layoutEntries, layoutOf, paxEntry, type TarEntry, tarFile } from '../support/tar-file.ts';
import { tinyImage } from '../support/tart-image.ts';
import { fuzz, nearlyBytes } from './fuzzing.ts';

const image = tinyImage({
  config: Buffer.from(configJson()),
  chunks: [Buffer.alloc(4096, 'tartlet')],
  nvram: Buffer.from('nvram'),
});
const honest = layoutEntries(layoutOf({ image }));
const names = fc.constantFrom(
  '../evil',
  '/evil',
  'blobs/../../evil',
  'oci-layout',
  'index.json',
  './index.json',
  'a\0b',
  '',
);
const hostile: fc.Arbitrary<TarEntry> = fc.oneof(
  fc.record({ name: names, type: fc.constantFrom('0', '1', '2', '3', '5', '6', '7', 'K', 'S'), linkName: names }),
  fc.record({
    name: names,
    size: fc.constantFrom(0, 511, 513, 8 ** 11 - 1, 2n ** 63n),
    format: fc.constantFrom('posix' as const, 'gnu' as const),
  }),
  fc
    .tuple(
      fc.constantFrom('x' as const, 'g' as const),
      names,
      fc.constantFrom('path', 'size', 'linkpath', 'GNU.sparse.map'),
    )
    .map(([type, value, key]) => paxEntry(type, `${key}=${value}`)),
);
const archive = fc
  .tuple(fc.array(hostile, { maxLength: 2 }), fc.nat(honest.length))
  .map(([more, at]) => tarFile([...honest.slice(0, at), ...more, ...honest.slice(at)]));

fuzz(
  'a tar file is refused, or makes the VM of its image and nothing anywhere else (S24, S28)',
  [nearlyBytes(archive)],
  async (bytes) => {
    const directory = temporaryDirectory();
    const file = `${directory}/in/archive.tar`;
    mkdirSync(`${directory}/in`);
    writeFileSync(file, bytes);
    const session = freshSession();
    try {
      await importVm(session, { kind: 'path', path: file }, LocalName.parse('vm'));
      expect(readFileSync(`${session.home.vmsDirectory}/vm/disk.img`).equals(image.disk)).toBe(true);
    } catch (error) {
      if (!(error instanceof TartletError) || error.code === 'INTERNAL') throw error;
      expect(existsSync(session.home.vmsDirectory) ? readdirSync(session.home.vmsDirectory) : []).toEqual([]);
    }
    expect(readdirSync(directory, { recursive: true, encoding: 'utf8' })).toEqual(['in', 'in/archive.tar']);
  },
  150,
);

fuzz(
  'the extents of a tar index lie within the file or are refused when they are read (S24)',
  [nearlyBytes(archive)],
  async (bytes) => {
    const file = `${temporaryDirectory()}/archive.tar`;
    writeFileSync(file, bytes);
    try {
      const { files } = await readTarIndex(file, new AbortController().signal);
      for (const { offset, size } of files.values())
        expect(Number.isSafeInteger(offset + size) && size >= 0).toBe(true);
    } catch (error) {
      if (!(error instanceof TartletError) || error.code === 'INTERNAL') throw error;
    }
  },
  400,
);
