import { type ChildProcess, spawn } from 'node:child_process';

/** What lets a program die with its parent, by util-linux. */
export const DIE_WITH_US = ['--pdeathsig', 'KILL', '--'] as const;

/**
 * Becomes the program, unless the parent was killed before it was agreed to die with it. Sockets that it makes are for
 * this user alone, also in a home that a group shares: over QEMU's monitor, QEMU can be told to read and write any file
 * of this user.
 */
const BEGIN = 'umask 077; [ "$PPID" = "$0" ] || exit 1; exec "$@"';

/** Ends a process when nothing holds the other end of its input any more. */
const WATCH = 'read -r line; kill -KILL "$0"';

export interface BoundProcessOptions {
  /** Descriptors that the process keeps open as long as it lives: locks, above all. */
  readonly inherited: readonly number[];
  /** The program that takes {@link DIE_WITH_US}; where there is none, a shell watches whether we live. */
  readonly dieWithUs: string | undefined;
  /** The number of this process. */
  readonly ourPid: number;
}

/**
 * Starts a program that never outlives us, however we end. It has no input and no output but stderr.
 *
 * @param argv the program and its arguments.
 * @param directory in which it works.
 */
export function startBoundProcess(
  argv: readonly string[],
  directory: string,
  { inherited, dieWithUs, ourPid }: BoundProcessOptions,
): ChildProcess {
  const [program = '', ...rest] = [
    ...(dieWithUs === undefined ? [] : [dieWithUs, ...DIE_WITH_US]),
    '/bin/sh',
    '-c',
    BEGIN,
    String(ourPid),
    ...argv,
  ];
  const child = spawn(program, rest, {
    cwd: directory,
    // Nothing of it may keep our own streams open: a driver that reads them would wait for it (run-fleet-demand §8, 5).
    stdio: ['ignore', 'ignore', 'pipe', ...inherited],
    detached: true,
  });
  if (dieWithUs === undefined && child.pid !== undefined) endWithUs(child, child.pid);
  return child;
}

/** However we end, the shell's input does, and it ends the process. */
function endWithUs(child: ChildProcess, pid: number): void {
  const watcher = spawn('/bin/sh', ['-c', WATCH, String(pid)], {
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watcher.on('error', () => undefined);
  watcher.stdin.on('error', () => undefined);
  // Before its number can name another process.
  child.once('exit', () => watcher.kill('SIGKILL'));
}
