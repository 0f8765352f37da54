import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import type { TestContext } from 'vitest';
import type { Ran, Workplace } from './real-command.ts';
import { hasPart, partPath } from './real-parts.ts';
import { leaveOut } from './left-out.ts';

/*
 * Mounts that only one script sees, in user and mount namespaces of its own. They need no root and end with the script,
 * however it ends: so tests mount this way whatever they can, which is memory (of a size, full, read-only) and
 * directories elsewhere. What they cannot is in `mounted-disk.ts`: file systems that share blocks, which only root may
 * mount.
 */

/** To begin a program as root of namespaces of its own. */
const OPTIONS = ['--user', '--map-root-user', '--mount'];

const mayMount = tryToMount();

function tryToMount(): boolean {
  if (!hasPart('unshare')) return false;
  try {
    execFileSync(partPath('unshare'), [...OPTIONS, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/**
 * Leaves a test out, with a word, where nobody may have user namespaces, as in many a container: a property of the
 * machine, in CI too.
 */
export function needsOwnMounts(context: TestContext): void {
  leaveOut(context, !mayMount, 'no user namespaces here');
}

/**
 * Runs a shell script with `$TARTLET` as the command and `$TART_HOME` as a directory to mount on.
 *
 * Who remounts memory has to name it (`mount -o remount,size=2m tmpfs $TART_HOME`): else `mount` takes over the old
 * options, among them the owner by a number that only root has inside as well.
 */
export async function runWithOwnMounts(workplace: Workplace, script: string): Promise<Ran> {
  mkdirSync(workplace.home, { recursive: true });
  return workplace.shell(script, [partPath('unshare'), ...OPTIONS]);
}

/** As {@link runWithOwnMounts}, where the home and all that is in it can only be read. */
export async function runReadOnly(workplace: Workplace, script: string): Promise<Ran> {
  const mounts = 'mount --bind $TART_HOME $TART_HOME && mount -o remount,bind,ro $TART_HOME';
  return runWithOwnMounts(workplace, `${mounts} || exit\n${script}`);
}
