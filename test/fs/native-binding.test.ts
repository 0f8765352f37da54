import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { bindingFile } from '../../src/fs/native-binding.ts';
import { temporaryDirectory } from '../support/directory.ts';

/** Puts a binding of that system into a `node_modules`. */
function install(directory: string, system: string): string {
  mkdirSync(`${directory}/@yuuang/ffi-rs-${system}`, { recursive: true });
  const file = `${directory}/@yuuang/ffi-rs-${system}/ffi-rs.${system}.node`;
  writeFileSync(file, '');
  return file;
}

it('the native binding is taken from our own packages, in a checkout', () => {
  const root = temporaryDirectory();
  const file = install(`${root}/node_modules`, 'linux-x64-gnu');
  expect(bindingFile(`${root}/dist/bin`, 'linux', 'x64')).toBe(file);
  expect(bindingFile(`${root}/dist/bin`, 'linux', 'arm64')).toBeUndefined();
  expect(bindingFile(`${root}/dist/bin`, 'darwin', 'x64')).toBeUndefined();
});

it('the native binding is taken from the packages that we were installed with, musl or not', () => {
  const root = temporaryDirectory();
  const file = install(`${root}/node_modules`, 'linux-arm64-musl');
  expect(bindingFile(`${root}/node_modules/tartlet/dist/bin`, 'linux', 'arm64')).toBe(file);
  expect(bindingFile(`${root}/node_modules/tartlet/src/home`, 'linux', 'arm64')).toBe(file);
});

it('the native binding is not taken from a directory further up, where others may write (issue 14, item 16)', () => {
  const root = temporaryDirectory();
  install(`${root}/node_modules`, 'linux-x64-gnu');
  expect(bindingFile(`${root}/deep/tartlet/dist/bin`, 'linux', 'x64')).toBeUndefined();
});
