import { randomUUID } from 'node:crypto';
import { openSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { tryFlock } from '../../src/fs/native.ts';
import { withArchiveFile } from '../../src/archive/archive-sink.ts';
import { temporaryFolder } from '../support/folder.ts';

/** An unfinished archive, an hour old unless it is `fresh`. */
function plantUnfinished(folder: string, isFresh = false): string {
  const name = `.${randomUUID()}.tartlet-export`;
  writeFileSync(`${folder}/${name}`, 'half an archive');
  if (!isFresh) utimesSync(`${folder}/${name}`, Date.now() / 1000 - 3600, Date.now() / 1000 - 3600);
  return name;
}

test('an export removes what a killed one left beside it, and nothing else', async () => {
  const folder = temporaryFolder();
  plantUnfinished(folder);
  const fresh = plantUnfinished(folder, true);
  const held = plantUnfinished(folder);
  expect(tryFlock(openSync(`${folder}/${held}`, 'r+'), 'exclusive')).toBe(true);
  writeFileSync(`${folder}/.notes.tartlet-export`, 'of the user');
  const session = { signal: new AbortController().signal, fileMode: undefined };
  await withArchiveFile(`${folder}/vm.tar`, session, async (sink) => sink.write(Buffer.from('whole')));
  expect(readdirSync(folder).sort()).toEqual([fresh, held, '.notes.tartlet-export', 'vm.tar'].sort());
});
