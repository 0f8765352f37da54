import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { systemCode } from '../../src/errors.ts';
import { removeFolder } from '../../src/fs/publish.ts';
import { temporaryFolder } from '../support/folder.ts';

const FILES = 3000;

test('a folder that is being removed is whole or gone, at every moment that somebody looks (P4)', async () => {
  const root = temporaryFolder();
  const folder = `${root}/image`;
  mkdirSync(folder);
  for (let file = 0; file < FILES; file += 1) writeFileSync(`${folder}/${file}`, '');

  const removal = { over: false };
  const removed = removeFolder(folder, `${root}/trash`, '0').finally(() => {
    removal.over = true;
  });
  const seen = new Set<number>();
  while (!removal.over) {
    seen.add(filesIn(folder));
    await setImmediate();
  }
  await removed;
  seen.add(0);
  expect([...seen].sort((a, b) => a - b)).toEqual([0, FILES]);
  expect(readdirSync(`${root}/trash`)).toEqual([]);
});

/** None where there is no such folder. */
function filesIn(folder: string): number {
  try {
    return readdirSync(folder).length;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw error;
  }
}
