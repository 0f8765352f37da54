import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { findProgram, programsIn } from '../../src/fs/system-program.ts';
import { temporaryDirectory } from '../support/directory.ts';

it('a program is looked for in the order of the search path, and what cannot be run is none', async () => {
  const directory = temporaryDirectory();
  for (const name of ['directory', 'data', 'first', 'second']) mkdirSync(`${directory}/${name}`);
  mkdirSync(`${directory}/directory/tool`);
  writeFileSync(`${directory}/data/tool`, '');
  writeFileSync(`${directory}/first/tool`, '#!/bin/sh\n');
  chmodSync(`${directory}/first/tool`, 0o755);
  symlinkSync('../first/tool', `${directory}/second/tool`);
  const searchPath = ['nowhere', 'directory', 'data', 'first', 'second']
    .map((name) => `${directory}/${name}`)
    .join(':');
  const all: string[] = [];
  for await (const file of programsIn(searchPath, 'tool')) all.push(file);
  expect(all).toEqual([`${directory}/first/tool`, `${directory}/second/tool`]);
  expect(await findProgram(searchPath, 'tool')).toBe(`${directory}/first/tool`);
  expect(await findProgram(searchPath, 'other')).toBeUndefined();
});

it('relative and empty entries of a search path are passed over', async () => {
  expect(await findProgram(':.:bin', 'tartlet')).toBeUndefined();
  expect(await findProgram('', 'tartlet')).toBeUndefined();
});
