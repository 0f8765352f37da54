import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { findProgram, programsIn } from '../../src/fs/system-program.ts';
import { temporaryFolder } from '../support/folder.ts';

test('a program is looked for in the order of the search path, and what cannot be run is none', async () => {
  const folder = temporaryFolder();
  for (const name of ['directory', 'data', 'first', 'second']) mkdirSync(`${folder}/${name}`);
  mkdirSync(`${folder}/directory/tool`);
  writeFileSync(`${folder}/data/tool`, '');
  writeFileSync(`${folder}/first/tool`, '#!/bin/sh\n');
  chmodSync(`${folder}/first/tool`, 0o755);
  symlinkSync('../first/tool', `${folder}/second/tool`);
  const searchPath = ['nowhere', 'directory', 'data', 'first', 'second'].map((name) => `${folder}/${name}`).join(':');
  const all: string[] = [];
  for await (const file of programsIn(searchPath, 'tool')) all.push(file);
  expect(all).toEqual([`${folder}/first/tool`, `${folder}/second/tool`]);
  expect(await findProgram(searchPath, 'tool')).toBe(`${folder}/first/tool`);
  expect(await findProgram(searchPath, 'other')).toBeUndefined();
});

test('relative and empty entries of a search path are passed over', async () => {
  expect(await findProgram(':.:bin', 'tartlet')).toBeUndefined();
  expect(await findProgram('', 'tartlet')).toBeUndefined();
});
