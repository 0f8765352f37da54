import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  readNamedFile,
  readSmallFile,
  readSmallFileIfThere,
  readSmallFileIfThereSync,
} from '../../src/fs/small-file.ts';
import { lstatIfThere, lstatIfThereSync, statIfThere, statIfThereSync } from '../../src/fs/stats.ts';
import { temporaryDirectory } from '../support/directory.ts';

let directory: string;

beforeEach(() => {
  directory = temporaryDirectory();
  writeFileSync(`${directory}/file`, 'content');
});

describe('a small file is read whole, and never more of it than belongs there', () => {
  it('as many bytes as may be', async () => {
    expect((await readSmallFile(`${directory}/file`, 7)).toString()).toBe('content');
    expect(readSmallFileIfThereSync(`${directory}/file`, 7)?.toString()).toBe('content');
    expect(await readNamedFile(`${directory}/file`, 7)).toMatchObject({ kind: 'read', bytes: Buffer.from('content') });
  });

  it('one byte more is refused before anything is read', async () => {
    const damaged = { code: 'STORE_DAMAGED', message: `${directory}/file has 7 bytes, and may have 6` };
    await expect(readSmallFile(`${directory}/file`, 6)).rejects.toMatchObject(damaged);
    await expect(readSmallFileIfThere(`${directory}/file`, 6)).rejects.toMatchObject(damaged);
    expect(() => readSmallFileIfThereSync(`${directory}/file`, 6)).toThrow(damaged.message);
    expect(await readNamedFile(`${directory}/file`, 6)).toEqual({ kind: 'too-large', size: 7 });
  });
});

it('what is not there is a value, also below a file', async () => {
  for (const path of [`${directory}/absent`, `${directory}/file/below`]) {
    expect(await readSmallFileIfThere(path)).toBeUndefined();
    expect(readSmallFileIfThereSync(path)).toBeUndefined();
    expect(await readNamedFile(path, 7)).toBeUndefined();
    expect([await lstatIfThere(path), await statIfThere(path)]).toEqual([undefined, undefined]);
    expect([lstatIfThereSync(path), statIfThereSync(path)]).toEqual([undefined, undefined]);
  }
  await expect(readSmallFile(`${directory}/absent`)).rejects.toMatchObject({ code: 'DISK_IO' });
});

it('a pipe is not waited for, and a directory not read', async () => {
  execFileSync('mkfifo', [`${directory}/pipe`]);
  mkdirSync(`${directory}/directory`);
  for (const path of [`${directory}/pipe`, `${directory}/directory`]) {
    await expect(readSmallFileIfThere(path)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    expect(() => readSmallFileIfThereSync(path)).toThrow('is not a file');
    expect(await readNamedFile(path, 7)).toEqual({ kind: 'not-a-file' });
  }
});

it('a symlink is followed where the user named it, and in a home it is not (S25)', async () => {
  symlinkSync('file', `${directory}/link`);
  symlinkSync('absent', `${directory}/dangling`);
  await expect(readSmallFileIfThere(`${directory}/link`)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  await expect(readSmallFileIfThere(`${directory}/dangling`)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  expect(await readNamedFile(`${directory}/link`, 7)).toMatchObject({ kind: 'read', bytes: Buffer.from('content') });
  expect(await readNamedFile(`${directory}/dangling`, 7)).toBeUndefined();
  expect((await lstatIfThere(`${directory}/dangling`))?.isSymbolicLink()).toBe(true);
  expect(await statIfThere(`${directory}/dangling`)).toBeUndefined();
});
