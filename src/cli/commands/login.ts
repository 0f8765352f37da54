import { checkSecret, describePlace, type SecretPlace, storeCredential } from '../../credentials/credential-store.ts';
import { environmentMayServe } from '../../credentials/environment.ts';
import { isTartletError, TartletError } from '../../errors.ts';
import { RegistryAddress } from '../../names/registry-address.ts';
import { checkLogin } from '../../transfer/login.ts';
import { credentialSettings } from '../session/credential-settings.ts';
import { releaseNotes, writeLines } from '../terminal/message-stream.ts';
import { askForLogin, type Login, readPassword } from '../terminal/login-input.ts';
import { humanDuration } from '../render/quantity.ts';
import { type ReportOptions, userAgent } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

export interface LoginCommandOptions extends Pick<ReportOptions, 'debug'> {
  readonly username?: string;
  readonly passwordStdin?: true;
  readonly insecure?: true;
  /** False with `--no-validate`. */
  readonly validate: boolean;
}

/** Nothing is stored unless the registry took the password, or was not to be asked. */
export async function runLogin(terminal: Terminal, host: string, options: LoginCommandOptions): Promise<number> {
  const registry = parseHost(host);
  const login = await readLogin(terminal, registry, options);
  checkSecret({ kind: 'password', ...login });
  const said = options.validate ? await ask(terminal, registry, login, options) : undefined;
  const settings = credentialSettings(terminal);
  const place = await storeCredential(registry, { kind: 'password', ...login }, settings, terminal.signal);
  const lines = [
    ...(said === undefined ? [] : [said]),
    `the password of ${login.username} for ${registry.toString()} is now in ${describePlace(place)}`,
    ...afterthoughts(place),
  ];
  if (environmentMayServe(registry, settings)) {
    lines.push('note: TART_REGISTRY_USERNAME and TART_REGISTRY_PASSWORD are set, and are used before it');
  }
  writeLines(terminal.stderr, ...lines);
  return 0;
}

/**
 * The host of `login` and `logout`. A bad one is wrong usage, as for other new names.
 * @throws TartletError `USAGE`
 */
export function parseHost(text: string): RegistryAddress {
  try {
    return RegistryAddress.parse(text);
  } catch (cause) {
    if (cause instanceof TartletError) throw new TartletError('USAGE', cause.message, { ...cause.facts, cause });
    throw cause;
  }
}

async function readLogin(terminal: Terminal, registry: RegistryAddress, options: LoginCommandOptions): Promise<Login> {
  const { username, passwordStdin = false } = options;
  if (username !== undefined && passwordStdin) return { username, password: await readPassword(terminal) };
  if (username !== undefined || passwordStdin) {
    throw new TartletError('USAGE', '--username and --password-stdin need each other', {
      next: { kind: 'in-words', words: 'give both, or none to be asked' },
    });
  }
  if (terminal.stdin.isTTY !== true) {
    throw new TartletError('USAGE', 'there is no terminal to ask for the user and the password', {
      next: {
        kind: 'in-words',
        words: `${terminal.programName} login --username USER --password-stdin ${registry.toString()}`,
      },
    });
  }
  return askForLogin(terminal, registry.toString());
}

/** @returns what to tell about the answer. */
async function ask(
  terminal: Terminal,
  registry: RegistryAddress,
  login: Login,
  { insecure, debug }: LoginCommandOptions,
): Promise<string> {
  const write = (line: string): void => writeLines(terminal.stderr, line);
  if (debug === true) releaseNotes(terminal.stderr);
  const listeners = debug === true ? (await import('../session/debug.ts')).debugListeners(write) : undefined;
  try {
    const check = await checkLogin({
      registry,
      ...login,
      insecure: insecure ?? false,
      environment: terminal.environment,
      userAgent: userAgent(terminal),
      signal: terminal.signal,
      onRequest: (request) => terminal.asksFor?.(request),
      onWait: (pause) => {
        listeners?.onWait(pause);
        write(`${pause.reason}: trying again in ${humanDuration(pause.milliseconds)}`);
      },
      onWire: listeners?.onWire,
    });
    return check === 'accepted'
      ? `${registry.toString()} accepts the password`
      : `${registry.toString()} accepts anybody: it did not ask for a password, so that this one could not be checked`;
  } catch (error) {
    if (isTartletError(error))
      throw error.with({ kept: 'the logins that were stored before; this one was not stored' });
    throw error;
  }
}

function afterthoughts(place: SecretPlace): string[] {
  if (place.kind !== 'file') return [];
  return [
    'note: it is not encrypted there, and readable by you only; a credential helper (credsStore) could encrypt it',
  ];
}
