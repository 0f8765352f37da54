import { once } from 'node:events';
import { describeError } from '../../errors.ts';
import type { SiteCache } from '../../mirror/site-cache.ts';
import type { RegistryEvent } from '../../server/settings/event.ts';
import { createRegistry, type Registry } from '../../server/server.ts';
import { releaseNotes } from '../terminal/message-stream.ts';
import { logLine, type ServeNote } from '../serving/log-line.ts';
import { observing, type ObservingOptions } from '../serving/observing.ts';
import { proxying, type ProxyingOptions } from '../serving/proxying.ts';
import { printableLine } from '../terminal/printable.ts';
import { filesOf, parseListen, readAccess, type ServeAccessOptions } from '../session/serve-settings.ts';
import { resolvePath, type Terminal } from '../terminal/terminal.ts';
import { WatchedFiles } from '../terminal/watched-files.ts';

export interface ServeCommandOptions extends ServeAccessOptions, ObservingOptions, ProxyingOptions {
  readonly data: string;
  readonly hostName?: readonly string[];
  readonly open?: true;
  readonly allowBreakingDeletes?: true;
}

type Log = (event: RegistryEvent | ServeNote) => unknown;

/** Milliseconds between two collections of what no image needs any more. */
const COLLECT_EVERY_MS = 3_600_000;

/**
 * Serves until it is interrupted, which is the normal end. The address goes to stdout, so that scripts can use port 0.
 */
export async function runServe(terminal: Terminal, options: ServeCommandOptions): Promise<number> {
  const log: Log = (event) => terminal.stderr.write(logLine(options.logFormat, terminal.now(), event));
  const files = await WatchedFiles.look(filesOf(terminal, options));
  const registry = await makeServer(terminal, options, log);
  const { url } = await registry.listen();
  terminal.stdout.write(printableLine(url));
  releaseNotes(terminal.stderr);
  const serving = `serving ${resolvePath(terminal, options.data)}`;
  if (options.logFormat === 'json') log({ kind: 'note', message: serving });
  else terminal.stderr.write(printableLine(`${serving}; Ctrl-C ends it`));
  const stopCollecting = 'collectGarbage' in registry ? collectRegularly(registry, log) : () => undefined;
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

/** A registry of its own content, or a cache of others. */
async function makeServer(terminal: Terminal, options: ServeCommandOptions, log: Log): Promise<Registry | SiteCache> {
  const cache = proxying(terminal, options);
  const settings = {
    dataDirectory: resolvePath(terminal, options.data),
    listen: parseListen(options.listen),
    ...(await readAccess(terminal, options)),
    hostNames: options.hostName,
    allowExposed: options.open ?? false,
    ...observing(options, terminal.programName),
    log,
    now: () => terminal.now().getTime(),
  };
  if (cache === undefined) {
    return createRegistry({ ...settings, deletes: options.allowBreakingDeletes === undefined ? undefined : 'any' });
  }
  const { createSiteCache } = await import('../../mirror/site-cache.ts');
  return createSiteCache({ ...settings, ...cache });
}

/** Users and certificates that cannot be used change nothing: those of before go on, and the log says why. */
async function readAgain(
  terminal: Terminal,
  options: ServeCommandOptions,
  registry: Registry | SiteCache,
  log: Log,
): Promise<void> {
  try {
    await registry.reconfigure(await readAccess(terminal, options));
    log({ kind: 'note', message: 'users and certificates were read again' });
  } catch (error) {
    log({ kind: 'note', message: `users and certificates stay as they were: ${describeError(error)}` });
  }
}

/** Deleted images free their space within the hour; what is being pushed is spared. */
function collectRegularly(registry: Registry, log: Log): () => void {
  const collect = (): void => {
    registry
      .collectGarbage()
      .catch((error: unknown) => log({ kind: 'note', message: `cannot collect: ${describeError(error)}` }));
  };
  const timer = setInterval(collect, COLLECT_EVERY_MS);
  return () => clearInterval(timer);
}
