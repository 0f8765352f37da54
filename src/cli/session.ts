import type { CredentialSource } from '../credentials/credential.ts';
import { Home } from '../home/home.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { Session } from '../transfer/session.ts';
import { createProgress } from './render/progress.ts';
import type { Terminal } from './terminal.ts';
import { VERSION } from './version.ts';

/** Runs a command in a session of this terminal: its home, its credentials, its progress display. */
export async function withSession<T>(terminal: Terminal, work: (session: Session) => Promise<T>): Promise<T> {
  const progress = createProgress(terminal.stderr, { environment: terminal.environment });
  const session = new Session({
    home: Home.locate(terminal),
    environment: terminal.environment,
    platform: terminal.platform,
    credentials: (name) => credentialsFor(terminal, name),
    now: terminal.now,
    onEvent: (event) => progress.handle(event),
    signal: terminal.signal,
    userAgent: userAgent(terminal),
  });
  try {
    return await work(session);
  } finally {
    progress.close();
  }
}

export function userAgent(terminal: Terminal): string {
  return `Tartlet/${VERSION} (${terminal.platform})`;
}

/** Looked up when a registry asks, and loaded only then: most commands never talk to one. */
function credentialsFor(terminal: Terminal, name: RemoteName): CredentialSource {
  let source: CredentialSource | undefined;
  return {
    find: async (registry, repository, signal) => {
      const [{ createCredentialSource }, { describeNote }] = await Promise.all([
        import('../credentials/chain.ts'),
        import('../credentials/note.ts'),
      ]);
      source ??= createCredentialSource({
        environment: terminal.environment,
        userFolder: terminal.userFolder,
        platform: terminal.platform,
        uid: terminal.uid,
        commandRegistry: name.registry,
        onNote: (note) => terminal.stderr.write(`note: ${describeNote(note)}\n`),
      });
      return source.find(registry, repository, signal);
    },
  };
}
