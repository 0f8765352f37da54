import { TartletError } from '../errors.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { CredentialSource } from './credential.ts';
import { howItEnded } from './helper.ts';
import { findHelper, type ProgramEnd, runProgram } from './program.ts';
import type { CredentialSettings } from './settings.ts';

/** The label that Tart gives its items (tart-formats §6.2). */
const LABEL = 'Tart Credentials';
/** The exit code of `security` is the low byte of the system's: errSecItemNotFound, errSecInteractionNotAllowed. */
const NOT_FOUND = 44;
const LOCKED = 36;
const SAID_LOCKED = 'it is locked, as in SSH sessions';
/**
 * `security -i` reads 4096 bytes at a time, and would take the rest of a longer line for another command. In
 * characters, of 4 bytes at most.
 */
const MAX_LINE = 1000;
// oxlint-disable-next-line no-control-regex -- a line break would begin another command
const CONTROL = /[\u0000-\u001f\u007f]/;
/** How many users of one registry are expected to have left an item. */
const MAX_ITEMS = 10;

/** What `tart login` and our own left in the macOS Keychain. Only on macOS. */
export function keychainSource(settings: CredentialSettings): CredentialSource {
  return {
    find: async (registry, _repository, signal) => {
      for (const server of itemNames(registry)) {
        const item = await readItem(server, settings, signal);
        if (item === undefined) continue;
        return { kind: 'password', registry, ...item, source: `the Keychain item "${LABEL}" of ${server}` };
      }
      return undefined;
    },
  };
}

interface Item {
  readonly username: string;
  readonly password: string;
}

/** @throws TartletError `AUTH_HELPER` */
async function readItem(
  server: string,
  settings: CredentialSettings,
  signal: AbortSignal | undefined,
): Promise<Item | undefined> {
  // `-g` tells account and password in one go. `-w` prints a non-ASCII password as bare hex, which a password may be,
  // too.
  const end = await security('find', server, ['-g'], settings, signal);
  if (end === undefined) return undefined;
  const username = readValue(end.stdout, /^\s*"acct"<blob>=/m);
  const password = readValue(end.stderr, /^password: ?/m);
  if (username === undefined || password === undefined) throw failed(server, 'its answer could not be read');
  return { username, password };
}

/** Whether the Keychain has a secret now, and under which server name. `absent`: there is none on this system. */
type Kept =
  | { readonly kind: 'stored'; readonly server: string }
  | { readonly kind: 'refused'; readonly why: string }
  | { readonly kind: 'absent' };

/**
 * Keeps a password as Tart does, in one item named after the text that was typed, and reads it back to be sure. The
 * password goes to `security` through its input: arguments can be read by everybody (reliability S31).
 *
 * @throws the reason of `signal`; a Keychain that is locked or fails is `refused`, because a file can still take the
 * secret.
 */
export async function storeInKeychain(
  registry: RegistryAddress,
  item: Item,
  settings: CredentialSettings,
  signal?: AbortSignal,
): Promise<Kept> {
  const program = settings.platform === 'darwin' ? await findHelper('security', settings) : undefined;
  if (program === undefined) return { kind: 'absent' };
  const server = registry.toString();
  const words = ['add-internet-password', '-U', '-r', 'htps', '-s', server, '-a', item.username, '-l', LABEL];
  const line = [...words, '-w', item.password].map(quoted).join(' ');
  if (line.length > MAX_LINE || CONTROL.test(line))
    return { kind: 'refused', why: 'it is too long or of several lines' };
  try {
    // An item of another user would stay beside the new one, and either could be found.
    await eraseFromKeychain(registry, settings, signal);
    const end = await runProgram(program, ['-i'], `${line}\n`, settings, signal);
    const found = await readItem(server, settings, signal);
    if (found?.username === item.username && found.password === item.password) return { kind: 'stored', server };
    const why = end.kind === 'exited' && end.code === LOCKED ? SAID_LOCKED : howItEnded(end);
    return { kind: 'refused', why };
  } catch (error) {
    if (!(error instanceof TartletError) || signal?.aborted === true) throw error;
    return { kind: 'refused', why: error.message };
  }
}

/** One word of a command line for `security -i`, which knows quotes and backslashes within them as a shell does. */
function quoted(word: string): string {
  return `"${word.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

/** Removes Tart's items of a registry, those of all users. @returns the server names of those that were there. */
export async function eraseFromKeychain(
  registry: RegistryAddress,
  settings: CredentialSettings,
  signal?: AbortSignal,
): Promise<string[]> {
  const erased: string[] = [];
  for (const server of itemNames(registry)) {
    let count = 0;
    while (count < MAX_ITEMS && (await security('delete', server, [], settings, signal)) !== undefined) count += 1;
    if (count > 0) erased.push(server);
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
  const program = await findHelper('security', settings);
  if (program === undefined) return undefined; // The user did not configure it, so this is no failure.
  const args = [`${action}-internet-password`, '-s', server, '-l', LABEL, ...options];
  const end = await runProgram(program, args, '', settings, signal);
  if (end.kind !== 'exited') throw failed(server, howItEnded(end));
  if (end.code === 0) return end;
  if (end.code === NOT_FOUND) return undefined;
  throw failed(server, end.code === LOCKED ? SAID_LOCKED : howItEnded(end));
}

function failed(server: string, why: string): TartletError {
  return new TartletError('AUTH_HELPER', `the Keychain item "${LABEL}" of ${server} cannot be used: ${why}`, {
    subject: server,
    next: { kind: 'unlock-keychain' },
  });
}

/**
 * `security` prints a value as `"text"`, quotes inside unescaped, or as `0xHEX  "…"` when it is not plain ASCII;
 * nothing when empty.
 */
function readValue(output: Buffer, label: RegExp): string | undefined {
  const text = output.toString('utf8');
  const found = label.exec(text);
  if (found === null) return undefined;
  const value = text.slice(found.index + found[0].length).split('\n', 1)[0] ?? '';
  const hex = /^0x((?:[0-9A-Fa-f]{2})+)/.exec(value)?.[1];
  if (hex !== undefined) return Buffer.from(hex, 'hex').toString('utf8');
  return /^"(.*)"$/.exec(value)?.[1] ?? (value === '' ? '' : undefined);
}
