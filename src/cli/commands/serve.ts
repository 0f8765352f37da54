import { once } from 'node:events';
import { describeError } from '../../errors.ts';
import type { RegistryEvent } from '../../server/settings/event.ts';
import { createRegistry, type Registry } from '../../server/server.ts';
import { releaseNotes } from '../terminal/message-stream.ts';
import { humanBytes } from '../render/quantity.ts';
import { printableLine } from '../terminal/printable.ts';
import { filesOf, parseListen, readAccess, type ServeAccessOptions } from '../session/serve-settings.ts';
import { resolvePath, type Terminal } from '../terminal/terminal.ts';
import { WatchedFiles } from '../terminal/watched-files.ts';

export interface ServeCommandOptions extends ServeAccessOptions {
  readonly data: string;
  readonly hostName?: readonly string[];
  readonly open?: true;
  readonly allowBreakingDeletes?: true;
}

/** Milliseconds between two collections of what no image needs any more. */
const COLLECT_EVERY_MS = 3_600_000;

/**
 * Serves until it is interrupted, which is the normal end. The address goes to stdout, so that scripts can use port 0.
 */
export async function runServe(terminal: Terminal, options: ServeCommandOptions): Promise<number> {
  const listen = parseListen(options.listen);
  const log = (text: string): unknown =>
    terminal.stderr.write(printableLine(`${terminal.now().toISOString()} ${text}`));
  const files = await WatchedFiles.look(filesOf(terminal, options));
  const registry = createRegistry({
    dataDirectory: resolvePath(terminal, options.data),
    listen,
    ...(await readAccess(terminal, options)),
    hostNames: options.hostName,
    allowExposed: options.open ?? false,
    deletes: options.allowBreakingDeletes === undefined ? undefined : ('any' as const),
    log: (event) => log(describeEvent(event)),
    now: () => terminal.now().getTime(),
  });
  const { url } = await registry.listen();
  terminal.stdout.write(printableLine(url));
  releaseNotes(terminal.stderr);
  terminal.stderr.write(printableLine(`serving ${resolvePath(terminal, options.data)}; Ctrl-C ends it`));
  const stopCollecting = collectRegularly(terminal, registry);
  // One after the other, or an older file could win.
  let rereading = Promise.resolve();
  const reread = (): void => {
    rereading = rereading.then(async () => readAgain(terminal, options, registry, log));
  };
  files.start(reread);
  terminal.onReload(reread);
  if (!terminal.signal.aborted) await once(terminal.signal, 'abort');
  files.stop();
  stopCollecting();
  await registry.close();
  return 0;
}

/** Users and certificates that cannot be used change nothing: those of before go on, and the log says why. */
async function readAgain(
  terminal: Terminal,
  options: ServeCommandOptions,
  registry: Registry,
  log: (text: string) => unknown,
): Promise<void> {
  try {
    await registry.reconfigure(await readAccess(terminal, options));
    log('users and certificates were read again');
  } catch (error) {
    log(`users and certificates stay as they were: ${describeError(error)}`);
  }
}

/** Deleted images free their space within the hour; what is being pushed is spared. */
function collectRegularly(terminal: Terminal, registry: Registry): () => void {
  const collect = (): void => {
    registry
      .collectGarbage()
      .catch((error: unknown) => terminal.stderr.write(printableLine(`cannot collect: ${describeError(error)}`)));
  };
  const timer = setInterval(collect, COLLECT_EVERY_MS);
  return () => clearInterval(timer);
}

/**
 * In quotes where it is more than a word: a token may hold any user name, also one that looks like the rest of the
 * line.
 */
function nameOf(user: string | undefined): string {
  if (user === undefined) return '-';
  return /^[\p{L}\p{N}_.@:+/=][\p{L}\p{N}_.@:+/=-]*$/u.test(user) ? user : JSON.stringify(user);
}

function describeEvent(event: RegistryEvent): string {
  switch (event.kind) {
    case 'request': {
      const { method, path: target, status, durationMs, remote, user } = event;
      const outcome = status === 0 ? 'hung up' : String(status);
      return `${remote} ${nameOf(user)} ${method} ${target} ${outcome} ${Math.round(durationMs)} ms`;
    }
    case 'failure':
      return `failure: ${event.method} ${event.path}: ${event.message}`;
    case 'uploads-expired':
      return `${event.count} abandoned uploads were dropped`;
    case 'garbage-collected':
      return `${event.blobs} blobs that nothing needed were removed (${humanBytes(event.bytes, 1)})`;
  }
}
