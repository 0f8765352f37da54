import { appendFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ChunkJournal, noteBoundaries, notePieces } from '../../src/home/chunk-journal.ts';
import { temporaryDirectory } from '../support/directory.ts';

function fresh() {
  const file = `${temporaryDirectory()}/.verified`;
  return { file, journal: new ChunkJournal(file) };
}

it('one that is not there says nothing about any chunk', async () => {
  const { journal } = fresh();
  expect(await journal.verified()).toBeUndefined();
  expect(await journal.underWay()).toEqual(new Map());
});

it('the last word about a chunk counts, and none about one that was verified', async () => {
  const { journal } = fresh();
  await journal.begin();
  const marks = [0, 3, 12].map((index) => noteBoundaries({ journal: journal.path, index }));
  for (const [at, mark] of marks.entries()) mark.note({ encoded: 100 + at, decoded: 65_536 });
  marks[1]?.note({ encoded: 40_000, decoded: 131_072 });
  await journal.record(12);
  for (const mark of marks) mark.close();
  expect(await journal.verified()).toEqual(new Set([12]));
  expect(await journal.underWay()).toEqual(
    new Map([
      [0, { encoded: 100, decoded: 65_536 }],
      [3, { encoded: 40_000, decoded: 131_072 }],
    ]),
  );
});

it('a line that a crash tore spoils none after it', async () => {
  const { file, journal } = fresh();
  writeFileSync(file, '0\n3@70000:131072\n4@700');
  await journal.begin();
  await journal.record(4);
  expect(await journal.verified()).toEqual(new Set([0, 4]));
  expect(await journal.underWay()).toEqual(new Map([[3, { encoded: 70_000, decoded: 131_072 }]]));
});

it('what is no entry is passed over', async () => {
  const { file, journal } = fresh();
  appendFileSync(file, ['', '-1', '1.5', '1234567', '2@', '@3:4', '5@-1:2', '6@1:1e3', '7@ 1:2', '8'].join('\n'));
  expect(await journal.verified()).toEqual(new Set([8]));
  expect(await journal.underWay()).toEqual(new Map());
});

it('names the pieces of a chunk that was not verified, and none of one that was', async () => {
  const { file, journal } = fresh();
  await journal.begin();
  const [two, five] = [2, 5].map((index) => notePieces({ journal: journal.path, index }));
  for (const piece of [7, 0, 7]) two?.note(piece);
  five?.note(3);
  for (const notes of [two, five]) notes?.close();
  await journal.record(5);
  appendFileSync(file, ['2#', '2#-1', '#4', '2#1.5', '2#12345678', '3#9'].join('\n'));
  expect(await journal.pieces()).toEqual(
    new Map([
      [2, new Set([7, 0])],
      [3, new Set([9])],
    ]),
  );
  expect(await journal.verified()).toEqual(new Set([5]));
});
