import { chmod } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { openDirectory } from './directory.ts';
import { makeDirectory, moveEntry } from './entry.ts';
import { removeEntry } from './remove.ts';
import { throughDescriptor } from './trusted-path.ts';

/** Of a directory that only this user can look into. */
const OURS = 0o700;
const NAME = 'socket';

/**
 * Puts a socket of ours where others find it. It is made where no other user can reach it, so that from the first
 * moment only those can connect that may: its permissions are the system's at first, and a symlink in its place would
 * be followed when they are set.
 *
 * @param place absolute. What is there, a socket of a process that was killed for instance, is replaced.
 * @param mode which users may connect: those who may write.
 * @param listen listens at a path that is short, whatever the length of `place` (108 bytes are the limit, unix(7)).
 * @throws what `listen` throws, and the system's own errors.
 */
export async function placeSocket(place: string, mode: number, listen: (path: string) => Promise<void>): Promise<void> {
  const making = `${place}.new`;
  await removeEntry(making);
  await makeDirectory(making, OURS);
  try {
    const handle = await openDirectory(making);
    try {
      const path = `${throughDescriptor(handle.fd)}/${NAME}`;
      await listen(path);
      await chmod(path, mode);
    } finally {
      await handle.close();
    }
    await removeEntry(place);
    await moveEntry(`${making}/${NAME}`, place);
  } finally {
    await removeEntry(making);
  }
}

/**
 * Reaches a socket, however long its path is.
 * @param connect connects at a path that is short.
 * @throws what `connect` throws, and the system's own errors.
 */
export async function reachSocket<T>(place: string, connect: (path: string) => Promise<T>): Promise<T> {
  const handle = await openDirectory(dirname(place));
  try {
    return await connect(`${throughDescriptor(handle.fd)}/${basename(place)}`);
  } finally {
    await handle.close();
  }
}
