import { cpSync, existsSync } from 'node:fs';
import path from 'node:path';
import { COMMAND } from './real-command.ts';

/**
 * The command as it is where the native binding was not installed (`--omit=optional`): the same files, with no packages
 * beside them.
 *
 * @param directory empty; the installation is made in it.
 * @returns its program.
 */
export function buildWithoutBinding(directory: string): string {
  const root = path.resolve(path.dirname(COMMAND), '..');
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(`${root}/${part}`, `${directory}/${part}`, { recursive: true });
  if (existsSync(`${directory}/node_modules`)) throw new Error('there must be no packages');
  return `${directory}/bin/tartlet`;
}
