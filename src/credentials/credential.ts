import { isDiskError, isTartletError, type TartletError } from '../errors.ts';
import type { RegistryAddress } from '../names/registry-address.ts';

/**
 * The credential for one registry. A secret never travels without the address it is bound to, and neither is ever
 * printed: `source` is what messages may show.
 */
export type Credential =
  | {
      readonly kind: 'password';
      /** The registry this was found for. */
      readonly registry: RegistryAddress;
      readonly username: string;
      readonly password: string;
      /**
       * Where it came from, in words: `TART_REGISTRY_USERNAME`, `/home/u/.docker/config.json`,
       * `docker-credential-pass`.
       */
      readonly source: string;
    }
  | {
      /** An OAuth2 refresh token (Docker's `identitytoken`), to be traded for access tokens at the registry's realm. */
      readonly kind: 'identity-token';
      readonly registry: RegistryAddress;
      readonly token: string;
      readonly source: string;
    };

/** Something that may know a credential. */
export interface CredentialSource {
  /**
   * The credential for a registry, or undefined when this source has none for it. `repository` narrows path-scoped keys
   * (containers-auth.json(5)). Lookups compare the effective port, so `h` and `h:443` are one registry here, `h:8221`
   * another.
   * @throws TartletError `AUTH_HELPER` when a helper or the Keychain failed, `CONFIG_INVALID` and `DISK_*` when an auth
   * file cannot be used: only the asker knows whether that matters. The reason of `signal` when it is aborted.
   */
  find(registry: RegistryAddress, repository?: string, signal?: AbortSignal): Promise<Credential | undefined>;
  /**
   * Told that something was read without a login, because {@link find} failed with `fault`. What is public needs no
   * login, but its user should know that the setting is broken. Writing, and reading what is not public, fails with
   * `fault` itself.
   */
  passedOver?(fault: TartletError): void;
  /** Told that what {@link find} gave is of no use: the next question is asked anew. Absent where each one is. */
  forget?(registry: RegistryAddress, repository?: string): void;
}

/**
 * Whether looking for a login failed because a setting cannot be used: a helper that is missing or fails, a file that
 * cannot be read. A command that only reads may go on without it.
 */
export function isLoginFault(error: unknown): error is TartletError {
  return isDiskError(error) || isTartletError(error, 'AUTH_HELPER', 'CONFIG_INVALID');
}

/** A source without credentials. */
export const anonymous: CredentialSource = { find: async () => undefined };
