import type { CredentialSource } from '../credentials/credential.ts';
import { Home } from '../home/home.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { Session } from '../transfer/session.ts';
import { credentialSettings } from './credential-settings.ts';
import { openCache } from './open-cache.ts';
import type { Progress } from './render/display.ts';
import { createProgress } from './render/progress.ts';
import type { Terminal } from './terminal.ts';
import { VERSION } from './version.ts';

/** What a command says besides its result. */
export interface ReportOptions {
  /** No progress and no notes; errors are still said. */
  readonly quiet?: true;
  /** Every request, answer and retry, a line each, as they come. */
  readonly debug?: true;
}

export interface SessionNeeds {
  /** Default: progress and notes. */
  readonly report?: ReportOptions;
  /** `in-order` (the default) migrates an old cache first; `untouched` is for who looks at it as it is, or not at all. */
  readonly cache?: 'in-order' | 'untouched';
}

/**
 * Runs a command in a session of this terminal: its home, its credentials, its progress display.
 * `say` writes a line for people to stderr; nothing else may while a display is on.
 */
export async function withSession<T>(
  terminal: Terminal,
  work: (session: Session, say: (line: string) => void) => Promise<T>,
  { cache = 'in-order', report = {} }: SessionNeeds = {},
): Promise<T> {
  const progress =
    report.quiet === true ? noProgress : createProgress(terminal.stderr, { environment: terminal.environment });
  const write = (line: string): unknown => terminal.stderr.write(`${line}\n`);
  // Quiet is about what nobody asked for.
  const debug =
    report.debug === true
      ? (await import('./debug.ts')).debugListeners(report.quiet === true ? write : (line) => progress.print(line))
      : undefined;
  const say = (line: string): void => progress.print(line);
  const session = new Session({
    home: Home.locate(terminal),
    environment: terminal.environment,
    platform: terminal.platform,
    credentials: (name) => credentialsFor(terminal, name, say),
    now: terminal.now,
    onEvent: (event) => {
      debug?.onEvent(event);
      progress.handle(event);
    },
    onWire: debug?.onWire,
    signal: terminal.signal,
    userAgent: userAgent(terminal),
  });
  try {
    if (cache === 'in-order') await openCache(session, say);
    return await work(session, say);
  } finally {
    progress.close();
  }
}

/** For a command that was told to be quiet. */
const noProgress: Progress = { handle: () => undefined, print: () => undefined, close: () => undefined };

export function userAgent(terminal: Terminal): string {
  return `Tartlet/${VERSION} (${terminal.platform})`;
}

/** Looked up when a registry asks, and loaded only then: most commands never talk to one. */
function credentialsFor(terminal: Terminal, name: RemoteName, say: (line: string) => void): CredentialSource {
  let source: CredentialSource | undefined;
  return {
    find: async (registry, repository, signal) => {
      const { createCredentialSource } = await import('../credentials/chain.ts');
      source ??= createCredentialSource({
        ...credentialSettings(terminal, say),
        commandRegistry: name.registry,
      });
      return source.find(registry, repository, signal);
    },
    passedOver: (fault) => source?.passedOver?.(fault),
  };
}
