import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  readNamedFile,
  readSmallFile,
  readSmallFileIfThere,
  readSmallFileIfThereSync,
} from '../../src/fs/small-file.ts';
import { lstatIfThere, lstatIfThereSync, statIfThere, statIfThereSync } from '../../src/fs/stats.ts';
import { temporaryFolder } from '../support/folder.ts';

let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
  writeFileSync(`${folder}/file`, 'content');
});

describe('a small file is read whole, and never more of it than belongs there', () => {
  test('as many bytes as may be', async () => {
    expect((await readSmallFile(`${folder}/file`, 7)).toString()).toBe('content');
    expect(readSmallFileIfThereSync(`${folder}/file`, 7)?.toString()).toBe('content');
    expect(await readNamedFile(`${folder}/file`, 7)).toMatchObject({ kind: 'read', bytes: Buffer.from('content') });
  });

  test('one byte more is refused before anything is read', async () => {
    const damaged = { code: 'STORE_DAMAGED', message: `${folder}/file has 7 bytes, and may have 6` };
    await expect(readSmallFile(`${folder}/file`, 6)).rejects.toMatchObject(damaged);
    await expect(readSmallFileIfThere(`${folder}/file`, 6)).rejects.toMatchObject(damaged);
    expect(() => readSmallFileIfThereSync(`${folder}/file`, 6)).toThrow(damaged.message);
    expect(await readNamedFile(`${folder}/file`, 6)).toEqual({ kind: 'too-large', size: 7 });
  });
});

test('what is not there is a value, also below a file', async () => {
  for (const path of [`${folder}/absent`, `${folder}/file/below`]) {
    expect(await readSmallFileIfThere(path)).toBeUndefined();
    expect(readSmallFileIfThereSync(path)).toBeUndefined();
    expect(await readNamedFile(path, 7)).toBeUndefined();
    expect([await lstatIfThere(path), await statIfThere(path)]).toEqual([undefined, undefined]);
    expect([lstatIfThereSync(path), statIfThereSync(path)]).toEqual([undefined, undefined]);
  }
  await expect(readSmallFile(`${folder}/absent`)).rejects.toMatchObject({ code: 'DISK_IO' });
});

test('a pipe is not waited for, and a directory not read', async () => {
  execFileSync('mkfifo', [`${folder}/pipe`]);
  mkdirSync(`${folder}/directory`);
  for (const path of [`${folder}/pipe`, `${folder}/directory`]) {
    await expect(readSmallFileIfThere(path)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    expect(() => readSmallFileIfThereSync(path)).toThrow('is not a file');
    expect(await readNamedFile(path, 7)).toEqual({ kind: 'not-a-file' });
  }
});

test('a symlink is followed where the user named it, and in a home it is not (S25)', async () => {
  symlinkSync('file', `${folder}/link`);
  symlinkSync('absent', `${folder}/dangling`);
  await expect(readSmallFileIfThere(`${folder}/link`)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  await expect(readSmallFileIfThere(`${folder}/dangling`)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  expect(await readNamedFile(`${folder}/link`, 7)).toMatchObject({ kind: 'read', bytes: Buffer.from('content') });
  expect(await readNamedFile(`${folder}/dangling`, 7)).toBeUndefined();
  expect((await lstatIfThere(`${folder}/dangling`))?.isSymbolicLink()).toBe(true);
  expect(await statIfThere(`${folder}/dangling`)).toBeUndefined();
});
