import { TartletError } from '../errors.ts';
import { shownName } from '../names/malformed.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { parseAuthKey, sameRegistry } from './auth-key.ts';
import type { CredentialSource } from './credential.ts';
import type { CredentialNote } from './note.ts';
import type { CredentialSettings } from './settings.ts';

export const USERNAME_VARIABLE = 'TART_REGISTRY_USERNAME';
/** The variable that no child process is given (reliability S31). */
export const PASSWORD_VARIABLE = 'TART_REGISTRY_PASSWORD';
const HOSTNAME_VARIABLE = 'TART_REGISTRY_HOSTNAME';

/** What the variables say. */
interface EnvironmentCredential {
  readonly username: string;
  readonly password: string;
  /** The registry they are limited to, when they say so. */
  readonly registry: RegistryAddress | undefined;
}

/**
 * `TART_REGISTRY_USERNAME` and `TART_REGISTRY_PASSWORD`, for one registry only: the one that `TART_REGISTRY_HOSTNAME`
 * names, else the one that the user named in the command. Tart offers them to every registry that asks (tart-cli §7 #6;
 * reliability S4).
 *
 * @param commandRegistry the single registry of the command; undefined when it names several or none.
 */
export function environmentSource(settings: CredentialSettings, commandRegistry?: RegistryAddress): CredentialSource {
  let noted = false;
  const note = (said: CredentialNote): void => {
    if (!noted) settings.onNote?.(said);
    noted = true;
  };
  return {
    find: async (registry) => {
      const said = readEnvironment(settings, note);
      if (said === undefined) return undefined;
      const bound = said.registry ?? commandRegistry;
      if (bound === undefined) note({ kind: 'unbound-environment' });
      if (bound === undefined || !sameRegistry(bound, registry)) return undefined;
      return {
        kind: 'password',
        registry,
        username: said.username,
        password: said.password,
        source: USERNAME_VARIABLE,
      };
    },
  };
}

/** Whether the variables hold a credential that could be used for the registry: no logout can take that away. */
export function environmentMayServe(registry: RegistryAddress, settings: CredentialSettings): boolean {
  const said = readEnvironment(settings, () => undefined);
  return said !== undefined && (said.registry === undefined || sameRegistry(said.registry, registry));
}

/** Empty variables count as unset: that is what CI systems make of a missing secret. */
function readEnvironment(
  { environment }: CredentialSettings,
  note: (said: CredentialNote) => void,
): EnvironmentCredential | undefined {
  const username = environment[USERNAME_VARIABLE] ?? '';
  const password = environment[PASSWORD_VARIABLE] ?? '';
  if (username === '' && password === '') return undefined;
  if (password === '') note({ kind: 'half-environment', present: USERNAME_VARIABLE, missing: PASSWORD_VARIABLE });
  else if (username === '') note({ kind: 'half-environment', present: PASSWORD_VARIABLE, missing: USERNAME_VARIABLE });
  else return { username, password, registry: readHostname(environment[HOSTNAME_VARIABLE] ?? '') };
  return undefined;
}

/** @throws TartletError `CONFIG_INVALID`: a variable that binds a password must not be guessed at. */
function readHostname(text: string): RegistryAddress | undefined {
  if (text === '') return undefined;
  const key = parseAuthKey(text);
  if (key?.path === '') return key.registry;
  throw new TartletError(
    'CONFIG_INVALID',
    `${HOSTNAME_VARIABLE} is "${shownName(text)}", which is no registry address`,
    {
      subject: HOSTNAME_VARIABLE,
      expected: 'host, host:port or https://host:port',
      next: { kind: 'set-login-host' },
    },
  );
}
