import type { RegistryAddress } from '../names/registry-address.ts';
import type { Secret } from './auth-entry.ts';
import { AuthFile } from './auth-file.ts';
import type { AuthFileLocation } from './auth-file-location.ts';
import { serverSpellings } from './auth-key.ts';
import type { Credential, CredentialSource } from './credential.ts';
import type { CredentialHelper } from './helper.ts';
import type { CredentialSettings } from './settings.ts';

/**
 * What one auth file knows. First the helper that the file names for this very registry, as containers-auth.json(5) has
 * it; then `auths`; then the helper for many registries: one whose pattern fits, or the default. Docker asks its
 * default helper before `auths`, but when it puts a secret there it empties the entry, so that an entry with a secret
 * is the newer word.
 */
export function authFileSource(location: AuthFileLocation, settings: CredentialSettings): CredentialSource {
  let reading: Promise<AuthFile | undefined> | undefined;
  const read = async (): Promise<AuthFile | undefined> => {
    reading ??= readNoting(location, settings);
    try {
      return await reading;
    } catch (error) {
      reading = undefined; // The user may correct the file.
      throw error;
    }
  };
  return {
    find: async (registry, repository, signal) => {
      const file = await read();
      if (file === undefined) return undefined;
      const own = file.ownHelper(registry, settings);
      if (own?.kind === 'helper') {
        const found = await askHelper(own.helper, registry, signal);
        if (found !== undefined) return found;
      }
      const onToken = (key: string): void => settings.onNote?.({ kind: 'registry-token', file: file.path, key });
      const written = file.secretFor(registry, repository, onToken);
      if (written !== undefined) return bind(written.secret, registry, file.path);
      if (own !== undefined) return undefined;
      const shared = await file.sharedHelper(registry, settings);
      return shared.kind === 'helper' ? askHelper(shared.helper, registry, signal) : undefined;
    },
  };
}

async function readNoting(location: AuthFileLocation, settings: CredentialSettings): Promise<AuthFile | undefined> {
  const file = await AuthFile.read(location.path);
  if (file === undefined && location.variable !== undefined) {
    settings.onNote?.({ kind: 'file-missing', file: location.path, variable: location.variable });
  }
  if (file?.isExposed === true) settings.onNote?.({ kind: 'readable-by-others', file: file.path, mode: file.mode });
  return file;
}

async function askHelper(
  helper: CredentialHelper,
  registry: RegistryAddress,
  signal: AbortSignal | undefined,
): Promise<Credential | undefined> {
  for (const server of serverSpellings(registry)) {
    const secret = await helper.get(server, signal);
    if (secret !== undefined) return bind(secret, registry, helper.program);
  }
  return undefined;
}

function bind(secret: Secret, registry: RegistryAddress, source: string): Credential {
  return { ...secret, registry, source };
}
