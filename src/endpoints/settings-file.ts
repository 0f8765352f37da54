import path from 'node:path';
import { diskError } from '../fs/disk-error.ts';
import { isWritableByOthers } from '../fs/own-file.ts';
import { readNamedFile } from '../fs/small-file.ts';
import { statIfThere } from '../fs/stats.ts';
import { wrongSettings } from './settings-fault.ts';

/** No such file is longer, unless it is another one. In bytes. */
const MAX_BYTES = 4 * 1024 * 1024;

/** The bit of a directory where only its owner may rename and remove a file. */
const STICKY = 0o1000;

/** `named`: the user said that it is this one; it may be of another user then, as in a container. */
export type SettingsPlace = 'named' | 'usual';

/**
 * The text of a file that says where images come from; undefined where there is none.
 *
 * @throws TartletError `CONFIG_INVALID` for a file that other users can write to, or put another one in the place of:
 * they could lead every pull to a place of theirs.
 */
export async function readSettingsFile(file: string, place: SettingsPlace): Promise<string | undefined> {
  try {
    const read = await readNamedFile(file, MAX_BYTES);
    if (read === undefined) return undefined;
    if (read.kind === 'not-a-file') throw wrongSettings(file, 'it is no file');
    if (read.kind === 'too-large') throw wrongSettings(file, `it has ${read.size} bytes, and may have ${MAX_BYTES}`);
    const owner = place === 'named' ? 'any-owner' : 'own-or-root';
    if (await isWritableByOthers(read.stats, file, owner)) throw ofOthers(file, file);
    const directory = path.dirname(file);
    const around = await statIfThere(directory);
    const isReplaceable =
      around !== undefined && (around.mode & STICKY) === 0 && (await isWritableByOthers(around, directory, owner));
    if (isReplaceable) throw ofOthers(file, directory);
    return new TextDecoder('utf-8', { fatal: true }).decode(read.bytes);
  } catch (cause) {
    if (cause instanceof TypeError) throw wrongSettings(file, 'it is not in UTF-8');
    throw diskError(cause, 'read', file);
  }
}

function ofOthers(file: string, writable: string): Error {
  return wrongSettings(file, `other users can write to ${writable}, and could say where images come from`);
}
