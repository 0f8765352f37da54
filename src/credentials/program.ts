import { type ChildProcess, spawn } from 'node:child_process';
import { systemCode } from '../errors.ts';
import { findProgram } from '../fs/system-program.ts';
import { PASSWORD_VARIABLE } from './environment.ts';
import { type CredentialSettings, HELPER_TIMEOUT_MS } from './settings.ts';

/** What a helper may say, in bytes (reliability S32). */
const MAX_OUTPUT = 64 * 1024;

/** How a run ended. The outputs may hold secrets and must never be shown. */
export type ProgramEnd =
  | { readonly kind: 'exited'; readonly code: number; readonly stdout: Buffer; readonly stderr: Buffer }
  | { readonly kind: 'killed'; readonly signal: string }
  | { readonly kind: 'too-slow'; readonly milliseconds: number }
  | { readonly kind: 'too-chatty'; readonly bytes: number }
  | { readonly kind: 'not-started'; readonly reason: string };

/** Looks a helper up in `PATH`. */
export async function findHelper(name: string, { environment }: CredentialSettings): Promise<string | undefined> {
  return findProgram(environment['PATH'] ?? '', name);
}

/**
 * Runs a program, no word of which a shell reads, with our environment but for our password. The two outputs are kept
 * apart, because a warning among the JSON has broken others (tart-cli §7 #42).
 *
 * @throws the reason of `signal` when it is aborted; the program is killed then, as it is after its time or its output
 * is used up.
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  input: string,
  settings: CredentialSettings,
  signal?: AbortSignal,
): Promise<ProgramEnd> {
  signal?.throwIfAborted();
  const milliseconds = settings.helperTimeoutMs ?? HELPER_TIMEOUT_MS;
  // What is ours is not for programs of others.
  const { [PASSWORD_VARIABLE]: _password, TARTLET_FLEET_TOKEN: _token, ...environment } = settings.environment;
  let child: ChildProcess;
  try {
    const [file, ...words] = commandOf(program, args, settings);
    child = spawn(file, words, { cwd: '/', env: environment, shell: false, stdio: 'pipe', windowsHide: true });
  } catch (cause) {
    return notStarted(cause);
  }
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => finish({ kind: 'too-slow', milliseconds }), milliseconds);
    const onAbort = (): void => {
      stop();
      reject(signal?.reason as Error);
    };
    const stop = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      end(child);
    };
    const finish = (result: ProgramEnd): void => {
      stop();
      resolve(result);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const stdout = collect(child.stdout, () => finish({ kind: 'too-chatty', bytes: MAX_OUTPUT }));
    const stderr = collect(child.stderr, () => undefined); // Any amount of warnings is read and dropped.
    child.on('error', (cause) => finish(notStarted(cause)));
    child.on('close', (code, killedBy) =>
      finish(
        code === null
          ? { kind: 'killed', signal: killedBy ?? 'unknown' }
          : { kind: 'exited', code, stdout: stdout(), stderr: stderr() },
      ),
    );
    child.stdin?.on('error', () => undefined); // It may end without reading its input; its exit code tells more.
    child.stdin?.end(input);
  });
}

/** A process cannot start another one with another umask than its own: a shell sets it, and becomes the program. */
function commandOf(
  program: string,
  args: readonly string[],
  { umask }: CredentialSettings,
): readonly [string, ...string[]] {
  if (umask === undefined) return [program, ...args];
  return ['/bin/sh', '-c', `umask ${umask.toString(8)}; exec "$0" "$@"`, program, ...args];
}

/** Only the system's code: Node's own texts quote arguments and variables. */
function notStarted(cause: unknown): ProgramEnd {
  return { kind: 'not-started', reason: systemCode(cause) ?? 'unknown' };
}

/** Makes sure that nothing of the child keeps us waiting, not even a grandchild that holds its outputs open. */
function end(child: ChildProcess): void {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
}

/** @param stream none when the system had no descriptors left for it: then an error event follows. */
function collect(stream: NodeJS.ReadableStream | null | undefined, onOverflow: () => void): () => Buffer {
  const pieces: Buffer[] = [];
  let bytes = 0;
  stream?.on('data', (piece: Buffer) => {
    bytes += piece.length;
    if (bytes <= MAX_OUTPUT) pieces.push(piece);
    else onOverflow();
  });
  return () => Buffer.concat(pieces);
}
