import { TartletError } from '../errors.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { pairOf, type Secret } from './auth-entry.ts';
import { AuthFile } from './auth-file.ts';
import { authFileLocations, dockerAuthFile } from './auth-file-location.ts';
import { parseAuthKey, sameRegistry, serverSpellings, storageKey } from './auth-key.ts';
import { environmentMayServe, USERNAME_VARIABLE } from './environment.ts';
import { checkPassword, checkUsername, type CredentialHelper } from './helper.ts';
import { eraseFromKeychain, storeInKeychain } from './keychain.ts';
import { changeSecretFile } from './secret-file-edit.ts';
import type { CredentialStoreSettings } from './settings.ts';

/** Where a secret is kept. */
export type SecretPlace =
  | { readonly kind: 'helper'; readonly program: string; readonly server: string }
  | { readonly kind: 'file'; readonly file: string; readonly key: string }
  | { readonly kind: 'keychain'; readonly server: string }
  | { readonly kind: 'environment'; readonly variable: string };

/** In words, to end a sentence like "stored in …". */
export function describePlace(place: SecretPlace): string {
  switch (place.kind) {
    case 'helper':
      return `${place.program} (as ${place.server})`;
    case 'file':
      return `${place.file} (as ${place.key})`;
    case 'keychain':
      return `the Keychain (as ${place.server})`;
    case 'environment':
      return `the variable ${place.variable}`;
  }
}

/**
 * Keeps the secret of a registry where Docker would, in the helper that its file names; without one in the Keychain,
 * where Tart finds it too; else in Docker's file. A registry that an auth file speaks of stays in a file, because those
 * are asked first. Older secrets for the whole registry go from there, so that what was stored is what is found.
 *
 * @returns where it is now.
 * @throws TartletError `AUTH_HELPER` when a configured helper fails (it is never replaced by the file),
 * `CONFIG_INVALID`, `DISK_*`, `USAGE` for a name or a password that cannot be stored.
 */
export async function storeCredential(
  registry: RegistryAddress,
  secret: Secret,
  settings: CredentialStoreSettings,
  signal?: AbortSignal,
): Promise<SecretPlace> {
  checkSecret(secret);
  const { path } = dockerAuthFile(settings);
  const choice = (await (await AuthFile.read(path))?.helperFor(registry, settings)) ?? { kind: 'none' };
  const key = storageKey(registry);
  if (choice.kind !== 'none') {
    await choice.helper.store(key, secret, signal);
    const place: SecretPlace = { kind: 'helper', program: choice.helper.program, server: key };
    try {
      await eraseFromFile(path, registry, settings, signal);
      await eraseOtherNames(choice.helper, key, signal);
    } catch (error) {
      throw error instanceof TartletError ? error.with({ kept: `stored in ${describePlace(place)}` }) : error;
    }
    return place;
  }
  signal?.throwIfAborted();
  const server = await storeOutsideFiles(registry, secret, settings, signal);
  if (server !== undefined) return { kind: 'keychain', server };
  const { withEntry } = await import('./auth-file-edit.ts');
  await changeFile(path, settings, signal, (text) => withEntry(text, path, registry, secret));
  return { kind: 'file', file: path, key };
}

/** @returns the name of the Keychain item; undefined when a file must keep the secret. */
async function storeOutsideFiles(
  registry: RegistryAddress,
  secret: Secret,
  settings: CredentialStoreSettings,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if (settings.platform !== 'darwin' || secret.kind !== 'password') return undefined;
  for (const { path } of authFileLocations(settings)) {
    const file = await AuthFile.read(path);
    if (file === undefined) continue;
    if ((await file.helperFor(registry, settings)).kind !== 'none' || file.secretFor(registry) !== undefined)
      return undefined;
  }
  const kept = await storeInKeychain(registry, secret, settings, signal);
  if (kept.kind === 'refused') settings.onNote?.({ kind: 'keychain-refused', why: kept.why });
  return kept.kind === 'stored' ? kept.server : undefined;
}

/** What a logout did. */
export interface Erasure {
  /** Where something was, and is no longer. Empty when no place knew the registry. */
  readonly erased: readonly SecretPlace[];
  /** What would still be found: variables, and entries for some repositories of the registry. */
  readonly remaining: readonly SecretPlace[];
}

/**
 * Forgets the secrets of a registry wherever a lookup would find them: in all auth files, in their helpers, in the
 * Keychain.
 *
 * @throws TartletError `AUTH_HELPER`, `CONFIG_INVALID`, `DISK_*`; its `kept` tells what was erased before.
 */
