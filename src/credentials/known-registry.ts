import { isTartletError } from '../errors.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { AuthFile } from './auth-file.ts';
import { authFileLocations } from './auth-file-location.ts';
import type { CredentialSettings } from './settings.ts';

/**
 * The addresses with a port under which this user logged in to a host, by the keys of Docker's and Podman's files: a
 * hint where an image may have come from, and no more (tart-formats §2.7). Files that cannot be read give none.
 *
 * @param host without a port.
 */
export async function knownPorts(host: string, settings: CredentialSettings): Promise<RegistryAddress[]> {
  const found = new Map<string, RegistryAddress>();
  for (const { path } of authFileLocations(settings)) {
    for (const registry of await registriesIn(path)) {
      if (registry.host === host.toLowerCase() && registry.port !== undefined) found.set(registry.toString(), registry);
    }
  }
  return [...found.values()];
}

async function registriesIn(path: string): Promise<readonly RegistryAddress[]> {
  try {
    return (await AuthFile.read(path))?.registries ?? [];
  } catch (error) {
    if (isTartletError(error)) return [];
    throw error;
  }
}
