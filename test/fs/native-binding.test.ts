import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { bindingFile } from '../../src/fs/native-binding.ts';
import { temporaryFolder } from '../support/folder.ts';

/** Puts a binding of that system into a `node_modules`. */
function install(folder: string, system: string): string {
  mkdirSync(`${folder}/@yuuang/ffi-rs-${system}`, { recursive: true });
  const file = `${folder}/@yuuang/ffi-rs-${system}/ffi-rs.${system}.node`;
  writeFileSync(file, '');
  return file;
}

test('the native binding is taken from our own packages, in a checkout', () => {
  const root = temporaryFolder();
  const file = install(`${root}/node_modules`, 'linux-x64-gnu');
  expect(bindingFile(`${root}/dist/bin`, 'linux', 'x64')).toBe(file);
  expect(bindingFile(`${root}/dist/bin`, 'linux', 'arm64')).toBeUndefined();
  expect(bindingFile(`${root}/dist/bin`, 'darwin', 'x64')).toBeUndefined();
});

test('the native binding is taken from the packages that we were installed with, musl or not', () => {
  const root = temporaryFolder();
  const file = install(`${root}/node_modules`, 'linux-arm64-musl');
  expect(bindingFile(`${root}/node_modules/tartlet/dist/bin`, 'linux', 'arm64')).toBe(file);
  expect(bindingFile(`${root}/node_modules/tartlet/src/home`, 'linux', 'arm64')).toBe(file);
});

test('the native binding is not taken from a directory further up, where others may write (issue 14, item 16)', () => {
  const root = temporaryFolder();
  install(`${root}/node_modules`, 'linux-x64-gnu');
  expect(bindingFile(`${root}/deep/tartlet/dist/bin`, 'linux', 'x64')).toBeUndefined();
});
