import { randomUUID } from 'node:crypto';
import { openSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { tryFlock } from '../../src/fs/native.ts';
import { withArchiveFile } from '../../src/archive/archive-sink.ts';
import { temporaryDirectory } from '../support/directory.ts';

/** An unfinished archive, an hour old unless it is `fresh`. */
function plantUnfinished(directory: string, isFresh = false): string {
  const name = `.${randomUUID()}.tartlet-export`;
  writeFileSync(`${directory}/${name}`, 'half an archive');
  if (!isFresh) utimesSync(`${directory}/${name}`, Date.now() / 1000 - 3600, Date.now() / 1000 - 3600);
  return name;
}

it('an export removes what a killed one left beside it, and nothing else', async () => {
  const directory = temporaryDirectory();
  plantUnfinished(directory);
  const fresh = plantUnfinished(directory, true);
  const held = plantUnfinished(directory);
  expect(tryFlock(openSync(`${directory}/${held}`, 'r+'), 'exclusive')).toBe(true);
  writeFileSync(`${directory}/.notes.tartlet-export`, 'of the user');
  const session = { signal: new AbortController().signal, fileMode: undefined };
  await withArchiveFile(`${directory}/vm.tar`, session, async (sink) => sink.write(Buffer.from('whole')));
  expect(readdirSync(directory).sort()).toEqual([fresh, held, '.notes.tartlet-export', 'vm.tar'].sort());
});
