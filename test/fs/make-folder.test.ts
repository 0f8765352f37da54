import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { expect, it } from 'vitest';
import { makeFolder } from '../../src/fs/directory-tree.ts';
import { temporaryFolder } from '../support/folder.ts';

it('makes what is missing above, also when many want it at once', async () => {
  const root = temporaryFolder();
  const folders = Array.from({ length: 50 }, (_, index) => `${root}/a/b/c/d${index % 5}/e`);
  await Promise.all(folders.map(async (folder) => makeFolder(folder)));
  for (const folder of folders) expect(existsSync(folder)).toBe(true);
});

it('makes the folder that a link points to', async () => {
  const root = temporaryFolder();
  mkdirSync(`${root}/disk`);
  symlinkSync(`${root}/disk/tart`, `${root}/link`);
  await makeFolder(`${root}/link`);
  expect(existsSync(`${root}/disk/tart`)).toBe(true);
});

it.runIf(process.platform === 'linux')('comes back from where no folder can be made', async () => {
  // Node's own recursive mkdir does not.
  await expect(makeFolder('/proc/tartlet/x')).rejects.toMatchObject({
    code: expect.stringMatching(/^DISK_/) as string,
  });
});
