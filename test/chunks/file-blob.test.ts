import { truncateSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fileBytes } from '../../src/chunks/file-blob.ts';
import { temporaryFolder } from '../support/folder.ts';

async function read(path: string, from: number, to: number): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of fileBytes(path, from, to)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

test('a stretch of a file is read, and an empty one of any file', async () => {
  const file = `${temporaryFolder()}/file`;
  writeFileSync(file, 'abcdef');
  expect([await read(file, 1, 4), await read(file, 3, 3), await read(file, 0, 6)]).toEqual(['bcd', '', 'abcdef']);
  truncateSync(file, 0);
  expect(await read(file, 0, 0)).toBe('');
});

test('what is not there is a fault of the disk', async () => {
  const file = `${temporaryFolder()}/file`;
  await expect(read(file, 0, 1)).rejects.toMatchObject({ code: 'DISK_IO', facts: { subject: file } });
});

test('a file that became shorter was changed, and is not waited for', async () => {
  const file = `${temporaryFolder()}/file`;
  writeFileSync(file, 'abc');
  await expect(read(file, 0, 6)).rejects.toMatchObject({
    code: 'CHUNK_CORRUPT',
    message: `${file} was changed while it was being pushed`,
  });
});
