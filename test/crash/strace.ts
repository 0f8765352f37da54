import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/*
 * Faults before system calls, by Debian's strace (reliability §4.4). Rules that were measured there: counters are per
 * thread and per call, so libuv gets one thread; `signal=` with `--seccomp-bpf` fires only for the first call, so
 * signals go without the filter; and every run must prove that its fault fired, or a sweep is green because nothing
 * happened.
 */

/** Calls that change what is on a disk. Not `write`: libuv wakes its threads with it, so that it cannot be counted. */
export const MUTATING_CALLS = [
  'pwrite64',
  'pwritev',
  'fsync',
  'fdatasync',
  'ftruncate',
  'rename',
  'renameat2',
  'mkdir',
  'unlink',
  'rmdir',
  'link',
  'symlink',
  'fchmod',
  'utimensat',
  'copy_file_range',
] as const;
export type MutatingCall = (typeof MUTATING_CALLS)[number];

/** Calls that look at what is on a disk by its path. */
const LOOKING_CALLS = ['openat', 'statx', 'readlink'] as const;
type LookingCall = (typeof LOOKING_CALLS)[number];

/** What happens to a call: the process dies before it, the process stops when it has returned, or the call fails. */
export type Effect = 'SIGKILL' | 'SIGSTOP' | `E${string}`;

/** A fault: before the `nth` call of that name (1-based, of whichever thread gets there first). */
export interface Fault {
  readonly call: MutatingCall | LookingCall | 'pread64' | 'flock';
  readonly nth: number;
  readonly effect: Effect;
  /** All further calls fail as well. */
  readonly onwards?: boolean;
  /** Only calls for this file or directory count, or for one of these. */
  readonly path?: string | readonly string[];
}

/** A command line with everything that it may see of the world. */
export interface Invocation {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** How a traced command ended. */
export interface Traced {
  readonly exitCode: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Whether the fault happened, by strace's own account. */
  readonly fired: boolean;
}

/** A run that takes longer hangs, in milliseconds. */
export const HANGS_AFTER_MS = 60_000;

/** Runs a command and tells how often it makes each call, by the thread that makes it most often. */
export async function countCalls(invocation: Invocation, log: string): Promise<ReadonlyMap<MutatingCall, number>> {
  return count(invocation, log, MUTATING_CALLS, ['--seccomp-bpf']);
}

/** The same for looks at some files. */
export async function countLooks(
  invocation: Invocation,
  log: string,
  paths: readonly string[],
): Promise<ReadonlyMap<LookingCall, number>> {
  return count(invocation, log, LOOKING_CALLS, onlyFor(paths));
}

async function count<Call extends string>(
  invocation: Invocation,
  log: string,
  calls: readonly Call[],
  options: readonly string[],
): Promise<ReadonlyMap<Call, number>> {
  const traced = await trace([...options, '-e', `trace=${calls.join(',')}`], invocation, log);
  if (traced.exitCode !== 0) throw new Error(`the undisturbed command failed:\n${traced.stderr}`);
  const perThread = new Map<string, number>();
  for (const [, thread, call] of readFileSync(log, 'utf8').matchAll(/^(\d+) +(\w+)\(/gm)) {
    const key = `${call} ${thread}`;
    perThread.set(key, (perThread.get(key) ?? 0) + 1);
  }
  const counts = new Map<Call, number>();
  for (const call of calls) {
    const most = Math.max(0, ...[...perThread].filter(([key]) => key.startsWith(`${call} `)).map(([, times]) => times));
    if (most > 0) counts.set(call, most);
  }
  return counts;
}

function onlyFor(paths: readonly string[]): string[] {
  return paths.flatMap((each) => ['-P', each]);
}

/** Runs a command undisturbed and logs its calls, with the paths of their descriptors. */
export async function traceCalls(invocation: Invocation, calls: string, log: string): Promise<Traced> {
  return trace(['-y', '--seccomp-bpf', '-e', `trace=${calls}`], invocation, log);
}

/** Runs a command with a fault. */
export async function runWithFault(invocation: Invocation, fault: Fault, log: string): Promise<Traced> {
  return trace(faultOptions(fault), invocation, log);
}

/** The options of strace for a fault. */
export function faultOptions({ call, nth, effect, onwards = false, path }: Fault): string[] {
  const isSignal = effect === 'SIGKILL' || effect === 'SIGSTOP';
  const what = isSignal ? `signal=${effect}` : `error=${effect}`;
  return [
    // A filter knows no paths either.
    ...(isSignal || path !== undefined ? [] : ['--seccomp-bpf']),
    ...onlyFor([path ?? []].flat()),
    '-e',
    `trace=${call}`,
    '-e',
    `inject=${call}:${what}:when=${nth}${onwards ? '+' : ''}`,
  ];
}

/** The environment in which calls are counted alike each time. */
export function tracedEnvironment(environment: Invocation['environment']): Record<string, string> {
  return { ...environment, UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0' };
}

async function trace(options: readonly string[], invocation: Invocation, log: string): Promise<Traced> {
  const { argv, environment } = invocation;
  const ended = await end(['strace', '-f', '-o', log, ...options, ...argv], {
    ...invocation,
    environment: tracedEnvironment(environment),
  });
  return { ...ended, fired: hasFired(log) };
}

/** Runs a command to its end, undisturbed. */
export async function runPlainly(invocation: Invocation): Promise<Omit<Traced, 'fired'>> {
  return end(invocation.argv, invocation);
}

async function end(argv: readonly string[], { environment, input }: Invocation): Promise<Omit<Traced, 'fired'>> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, { env: environment, timeout: HANGS_AFTER_MS, killSignal: 'SIGKILL' });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
    });
  }
  child.stdin.on('error', () => undefined); // Whoever is killed early reads nothing.
  child.stdin.end(input);
  const { code, signal } = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(
    (resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exit, by) => resolve({ code: exit, signal: by }));
    },
  );
  return { exitCode: code ?? undefined, signal: signal ?? undefined, ...said };
}

/** An error says so in its line; a signal shows as the end of the process. */
function hasFired(log: string): boolean {
  return /\(INJECTED\)|^\d+ +\+\+\+ killed by SIGKILL/m.test(readFileSync(log, 'utf8'));
}
