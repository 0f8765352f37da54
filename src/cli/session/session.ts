import type { CredentialSource } from '../../credentials/credential.ts';
import { TartletError } from '../../errors.ts';
import { Home } from '../../home/home.ts';
import { isShared, SHARED_UMASK } from '../../fs/sharing.ts';
import type { RegistryAddress } from '../../names/registry-address.ts';
import { Session } from '../../session/session.ts';
import { withoutErrorListeners } from '../terminal/broken-output.ts';
import { credentialSettings } from './credential-settings.ts';
import { releaseNotes } from '../terminal/message-stream.ts';
import { openCache } from './open-cache.ts';
import type { PeerFlags } from './peer-settings.ts';
import type { Progress } from '../render/display.ts';
import { createProgress } from '../render/progress.ts';
import { printableLine } from '../terminal/printable.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { VERSION } from '../terminal/version.ts';

/** What a command says besides its result. */
export interface ReportOptions {
  /** No progress and no notes; errors are still said. */
  readonly quiet?: true;
  /** Every request, answer and retry, a line each, as they come. */
  readonly debug?: true;
}

/** What a command that moves images is told besides. */
export interface TransferOptions extends ReportOptions {
  /** Bytes per second; 0: no limit. */
  readonly limitRate?: number;
}

export interface SessionNeeds {
  /** Default: progress and notes. */
  readonly report?: ReportOptions;
  /**
   * `in-order` (the default) migrates an old cache first; `untouched` is for commands that look at it as it is, or not
   * at all.
   */
  readonly cache?: 'in-order' | 'untouched';
  /**
   * What stdout is for where stderr is no terminal, and holds back everything but errors. `result` (the default): for
   * what programs read, and no progress is shown. `progress`: for nothing else, and the work goes on when nothing reads
   * it. `both`: for people.
   */
  readonly stdout?: 'result' | 'progress' | 'both';
  /** Most bytes per second in each direction; 0: no limit. Default: `TARTLET_LIMIT_RATE`, else no limit. */
  readonly limitRate?: number | undefined;
  /** Which peers are asked when something is pulled. Default: those of the environment. */
  readonly peers?: PeerFlags | undefined;
  /** Whether images are read from mirrors that are set up: see {@link mirrorsBy}. Default: `configured`. */
  readonly mirrors?: 'configured' | 'off';
}

/** The option `--no-mirror` of commands that read images. */
export interface MirrorOptions {
  readonly mirror?: boolean;
}

/** What `--no-mirror` means for a session. */
export function mirrorsBy({ mirror }: MirrorOptions): 'configured' | 'off' {
  return mirror === false ? 'off' : 'configured';
}

/**
 * Runs a command in a session of this terminal: its home, its credentials, its progress display.
 * `say` writes a line for people to stderr; nothing else may while a display is on.
 */
export async function withSession<T>(
  terminal: Terminal,
  work: (session: Session, say: (line: string) => void) => Promise<T>,
  {
    cache = 'in-order',
    report = {},
    stdout = 'result',
    mirrors = 'configured',
    limitRate,
    peers = {},
  }: SessionNeeds = {},
): Promise<T> {
  const progress = report.quiet === true ? noProgress : progressOf(terminal, stdout);
  const write = (line: string): unknown => terminal.stderr.write(printableLine(line));
  // Quiet is about what the user did not ask for.
  const debug =
    report.debug === true
      ? (await import('./debug.ts')).debugListeners(report.quiet === true ? write : (line) => progress.print(line))
      : undefined;
  if (report.debug === true) releaseNotes(terminal.stderr); // It is asked for to see what happens, while it does.
  const say = (line: string): void => progress.print(line);
  const home = Home.locate(terminal);
  const umask = shareNewFiles(terminal, home);
  const session = new Session({
    home,
    fileMode: umask === undefined ? undefined : 0o666 & ~umask,
    environment: terminal.environment,
    platform: terminal.platform,
    credentials: (name, place) => credentialsFor(terminal, place === 'named' ? name.registry : undefined, say, umask),
    mirrors,
    now: terminal.now,
    onEvent: (event) => {
      debug?.onEvent(event);
      progress.handle(event);
    },
    onWire: debug?.onWire,
    onRequest: (request) => terminal.asksFor?.(request),
    signal: terminal.signal,
    userAgent: userAgent(terminal),
    limitRate: await rateOf(terminal, limitRate),
    peers: async () => (await import('./peer-settings.ts')).peerSearch(terminal, peers),
  });
  const inOrder = async (): Promise<T> => {
    if (cache === 'in-order') {
      session.home.requireDirectory();
      await openCache(session, say);
    }
    return work(session, say);
  };
  try {
    return await (stdout === 'progress' ? withoutErrorListeners(terminal.stdout, inOrder) : inOrder());
  } finally {
    progress.close();
  }
}

/** @returns undefined for no limit. @throws TartletError `USAGE` for a variable that is no rate. */
async function rateOf({ environment }: Terminal, option: number | undefined): Promise<number | undefined> {
  const text = environment['TARTLET_LIMIT_RATE'] ?? '';
  if (option === undefined && text === '') return undefined;
  const { parseByteRate } = await import('../../names/byte-count.ts');
  const rate = option ?? parseByteRate(text);
  if (rate !== undefined) return rate === 0 ? undefined : rate;
  throw new TartletError('USAGE', `TARTLET_LIMIT_RATE is "${text}", which is no number of bytes per second`, {
    next: { kind: 'in-words', words: 'set it to a number like 500K, 20M or 2.5MB/s, or unset it' },
  });
}

/**
 * In a home that a group shares, what is made is for the group, whatever the umask says.
 *
 * @returns the umask as it was, which still holds for what is made elsewhere; undefined where nothing was changed.
 */
function shareNewFiles({ umask }: Terminal, home: Home): number | undefined {
  if (umask === undefined || !isShared(home.root)) return undefined;
  const before = umask(SHARED_UMASK);
  umask(before & ~SHARED_UMASK);
  return before;
}

function progressOf({ stdout, stderr, environment }: Terminal, use: NonNullable<SessionNeeds['stdout']>): Progress {
  const elsewhere = use === 'result' ? undefined : stdout;
  return createProgress({ notes: stderr, reports: stderr.isTTY === true ? stderr : elsewhere }, { environment });
}

/** For a command that was told to be quiet. */
const noProgress: Progress = { handle: () => undefined, print: () => undefined, close: () => undefined };

export function userAgent(terminal: Terminal): string {
  return `Tartlet/${VERSION} (${terminal.platform})`;
}

/** Looked up when a registry asks, and loaded only then: most commands never talk to one. */
function credentialsFor(
  terminal: Terminal,
  commandRegistry: RegistryAddress | undefined,
  say: (line: string) => void,
  umask: number | undefined,
): CredentialSource {
  let source: CredentialSource | undefined;
  return {
    find: async (registry, repository, signal) => {
      const { createCredentialSource } = await import('../../credentials/chain.ts');
      source ??= createCredentialSource({
        ...credentialSettings(terminal, say),
        commandRegistry,
        umask,
      });
      return source.find(registry, repository, signal);
    },
    passedOver: (fault) => source?.passedOver?.(fault),
    forget: (registry, repository) => source?.forget?.(registry, repository),
  };
}