export async function eraseCredential(
  registry: RegistryAddress,
  settings: CredentialStoreSettings,
  signal?: AbortSignal,
): Promise<Erasure> {
  const erased: SecretPlace[] = [];
  const remaining: SecretPlace[] = [];
  const helpers = new Map<string, CredentialHelper>();
  try {
    for (const { path } of authFileLocations(settings)) {
      signal?.throwIfAborted();
      const file = await AuthFile.read(path);
      if (file === undefined) continue;
      erased.push(...(await eraseFromFile(path, registry, settings, signal)));
      remaining.push(...partialEntries(file, registry));
      const choice = await file.helperFor(registry, settings);
      if (choice.kind !== 'none') helpers.set(choice.helper.program, choice.helper);
    }
    const servers = await eraseFromKeychain(registry, settings, signal);
    erased.push(...servers.map((server) => ({ kind: 'keychain', server }) as const));
    // Last, because they are the ones that may fail.
    for (const helper of helpers.values()) erased.push(...(await eraseFromHelper(helper, registry, signal)));
  } catch (error) {
    if (!(error instanceof TartletError) || erased.length === 0) throw error;
    throw error.with({ kept: `erased from ${erased.map((place) => describePlace(place)).join(', ')}` });
  }
  if (environmentMayServe(registry, settings)) remaining.push({ kind: 'environment', variable: USERNAME_VARIABLE });
  return { erased, remaining };
}

async function eraseFromFile(
  path: string,
  registry: RegistryAddress,
  settings: CredentialStoreSettings,
  signal: AbortSignal | undefined,
): Promise<SecretPlace[]> {
  const { withoutEntries } = await import('./auth-file-edit.ts');
  let keys: readonly string[] = [];
  await changeFile(path, settings, signal, (text) => {
    if (text === undefined) return undefined;
    const left = withoutEntries(text, path, registry);
    keys = left.removed;
    return left.text;
  });
  return [...new Set(keys)].map((key) => ({ kind: 'file', file: path, key }));
}

async function changeFile(
  path: string,
  settings: CredentialStoreSettings,
  signal: AbortSignal | undefined,
  change: (text: string | undefined) => string | undefined,
): Promise<void> {
  const { uid, lockFile } = settings;
  const onWait = (): void => settings.onNote?.({ kind: 'waiting-for-lock', file: path });
  const done = await changeSecretFile(path, { uid, lockFile, signal, onWait, change });
  if (done.kind === 'tightened') settings.onNote?.({ kind: 'mode-tightened', file: path, mode: done.mode });
}

/**
 * Asks for the list first: it finds every spelling, and most helpers do not tell whether there was anything to erase.
 */
async function eraseFromHelper(
  helper: CredentialHelper,
  registry: RegistryAddress,
  signal: AbortSignal | undefined,
): Promise<SecretPlace[]> {
  const known = await helper.list(signal);
  const servers = known?.filter((server) => isFor(server, registry)) ?? serverSpellings(registry);
  for (const server of servers) await helper.erase(server, signal);
  return servers.map((server) => ({ kind: 'helper', program: helper.program, server }));
}

/**
 * A helper takes `h` and `h:443` for two servers, and we do not. Only names with another host or port are erased: what
 * differs in spelling alone, as `https://h` does, may be the helper's own way to show what was just stored.
 */
async function eraseOtherNames(helper: CredentialHelper, key: string, signal: AbortSignal | undefined): Promise<void> {
  const stored = parseAuthKey(key)?.registry;
  if (stored === undefined || serverSpellings(stored).length === 1) return;
  for (const server of (await helper.list(signal)) ?? []) {
    if (isFor(server, stored) && parseAuthKey(server)?.registry.equals(stored) !== true)
      await helper.erase(server, signal);
  }
}

function isFor(server: string, registry: RegistryAddress): boolean {
  const key = parseAuthKey(server);
  return key !== undefined && key.path === '' && sameRegistry(key.registry, registry);
}

function partialEntries(file: AuthFile, registry: RegistryAddress): SecretPlace[] {
  return file.entries
    .filter((entry) => entry.path !== '' && sameRegistry(entry.registry, registry))
    .map((entry) => ({ kind: 'file', file: file.path, key: entry.text }));
}

/**
 * Whether a secret can be stored and sent; worth asking before a registry is.
 * @throws TartletError `USAGE`
 */
export function checkSecret(secret: Secret): void {
  const { username, password } = pairOf(secret);
  checkUsername(username);
  checkPassword(password);
  const why = problem(username, password);
  if (why !== undefined) throw new TartletError('USAGE', why, { next: { kind: 'check-login' } });
}

function problem(username: string, password: string): string | undefined {
  if (username === '') return 'the user name is empty';
  // Basic authentication divides at the first colon (RFC 7617 §2).
  if (username.includes(':')) return 'the user name contains ":", which no registry can tell from the password';
  return password === '' ? 'the password is empty' : undefined;
}
