import { constants, existsSync } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import path from 'node:path';

/**
 * Where systems put their programs, and Homebrew its own. Never what `PATH` says: an empty or relative entry is a
 * directory of others (issue 14, item 16).
 */
const DIRECTORIES = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin', '/opt/homebrew/bin'];

/** What the programs of the system get to see: no secret of ours, and nothing that loads code into them. */
export const SYSTEM_ENVIRONMENT: Readonly<Record<string, string>> = {
  LC_ALL: 'C',
  PATH: '/usr/bin:/bin:/usr/sbin:/sbin',
};

/** The absolute path of a program of the system. @returns undefined where it is not installed */
export function systemProgram(name: string): string | undefined {
  return DIRECTORIES.map((directory) => `${directory}/${name}`).find((file) => existsSync(file));
}

/**
 * Programs of a name in a search path, as the environment's `PATH` is one, in its order. In absolute entries only: with
 * a relative or empty one, the current directory would decide what runs, and which program gets our passwords
 * (reliability S33; issue 14, item 16).
 */
export async function* programsIn(searchPath: string, name: string): AsyncGenerator<string, void, undefined> {
  for (const directory of searchPath.split(path.delimiter)) {
    const file = path.join(directory, name);
    if (path.isAbsolute(directory) && (await isProgram(file))) yield file;
  }
}

/** The first of {@link programsIn}. @returns undefined when there is none. */
export async function findProgram(searchPath: string, name: string): Promise<string | undefined> {
  for await (const file of programsIn(searchPath, name)) return file;
  return undefined;
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false; // Not there, or not for us: the next directory may have it.
  }
}
