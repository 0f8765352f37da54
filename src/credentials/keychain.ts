import { TartletError } from '../errors.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { CredentialSource } from './credential.ts';
import { howItEnded } from './helper.ts';
import { findProgram, type ProgramEnd, runProgram } from './program.ts';
import type { CredentialSettings } from './settings.ts';

/** The label that Tart gives its items (tart-formats §6.2). */
const LABEL = 'Tart Credentials';
/** The exit code of `security` is the low byte of the system's: errSecItemNotFound, errSecInteractionNotAllowed. */
const NOT_FOUND = 44;
const LOCKED = 36;

/**
 * What `tart login` left in the macOS Keychain. Only on macOS, and only read and erased: we store with a helper or in a file,
 * because the Keychain is locked in SSH sessions (tart-cli §7 #53).
 */
export function keychainSource(settings: CredentialSettings): CredentialSource {
  return {
    find: async (registry, _repository, signal) => {
      for (const server of itemNames(registry)) {
        // `-g` tells account and password in one go. `-w` prints a non-ASCII password as bare hex, which a password may be, too.
        const end = await security('find', server, ['-g'], settings, signal);
        if (end === undefined) continue;
        const username = readValue(end.stdout, /^\s*"acct"<blob>=/m);
        const password = readValue(end.stderr, /^password: ?/m);
        if (username === undefined || password === undefined) throw failed(server, 'its answer could not be read');
        return { kind: 'password', registry, username, password, source: `the Keychain item "${LABEL}" of ${server}` };
      }
      return undefined;
    },
  };
}

/** Removes Tart's items of a registry. @returns the server names of those that were there. */
export async function eraseFromKeychain(
  registry: RegistryAddress,
  settings: CredentialSettings,
  signal?: AbortSignal,
): Promise<string[]> {
  const erased: string[] = [];
  for (const server of itemNames(registry)) {
    if ((await security('delete', server, [], settings, signal)) !== undefined) erased.push(server);
  }
  return erased;
}

/** Tart names its items by the text that was typed: `host` or `host:port`, Docker Hub included. */
function itemNames({ host, port }: RegistryAddress): string[] {
  return port === undefined || port === 443 ? [host, `${host}:443`] : [`${host}:${port}`];
}

/**
 * @returns undefined when there is no such item, or no Keychain on this system.
 * @throws TartletError `AUTH_HELPER`
 */
async function security(
  action: 'find' | 'delete',
  server: string,
  options: readonly string[],
  settings: CredentialSettings,
  signal: AbortSignal | undefined,
): Promise<Extract<ProgramEnd, { kind: 'exited' }> | undefined> {
  if (settings.platform !== 'darwin') return undefined;
  const program = await findProgram('security', settings);
  if (program === undefined) return undefined; // Nobody configured it, so nothing is kept back.
  const args = [`${action}-internet-password`, '-s', server, '-l', LABEL, ...options];
  const end = await runProgram(program, args, '', settings, signal);
  if (end.kind !== 'exited') throw failed(server, howItEnded(end));
  if (end.code === 0) return end;
  if (end.code === NOT_FOUND) return undefined;
  throw failed(server, end.code === LOCKED ? 'it is locked, as in SSH sessions' : howItEnded(end));
}

function failed(server: string, why: string): TartletError {
  return new TartletError('AUTH_HELPER', `the Keychain item "${LABEL}" of ${server} cannot be used: ${why}`, {
    subject: server,
    next: 'run: security unlock-keychain   or set TART_REGISTRY_USERNAME and TART_REGISTRY_PASSWORD',
  });
}

/** `security` prints a value as `"text"`, quotes inside unescaped, or as `0xHEX  "…"` when it is not plain ASCII; nothing when empty. */
function readValue(output: Buffer, label: RegExp): string | undefined {
  const text = output.toString('utf8');
  const found = label.exec(text);
  if (found === null) return undefined;
  const value = text.slice(found.index + found[0].length).split('\n', 1)[0] ?? '';
  const hex = /^0x((?:[0-9A-Fa-f]{2})+)/.exec(value)?.[1];
  if (hex !== undefined) return Buffer.from(hex, 'hex').toString('utf8');
  return /^"(.*)"$/.exec(value)?.[1] ?? (value === '' ? '' : undefined);
}
