import { existsSync } from 'node:fs';

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
