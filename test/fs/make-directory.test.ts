import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { expect, it } from 'vitest';
import { makeDirectoryTree } from '../../src/fs/directory-tree.ts';
import { temporaryDirectory } from '../support/directory.ts';

it('makes what is missing above, also when many want it at once', async () => {
  const root = temporaryDirectory();
  const directories = Array.from({ length: 50 }, (_, index) => `${root}/a/b/c/d${index % 5}/e`);
  await Promise.all(directories.map(async (directory) => makeDirectoryTree(directory)));
  for (const directory of directories) expect(existsSync(directory)).toBe(true);
});

it('makes the directory that a symlink points to', async () => {
  const root = temporaryDirectory();
  mkdirSync(`${root}/disk`);
  symlinkSync(`${root}/disk/tart`, `${root}/link`);
  await makeDirectoryTree(`${root}/link`);
  expect(existsSync(`${root}/disk/tart`)).toBe(true);
});

it.runIf(process.platform === 'linux')('comes back from where no directory can be made', async () => {
  // Node's own recursive mkdir does not.
  await expect(makeDirectoryTree('/proc/tartlet/x')).rejects.toMatchObject({
    code: expect.stringMatching(/^DISK_/) as string,
  });
});
