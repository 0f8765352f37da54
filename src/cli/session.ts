import type { CredentialSource } from '../credentials/credential.ts';
import { Home } from '../home/home.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { Session } from '../transfer/session.ts';
import { credentialSettings } from './credential-settings.ts';
import { openCache } from './open-cache.ts';
import { createProgress } from './render/progress.ts';
import type { Terminal } from './terminal.ts';
import { VERSION } from './version.ts';

export interface SessionNeeds {
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
  { cache = 'in-order' }: SessionNeeds = {},
): Promise<T> {
  const progress = createProgress(terminal.stderr, { environment: terminal.environment });
  const say = (line: string): void => progress.print(line);
  const session = new Session({
    home: Home.locate(terminal),
    environment: terminal.environment,
    platform: terminal.platform,
    credentials: (name) => credentialsFor(terminal, name, say),
    now: terminal.now,
    onEvent: (event) => progress.handle(event),
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
  };
}
