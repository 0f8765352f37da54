import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { systemCode } from '../../src/errors.ts';
import { removeDirectory } from '../../src/fs/publish.ts';
import { temporaryDirectory } from '../support/directory.ts';

const FILES = 3000;

it('a directory that is being removed is whole or gone, at every moment (P4)', async () => {
  const root = temporaryDirectory();
  const directory = `${root}/image`;
  mkdirSync(directory);
  for (let file = 0; file < FILES; file += 1) writeFileSync(`${directory}/${file}`, '');

  const removal = { over: false };
  const removed = removeDirectory(directory, `${root}/trash`, '0').finally(() => {
    removal.over = true;
  });
  const seen = new Set<number>();
  while (!removal.over) {
    seen.add(filesIn(directory));
    await setImmediate();
  }
  await removed;
  seen.add(0);
  expect([...seen].sort((a, b) => a - b)).toEqual([0, FILES]);
  expect(readdirSync(`${root}/trash`)).toEqual([]);
});

/** None where there is no such directory. */
function filesIn(directory: string): number {
  try {
    return readdirSync(directory).length;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw error;
  }
}
