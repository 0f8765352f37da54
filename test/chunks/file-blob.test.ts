import { truncateSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { fileBytes } from '../../src/chunks/file-blob.ts';
import { temporaryDirectory } from '../support/directory.ts';

async function read(path: string, from: number, to: number): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of fileBytes(path, from, to)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

it('an extent of a file is read, and an empty one of any file', async () => {
  const file = `${temporaryDirectory()}/file`;
  writeFileSync(file, 'abcdef');
  expect([await read(file, 1, 4), await read(file, 3, 3), await read(file, 0, 6)]).toEqual(['bcd', '', 'abcdef']);
  truncateSync(file, 0);
  expect(await read(file, 0, 0)).toBe('');
});

it('what is not there is a fault of the disk', async () => {
  const file = `${temporaryDirectory()}/file`;
  await expect(read(file, 0, 1)).rejects.toMatchObject({ code: 'DISK_IO', facts: { subject: file } });
});

it('a file that became shorter was changed, and is not waited for', async () => {
  const file = `${temporaryDirectory()}/file`;
  writeFileSync(file, 'abc');
  await expect(read(file, 0, 6)).rejects.toMatchObject({
    code: 'CHUNK_CORRUPT',
    message: `${file} was changed while it was being pushed`,
  });
});
